"""A sine wave, learned by an LSTM with truncated backpropagation through time.

The network sees one value after the other and foretells the next. The loss is summed
over 30 steps; then ``backward`` goes back through them, and ``unchain_backward`` cuts
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
from dezero import Dataset, Model, SeqDataLoader
from dezero.optimizers import Adam

parser = argparse.ArgumentParser(description="An LSTM foretells a wave")
parser.add_argument("--epochs", type=int, default=60, help="passes over the data")
parser.add_argument("--out", default="runs/sine_lstm.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="5 epochs")
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


class Oracle(Model):
    def __init__(self, hidden_size):
        super().__init__()
        self.rnn = L.LSTM(hidden_size)
        self.fc = L.Linear(1)

    def forward(self, x):
        return self.fc(self.rnn(x))


np.random.seed(0)
loader = SeqDataLoader(Wave(), batch_size=10)  # ten stretches side by side
model = Oracle(hidden_size=50)
optimizer = Adam(0.003).setup(model)
for epoch in range(1, epochs + 1):
    model.rnn.reset_state()
    loss = total = 0.0
    for step, (x, t) in enumerate(loader, start=1):
        loss += F.mean_squared_error(model(x), t)
        if step % 30 == 0 or step == len(loader):
            model.cleargrads()
            loss.backward()
            loss.unchain_backward()
            optimizer.update()
            total += float(loss)
            loss = 0.0
    if epoch in (1, epochs) or epoch % 20 == 0:
        print(f"epoch {epoch}: loss {total / len(loader):.5f}")

heard, alone = 3 * PERIOD, 5 * PERIOD
truth = wave(heard + alone)
said = []  # said[i] foretells truth[i + 1]
model.rnn.reset_state()
with dezero.no_grad():
    for i in range(heard + alone - 1):
        x = truth[i : i + 1] if i < heard else said[-1].data
        said.append(model(x))

figure, panel = plt.subplots(figsize=(9, 3.6), layout="constrained")
panel.plot(truth, color="#bbbbbb", lw=5, label="sine")
steps = range(1, heard + alone)
panel.plot(steps, [y.item() for y in said], color="#c44e52", label="foretold")
panel.axvline(heard, color="black", lw=0.8, ls=":")
panel.text(heard + 1, -1.35, "alone from here on", fontsize=9)
panel.set(xlabel="Step", ylim=(-1.5, 1.5))
panel.legend(loc="upper right", frameon=False, ncols=2)
save(figure, options.out)
