"""The works as one writes them in PyTorch, in the way that was fastest here.

Optimizers are fused. Compiled is the loss, and with it its backward pass: the graph of
the whole step breaks at ``backward()``, and to compile it was no faster. An optimizer
that is compiled instead of fused was slower.
"""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import weights
from benchmarks.data import Program, batch, points, sequences, tokens
from benchmarks.pytorch_models import GPT, ResNet


def chain() -> Program:
    def step() -> None:
        x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        y = x
        for _ in range(1000):
            y = y * 0.999 + x
        y.backward()

    return Program(step)


def _negations(count: int) -> Program:
    def step() -> None:
        y = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
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
        x = torch.ones(8, requires_grad=True)
        y: Any = 0
        for _ in range(500):
            y = y + (x * 2).sum()
        y.backward()

    return Program(step)


# -- training --------------------------------------------------------------------------


def _begin_from(arrays: Iterable[Any], model: nn.Module) -> None:
    """Make copies of the arrays its parameters; Linear has (out, in)."""
    linear = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    transposed = {id(weight) for weight in linear}
    with torch.no_grad():
        for p, array in zip(model.parameters(), arrays, strict=True):
            p.copy_(torch.from_numpy(array.T if id(p) in transposed else array))


def _training(loss_of: Any, optimizer: Any, data: Iterable[Any]) -> Program:
    if os.environ.get("BENCHMARK_COMPILE"):
        loss_of = torch.compile(loss_of)

    def step(*data: Any) -> Any:
        loss = loss_of(*data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Program(step, tuple(map(torch.from_numpy, data)))


def _classification(
    model: nn.Module, tree: weights.Tree, optimizer: Any, data: Iterable[Any]
) -> Program:
    _begin_from(weights.leaves(tree), model)

    def loss_of(x: Any, t: Any) -> Any:
        return nn.functional.cross_entropy(model(x), t)

    return _training(loss_of, optimizer, data)


def _images(
    model: nn.Module, tree: weights.Tree, optimizer: Any, data: Iterable[Any]
) -> Program:
    """Channels last in memory: a sixth faster than the default."""
    layout = torch.channels_last
    program = _classification(model.to(memory_format=layout), tree, optimizer, data)
    x, t = program.data
    return program._replace(data=(x.to(memory_format=layout), t))


def mlp_sgd() -> Program:
    model = nn.Sequential(nn.Linear(784, 1000), nn.Sigmoid(), nn.Linear(1000, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, fused=True)
    tree = weights.mlp(784, 1000, 10)
    return _classification(model, tree, optimizer, batch(100, 784))


def mlp_adam() -> Program:
    model = nn.Sequential(
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.001, fused=True)
    tree = weights.mlp(784, 512, 512, 10)
    return _classification(model, tree, optimizer, batch(128, 784))


def cnn() -> Program:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4096, 256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)
    return _images(model, weights.cnn(), optimizer, batch(64, 3, 32, 32))


def resnet() -> Program:
    model = ResNet()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, fused=True)
    return _images(model, weights.resnet(), optimizer, batch(32, 3, 32, 32))


def gpt() -> Program:
    model = GPT()
    optimizer = torch.optim.AdamW(
        model.parameters(), 0.001, weight_decay=0.1, fused=True
    )
    return _classification(model, weights.gpt(), optimizer, tokens())


def _lstm_arrays() -> Iterable[Any]:
    """The gates side by side, as LSTM has them: (4 H, in), in the order i, f, u, o."""
    tree = weights.lstm()

    def joined(part: str, name: str) -> Any:
        f, i, o, u = (gate[name].T for gate in tree[part])
        return np.concatenate([i, f, u, o])

    b = joined("x2", "b")
    return joined("x2", "W"), joined("h2", "W"), b, 0 * b, *weights.leaves(tree["fc"])


def lstm() -> Program:
    """One LSTM over all time steps: less than half the time of LSTMCells.

    ``torch.compile`` does not look inside it. LSTMCells, compiled, lost to it, too.
    """
    model = nn.ModuleList([nn.LSTM(1, 100), nn.Linear(100, 1)])
    lstm, fc = model
    _begin_from(_lstm_arrays(), model)
    lstm.bias_hh_l0.requires_grad_(False)  # of its two biases, one is enough
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 0.001, fused=True)

    def loss_of(xs: Any, ts: Any) -> Any:
        ys = fc(lstm(xs)[0])
        return nn.functional.mse_loss(ys, ts) * len(xs)

    return _training(loss_of, optimizer, sequences())


def penalty() -> Program:
    model = nn.Sequential(
        nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 1)
    )
    _begin_from(weights.leaves(weights.mlp(64, 256, 256, 1)), model)
    optimizer = torch.optim.Adam(model.parameters(), 0.001, fused=True)

    def loss_of(x: Any) -> Any:
        # As fast as torch.autograd.grad(create_graph=True), and can be compiled.
        y, vjp = torch.func.vjp(model, x)
        (gx,) = vjp(torch.ones_like(y))
        return y.mean() + 10 * ((gx.norm(dim=1) - 1) ** 2).mean()

    return _training(loss_of, optimizer, points())
