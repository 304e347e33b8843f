"""The works as programs of the book: they run on DeZero and on the original alike.

Each function builds a work and returns the step that is timed.
"""

import os
from typing import Any

import numpy as np

if not hasattr(np, "int"):
    np.int = int  # type: ignore[attr-defined]  # the original asks for it

import dezero
import dezero.functions as F
import dezero.layers as L
from benchmarks.data import Step, batch, sequences
from dezero import Model, Variable, optimizers
from dezero.models import MLP


def chain() -> Step:
    def step() -> None:
        x = Variable(np.array(1.0))
        y = x
        for _ in range(1000):
            y = y * 0.999 + x
        y.backward()

    return step


def _negations(count: int) -> Step:
    def step() -> None:
        y = Variable(np.array(1.0))
        for _ in range(count):
            y = -y
        y.backward()

    return step


def negate_1000() -> Step:
    return _negations(1000)


def negate_1000000() -> Step:
    return _negations(1000000)


def branches() -> Step:
    def step() -> None:
        x = Variable(np.ones(8, dtype=np.float32))
        y = 0
        for _ in range(500):
            y = y + (x * 2).sum()
        y.backward()

    return step


def _as_float32(model: Model) -> None:
    """The original draws float64 weights under NumPy 2; this repairs it."""
    if os.environ.get("BENCHMARK_FLOAT32"):
        for p in model.params():
            p.data = p.data.astype(np.float32)


def _training(model: Model, optimizer: Any, x: Any, t: Any) -> Step:
    model(x)
    _as_float32(model)
    optimizer.setup(model)

    def step() -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return step


def mlp_sgd() -> Step:
    x, t = batch(100, 784)
    return _training(MLP((1000, 10)), optimizers.SGD(0.01), x, t)


def mlp_adam() -> Step:
    x, t = batch(128, 784)
    model = MLP((512, 512, 10), activation=F.relu)
    return _training(model, optimizers.Adam(0.001), x, t)


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


def cnn() -> Step:
    x, t = batch(64, 3, 32, 32)
    return _training(CNN(), optimizers.MomentumSGD(0.01), x, t)


class BetterRNN(Model):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = L.LSTM(100)
        self.fc = L.Linear(1)

    def forward(self, x: Any) -> Any:
        return self.fc(self.rnn(x))


def lstm() -> Step:
    xs, ts = sequences()
    model = BetterRNN()
    optimizer = optimizers.Adam(0.001)
    for x in xs[:2]:
        model(x)
    _as_float32(model)
    optimizer.setup(model)

    def step() -> Any:
        model.rnn.reset_state()
        loss = 0
        for x, t in zip(xs, ts, strict=True):
            loss += F.mean_squared_error(model(x), t)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()
        return loss

    return step


class _Images(dezero.Dataset):
    """As large as MNIST, as the book's data sets are written."""

    def prepare(self) -> None:
        rng = np.random.default_rng(0)
        self.data = rng.integers(0, 256, (60000, 1, 28, 28), dtype=np.uint8)
        self.label = rng.integers(0, 10, 60000)


def loader() -> Step:
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

    return step
