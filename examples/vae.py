"""A variational autoencoder: the digits on a map of two coordinates.

The encoder gives every image a small cloud in the plane, the decoder turns a point of
the plane into an image. The loss asks that the image comes back, and that the clouds
together fill a normal distribution, so that every point of the map means something.
One picture shows what the decoder draws across the map, the other where the digits lie.

Needs matplotlib. Takes about 20 seconds.
"""

import argparse
from pathlib import Path
from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
from pictures import save, save_sheet

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import DataLoader, Model
from dezero.datasets import Digits
from dezero.models import MLP
from dezero.optimizers import Adam

parser = argparse.ArgumentParser(description="A VAE puts digits on a map")
parser.add_argument("--epochs", type=int, default=100, help="passes over the data")
parser.add_argument("--out", type=Path, default="runs/vae.png", help="the drawn map")
parser.add_argument("--quick", action="store_true", help="3 epochs")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
epochs = 3 if options.quick else options.epochs


class VAE(Model):
    def __init__(self):
        super().__init__()
        self.fc = L.Linear(128)
        self.mean = L.Linear(2)
        self.log_variance = L.Linear(2)
        # Of the scores that it gives, the sigmoid is the image.
        self.decoder = MLP((128, 64), activation=F.relu)

    def encode(self, x):
        x = F.relu(self.fc(x))
        return self.mean(x), self.log_variance(x)

    def forward(self, x):
        """The loss: a bound of -log p(x), the mean over the batch."""
        mean, log_variance = self.encode(x)
        # A sample of the cloud, written so that gradients reach its mean and width.
        noise = np.random.randn(*mean.shape).astype(np.float32)
        z = mean + F.exp(log_variance / 2) * noise
        error = F.sigmoid_cross_entropy(self.decoder(z), x)
        excess = mean**2 + F.exp(log_variance) - log_variance - 1
        return error + excess.sum() / (2 * len(x))


np.random.seed(0)
digits = Digits()
model = VAE()
optimizer = Adam(0.002).setup(model)


def step(x):
    loss = model(x)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss


if options.compile:
    step = dezero.compile(step)

for epoch in range(1, epochs + 1):
    total = 0.0
    for x, _ in DataLoader(digits, batch_size=32):
        total += float(step(x)) * len(x)
    if epoch in (1, epochs) or epoch % 10 == 0:
        print(f"epoch {epoch}: loss {total / len(digits):.3f}", flush=True)

# Steps of equal probability: 15 points each way, denser in the middle of the map.
side = [NormalDist().inv_cdf((i + 0.5) / 15) for i in range(15)]
grid = np.array([(x, y) for y in reversed(side) for x in side], dtype=np.float32)
with dezero.no_grad():
    drawn = F.sigmoid(model.decoder(grid)).data.reshape(-1, 8, 8)
    x, t = digits[:]
    mean, _ = model.encode(x)
save_sheet(drawn, options.out, columns=15, title="What the decoder draws on the map")
figure, panel = plt.subplots(figsize=(6, 5), layout="constrained")
dots = panel.scatter(*mean.data.T, c=t, cmap="tab10", vmin=-0.5, vmax=9.5, s=8)
figure.colorbar(dots, ticks=range(10), label="Digit")
panel.set(title="Where the encoder puts the digits", aspect="equal")
save(figure, options.out.with_name(options.out.stem + "-map.png"))
