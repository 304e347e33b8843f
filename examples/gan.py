"""A generative adversarial network draws digits of 8 × 8 pixels.

The generator turns noise into images; the discriminator says of an image whether it
is real. Each learns against the other: the discriminator to tell them apart, the
generator to be taken for real. Loss curves say little here, so the score that is
printed is how far a drawn digit is from the nearest real one, on average.

Needs matplotlib. Takes one to two minutes on two cores.
"""

import argparse

import numpy as np
from pictures import save_sheet

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import DataLoader, Model
from dezero.datasets import Digits
from dezero.optimizers import Adam
from dezero.transforms import Compose, Normalize, ToFloat

parser = argparse.ArgumentParser(description="A GAN draws digits")
parser.add_argument("--epochs", type=int, default=100, help="passes over the data")
parser.add_argument("--out", default="runs/gan.png", help="a sheet of digits")
parser.add_argument("--quick", action="store_true", help="3 epochs on few digits")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
epochs = 3 if options.quick else options.epochs


class Generator(Model):
    def __init__(self):
        super().__init__()
        self.fc = L.Linear(64 * 2 * 2, nobias=True)
        self.norm1 = L.BatchNorm()
        self.deconv1 = L.Deconv2d(32, kernel_size=4, stride=2, pad=1, nobias=True)
        self.norm2 = L.BatchNorm()
        self.deconv2 = L.Deconv2d(1, kernel_size=4, stride=2, pad=1)

    def forward(self, z):
        x = F.relu(self.norm1(self.fc(z))).reshape(-1, 64, 2, 2)
        x = F.relu(self.norm2(self.deconv1(x)))  # (N, 32, 4, 4)
        return F.sigmoid(self.deconv2(x))  # (N, 1, 8, 8)


class Discriminator(Model):
    def __init__(self):
        super().__init__()
        self.conv1 = L.Conv2d(32, kernel_size=4, stride=2, pad=1)
        self.conv2 = L.Conv2d(64, kernel_size=4, stride=2, pad=1)
        self.fc = L.Linear(1)

    def forward(self, x):
        x = F.leaky_relu(self.conv1(x))  # (N, 32, 4, 4)
        x = F.leaky_relu(self.conv2(x))  # (N, 64, 2, 2)
        return self.fc(F.dropout(F.flatten(x), 0.3))


def noise(count):
    return np.random.randn(count, 20).astype(np.float32)


np.random.seed(0)
digits = Digits(not options.quick, Compose([ToFloat(), Normalize(0, 16)]))
real, _ = digits[:]
G, D = Generator(), Discriminator()
# Short memories: each plays against an opponent that changes.
G_optimizer = Adam(0.001, beta1=0.5).setup(G)
D_optimizer = Adam(0.001, beta1=0.5).setup(D)
shown = noise(100)
loader = DataLoader(digits, batch_size=64)


def step(x):
    ones, zeros = np.ones((len(x), 1)), np.zeros((len(x), 1))
    fake = G(noise(len(x)))
    D.cleargrads()
    loss = F.sigmoid_cross_entropy(D(x), ones * 0.9)  # never quite sure
    loss += F.sigmoid_cross_entropy(D(fake.data), zeros)
    loss.backward()
    D_optimizer.update()
    G.cleargrads()
    F.sigmoid_cross_entropy(D(fake), ones).backward()
    G_optimizer.update()


if options.compile:
    step = dezero.compile(step)
for epoch in range(epochs + 1):
    for x, _ in loader if epoch > 0 else ():  # look at the untrained one first
        step(x)
    if epoch in (0, epochs) or epoch % 10 == 0:
        with dezero.no_grad(), dezero.test_mode():
            images = G(shown).data[:, 0]  # (100, 8, 8)
        apart = np.linalg.norm(images[:, None] - real[:, 0], axis=(2, 3))  # (100, all)
        print(f"epoch {epoch}: distance {apart.min(axis=1).mean():.3f}", flush=True)
save_sheet(images, options.out, title="Digits drawn by the generator")
