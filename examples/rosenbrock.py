"""Rosenbrock's valley: gradient descent creeps, Newton's method jumps.

The function (1 - a)² + 100 (b - a²)² has its minimum at (1, 1), at the end of a long
curved valley. Gradient descent falls into the valley at once and then needs thousands
of steps along it. Newton's method solves ``H step = gradient`` with the matrix H of
second derivatives, each row of which is the gradient of one element of the gradient.

Needs matplotlib. Takes about 5 seconds.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from pictures import save

import dezero
from dezero import Variable

parser = argparse.ArgumentParser(description="Gradient descent and Newton's method")
parser.add_argument("--steps", type=int, default=10000, help="of gradient descent")
parser.add_argument("--lr", type=float, default=0.001, help="its learning rate")
parser.add_argument("--out", default="runs/rosenbrock.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
steps = options.steps // 10 if options.quick else options.steps


def rosenbrock(a, b):
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2


def gradient_step(x):
    x.cleargrad()
    rosenbrock(*x).backward()
    return options.lr * x.grad.data


def newton_step(x):
    x.cleargrad()
    rosenbrock(*x).backward(create_graph=True)
    gradient = x.grad
    rows = []
    for element in gradient:
        x.cleargrad()
        element.backward()
        rows.append(x.grad.data)
    return np.linalg.solve(np.stack(rows), gradient.data)


if options.compile:
    gradient_step = dezero.compile(gradient_step)
    newton_step = dezero.compile(newton_step)


def descend(step, limit):
    """The points from the start to within 1e-6 of (1, 1), or at most ``limit``."""
    x = Variable(np.array([-0.5, 1.5]))
    path = [x.data]
    while len(path) <= limit and np.abs(x.data - 1).max() > 1e-6:
        x.data = x.data - step(x)
        path.append(x.data)
    return np.stack(path)  # (steps + 1, 2)


figure, panel = plt.subplots(figsize=(7, 5.5), layout="constrained")
a, b = np.meshgrid(np.linspace(-1.2, 1.6, 300), np.linspace(-1.5, 1.9, 300))
levels = np.logspace(-2, 3, 16)
height = rosenbrock(a, b)
panel.contourf(a, b, height, levels, cmap="Blues", norm="log", extend="both", alpha=0.6)
for name, step, limit, style in (
    ("gradient descent", gradient_step, steps, "C1.-"),
    ("Newton's method", newton_step, 100, "C3o--"),
):
    path = descend(step, limit)
    print(f"{name}: ({path[-1, 0]:.6f}, {path[-1, 1]:.6f}) in {len(path) - 1:,} steps")
    label = f"{name}, {len(path) - 1:,} steps"
    panel.plot(path[:, 0], path[:, 1], style, ms=5, lw=1.2, label=label)
panel.plot(1, 1, "k*", ms=14, label="minimum")
panel.set(xlabel="a", ylabel="b", title="(1 - a)² + 100 (b - a²)²")
panel.legend(loc="lower left")
save(figure, options.out)
