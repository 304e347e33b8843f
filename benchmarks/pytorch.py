"""The works as one writes them in PyTorch."""

from typing import Any

import torch
from torch import nn

from benchmarks.data import Step, batch, sequences


def chain() -> Step:
    def step() -> None:
        x = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        y = x
        for _ in range(1000):
            y = y * 0.999 + x
        y.backward()

    return step


def _negations(count: int) -> Step:
    def step() -> None:
        y = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
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
        x = torch.ones(8, requires_grad=True)
        y: Any = 0
        for _ in range(500):
            y = y + (x * 2).sum()
        y.backward()

    return step


def _training(model: nn.Module, optimizer: Any, x: Any, t: Any) -> Step:
    x, t = torch.from_numpy(x), torch.from_numpy(t)
    loss_of = nn.CrossEntropyLoss()

    def step() -> Any:
        loss = loss_of(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def mlp_sgd() -> Step:
    model = nn.Sequential(nn.Linear(784, 1000), nn.Sigmoid(), nn.Linear(1000, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    return _training(model, optimizer, *batch(100, 784))


def mlp_adam() -> Step:
    model = nn.Sequential(
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.001)
    return _training(model, optimizer, *batch(128, 784))


def cnn() -> Step:
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
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    return _training(model, optimizer, *batch(64, 3, 32, 32))


def lstm() -> Step:
    """One fused LSTMCell per time step: the fastest way to say it in this form."""
    xs, ts = map(torch.from_numpy, sequences())
    cell, fc = nn.LSTMCell(1, 100), nn.Linear(100, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *fc.parameters()], 0.001)

    def step() -> Any:
        state, loss = None, torch.zeros(())
        for x, t in zip(xs, ts, strict=True):
            state = cell(x, state)
            loss = loss + nn.functional.mse_loss(fc(state[0]), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step
