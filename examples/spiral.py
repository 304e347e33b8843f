"""Three arms of a spiral, told apart by a multilayer perceptron.

No straight lines separate the arms; a hidden layer bends the plane until they do. The
picture shows what the network would say at every point, and how the loss went down.

Needs matplotlib. Takes about 10 seconds.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from pictures import save

import dezero
import dezero.functions as F
from dezero import DataLoader, optimizers
from dezero.datasets import Spiral
from dezero.models import MLP

parser = argparse.ArgumentParser(description="A decision boundary on the spiral data")
parser.add_argument("--epochs", type=int, default=200, help="passes over the data")
parser.add_argument("--out", default="runs/spiral.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="20 epochs")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
epochs = 20 if options.quick else options.epochs

np.random.seed(0)
train, test = Spiral(train=True), Spiral(train=False)
model = MLP((32, 32, 3), activation=F.tanh)
optimizer = optimizers.Adam(0.005).setup(model)


def step(x, t):
    loss = F.softmax_cross_entropy(model(x), t)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss


if options.compile:
    step = dezero.compile(step)

losses = []  # the mean of each epoch
for epoch in range(1, epochs + 1):
    total = 0.0
    for x, t in DataLoader(train, batch_size=30):
        total += float(step(x, t)) * len(t)
    losses.append(total / len(train))
    if epoch in (1, epochs) or epoch % 50 == 0:
        print(f"epoch {epoch}: loss {losses[-1]:.4f}")

with dezero.no_grad():
    x, t = test[:]
    print(f"test accuracy {float(F.accuracy(model(x), t)):.2%}")
    axis = np.linspace(-1.1, 1.1, 300, dtype=np.float32)
    plane = np.stack(np.meshgrid(axis, axis), axis=2)  # (300, 300, 2)
    arms = model(plane.reshape(-1, 2)).data.argmax(axis=1).reshape(300, 300)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
colors = ["#4c72b0", "#dd8452", "#55a868"]
left.contourf(axis, axis, arms, [-0.5, 0.5, 1.5, 2.5], colors=colors, alpha=0.3)
x, t = train[:]
for arm, (color, marker) in enumerate(zip(colors, "ox^", strict=True)):
    left.scatter(*x[t == arm].T, s=16, c=color, marker=marker)
left.set(title="What the network says", aspect="equal", xticks=[], yticks=[])
right.plot(range(1, epochs + 1), losses, color="#4c72b0")
right.set(title="Loss on the training data", xlabel="Epoch", yscale="log")
right.grid(color="#eeeeee")
save(figure, options.out)
