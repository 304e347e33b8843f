"""Handwritten digits and a multilayer perceptron: the training loop, written out.

For every batch the same step: compute the loss, forget the old gradients, find the new
ones, move the parameters. ``--data digits`` are the 1,797 images of 8 × 8
pixels that come with the package, ``--data mnist`` the 70,000 of 28 × 28, which are
looked for in ``--data-dir``, else downloaded (11 MB).

Needs NumPy alone. Takes about 3 seconds for digits, a minute for MNIST.
"""

import argparse

import numpy as np

import dezero
import dezero.functions as F
from dezero import DataLoader, optimizers
from dezero.datasets import MNIST, Digits
from dezero.models import MLP

parser = argparse.ArgumentParser(description="A multilayer perceptron reads digits")
parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
parser.add_argument("--data-dir", help="where the files of MNIST are")
parser.add_argument("--epochs", type=int, help="default: 20 for digits, 5 for mnist")
parser.add_argument("--quick", action="store_true", help="3 epochs on the digits")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()

np.random.seed(0)
if options.data == "digits" or options.quick:
    train, test = Digits(train=True), Digits(train=False)
    model, batch_size, epochs = MLP((100, 10), activation=F.relu), 32, 20
else:
    train, test = (MNIST(part, data_dir=options.data_dir) for part in (True, False))
    model, batch_size, epochs = MLP((500, 200, 10), activation=F.relu), 100, 5
epochs = 3 if options.quick else options.epochs or epochs
optimizer = optimizers.Adam().setup(model)
optimizer.add_hook(optimizers.WeightDecay(1e-4))


def step(x, t):
    y = model(x)
    loss = F.softmax_cross_entropy(y, t)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss, F.accuracy(y, t)


def accuracy(x, t):
    with dezero.no_grad():
        return F.accuracy(model(x), t)


if options.compile:
    step, accuracy = dezero.compile(step), dezero.compile(accuracy)

train_loader = DataLoader(train, batch_size)
test_loader = DataLoader(test, batch_size, shuffle=False)
for epoch in range(1, epochs + 1):
    total_loss = total_right = 0.0
    for x, t in train_loader:
        loss, right = step(x, t)
        total_loss += float(loss) * len(t)
        total_right += float(right) * len(t)

    test_right = 0.0
    for x, t in test_loader:
        test_right += float(accuracy(x, t)) * len(t)
    print(
        f"epoch {epoch}: loss {total_loss / len(train):.4f}, "
        f"accuracy {total_right / len(train):.2%}, "
        f"test accuracy {test_right / len(test):.2%}"
    )
