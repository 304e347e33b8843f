"""The works as programs of the book: they run on DeZero and on the original alike.

Each function builds a work. A step does not know whether it is compiled.
"""

import os
from typing import Any

import numpy as np

if not hasattr(np, "int"):
    np.int = int  # type: ignore[attr-defined]  # the original asks for it

import dezero
import dezero.functions as F
import dezero.layers as L
from benchmarks import weights
from benchmarks.data import Program, batch, points, sequences
from dezero import Model, Variable, optimizers
from dezero.models import MLP


def chain() -> Program:
    def step() -> None:
        x = Variable(np.array(1.0))
        y = x
        for _ in range(1000):
            y = y * 0.999 + x
        y.backward()

    return Program(step)


def _negations(count: int) -> Program:
    def step() -> None:
        y = Variable(np.array(1.0))
        for _ in range(count):
            y = -y
        y.backward()

    return Program(step)


def negate_1000() -> Program:
    return _negations(1000)


def negate_1000000() -> Program:
    return _negations(1000000)


def branches() -> Program:
    def step() -> None:
        x = Variable(np.ones(8, dtype=np.float32))
        y = 0
        for _ in range(500):
            y = y + (x * 2).sum()
        y.backward()

    return Program(step)


def _begin(model: Model, tree: weights.Tree) -> None:
    """Give the model, which has been called, the weights of all peers.

    The original begins from its own: it draws them in float64 under NumPy 2, and knows
    no order. To repair the former is another peer.
    """
    if not hasattr(model, "named_params"):
        if os.environ.get("BENCHMARK_FLOAT32"):
            for p in model.params():
                p.data = p.data.astype(np.float32)
        return
    trained = (p for p in model.params() if p.requires_grad)
    for p, array in zip(trained, weights.leaves(tree), strict=True):
        p.data = array


def training(model: Model, tree: weights.Tree, optimizer: Any, data: Any) -> Program:
    """Classification of one batch of data, again and again."""
    model(data[0])
    _begin(model, tree)
    optimizer.setup(model)

    def step(x: Any, t: Any) -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return Program(step, data)


def mlp_sgd() -> Program:
    tree = weights.mlp(784, 1000, 10)
    optimizer = optimizers.SGD(0.01)
    return training(MLP((1000, 10)), tree, optimizer, batch(100, 784))


def mlp_adam() -> Program:
    tree = weights.mlp(784, 512, 512, 10)
    model = MLP((512, 512, 10), activation=F.relu)
    return training(model, tree, optimizers.Adam(0.001), batch(128, 784))


def penalty() -> Program:
    """A critic whose gradient is drawn to the norm 1: a derivative of a derivative.

    Gulrajani et al., "Improved training of Wasserstein GANs", 2017.
    """
    data = points()
    model = MLP((256, 256, 1), activation=F.tanh)
    model(data[0])
    _begin(model, weights.mlp(64, 256, 256, 1))
    optimizer = optimizers.Adam(0.001).setup(model)

    def step(x: Any) -> Any:
        x = Variable(x)
        y = model(x)
        model.cleargrads()
        y.backward(create_graph=True)
        norm = F.sum(x.grad**2, axis=1) ** 0.5
        loss = F.sum(y) / len(y) + 10 * F.sum((norm - 1) ** 2) / len(y)
        model.cleargrads()
        x.cleargrad()
        loss.backward()
        optimizer.update()
        return loss

    return Program(step, data)


class CNN(Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = L.Conv2d(32, 3, pad=1)
        self.conv2 = L.Conv2d(32, 3, pad=1)
        self.conv3 = L.Conv2d(64, 3, pad=1)
        self.conv4 = L.Conv2d(64, 3, pad=1)
        self.fc5 = L.Linear(256)
        self.fc6 = L.Linear(10)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        x = F.pooling(x, 2, 2)
        x = F.relu(self.conv4(F.relu(self.conv3(x))))
        x = F.pooling(x, 2, 2)
        x = F.reshape(x, (x.shape[0], -1))
        return self.fc6(F.relu(self.fc5(x)))


def cnn() -> Program:
    optimizer = optimizers.MomentumSGD(0.01)
    return training(CNN(), weights.cnn(), optimizer, batch(64, 3, 32, 32))


class BetterRNN(Model):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = L.LSTM(100)
        self.fc = L.Linear(1)

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x))


def lstm() -> Program:
    data = sequences()
    model = BetterRNN()
    optimizer = optimizers.Adam(0.001)
    for x in data[0][:2]:
        model(x)
    _begin(model, weights.lstm())
    optimizer.setup(model)

    def step(xs: Any, ts: Any) -> Any:
        model.rnn.reset_state()
        loss = 0
        for x, t in zip(xs, ts, strict=True):
            loss += F.mean_squared_error(model(x), t)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()
        return loss

    return Program(step, data)


class _Images(dezero.Dataset):
    """As large as MNIST, as the book's data sets are written."""

    def prepare(self) -> None:
        rng = np.random.default_rng(0)
        self.data = rng.integers(0, 256, (60000, 1, 28, 28), dtype=np.uint8)
        self.label = rng.integers(0, 10, 60000)


def loader() -> Program:
    transform = dezero.transforms.Compose(
        [
            dezero.transforms.Flatten(),
            dezero.transforms.ToFloat(),
            dezero.transforms.Normalize(0.0, 255.0),
        ]
    )
    batches = dezero.DataLoader(_Images(transform=transform), 100)

    def step() -> None:
        for _ in batches:
            pass

    return Program(step)
