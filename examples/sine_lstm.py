"""A sine wave, learned by an LSTM with truncated backpropagation through time.

The network sees one value after the other and foretells the next. The loss is summed
over a period; then ``backward`` goes back through it, and ``unchain_backward`` cuts
the past off, so that the graph does not grow without end: the state stays, its history
goes. In the picture the network listens to a new wave, without noise, and then goes on
alone, fed with what it said last.

Needs matplotlib. Takes about 10 seconds.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from pictures import save

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Dataset, SeqDataLoader
from dezero.models import Sequential
from dezero.optimizers import Adam

parser = argparse.ArgumentParser(description="An LSTM foretells a wave")
parser.add_argument("--epochs", type=int, default=60, help="passes over the data")
parser.add_argument("--out", default="runs/sine_lstm.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="5 epochs")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
epochs = 5 if options.quick else options.epochs

PERIOD = 25  # steps


def wave(steps, noise=0.0):
    """Values of a sine, (steps, 1)."""
    y = np.sin(2 * np.pi / PERIOD * np.arange(steps))
    y += np.random.uniform(-noise, noise, steps)
    return y[:, None].astype(np.float32)


class Wave(Dataset):
    """The label of each value is the one that comes next."""

    def prepare(self):
        y = wave(1001, noise=0.05)
        self.data, self.label = y[:-1], y[1:]


np.random.seed(0)
batches = list(SeqDataLoader(Wave(), batch_size=10))  # ten parts side by side
rnn = L.LSTM(50)
model = Sequential(rnn, L.Linear(1))
optimizer = Adam(0.003).setup(model)


def step(period, start):
    """Learn from some batches, which go on where the last ones ended."""
    if start:
        rnn.reset_state()
    loss = sum(F.mean_squared_error(model(x), t) for x, t in period)
    model.cleargrads()
    loss.backward()
    loss.unchain_backward()
    optimizer.update()
    return loss


def foretell(x):
    with dezero.no_grad():
        return model(x)


if options.compile:
    step, foretell = dezero.compile(step), dezero.compile(foretell)
for epoch in range(1, epochs + 1):
    total = 0.0
    for i in range(0, len(batches), PERIOD):
        total += float(step(batches[i : i + PERIOD], start=i == 0))
    if epoch in (1, epochs) or epoch % 20 == 0:
        print(f"epoch {epoch}: loss {total / len(batches):.5f}")

heard, alone = 3 * PERIOD, 5 * PERIOD
truth = wave(heard + alone)
said = []  # said[i] foretells truth[i + 1]
rnn.reset_state()
for i in range(heard + alone - 1):
    said.append(foretell(truth[i : i + 1] if i < heard else said[-1].data))

figure, panel = plt.subplots(figsize=(9, 3.6), layout="constrained")
panel.plot(truth, color="#bbbbbb", lw=5, label="sine")
steps = range(1, heard + alone)
panel.plot(steps, [y.item() for y in said], color="#c44e52", label="foretold")
panel.axvline(heard, color="black", lw=0.8, ls=":")
panel.text(heard + 1, -1.35, "alone from here on", fontsize=9)
panel.set(xlabel="Step", ylim=(-1.5, 1.5))
panel.legend(loc="upper right", frameon=False, ncols=2)
save(figure, options.out)
