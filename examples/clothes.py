"""Clothes that nobody has sewn: a VAE, or a GAN, learns to draw Fashion-MNIST.

The variational autoencoder packs a picture into 20 numbers and unpacks it again; since
the numbers of all pictures together fill a normal distribution, random ones unpack to
new clothes, soft at the edges. In the adversarial pair one network draws, the other
tells drawn clothes from real ones, and each learns from the other: sharp edges, and now
and then a garment with three sleeves. The files are looked for in ``--data-dir``, else
downloaded (30 MB).

Needs matplotlib. An epoch takes about 20 seconds (VAE) or 50 (GAN) with ``--compile``.
"""

import argparse

import numpy as np
from pictures import save_sheet

import dezero
from dezero import DataLoader
from dezero.datasets import Digits, FashionMNIST
from dezero.models import DCGAN, VAE
from dezero.optimizers import Adam
from dezero.transforms import Compose, Normalize, ToFloat

parser = argparse.ArgumentParser(description="Clothes that nobody has sewn")
parser.add_argument("--network", choices=["vae", "gan"], default="vae")
parser.add_argument("--data-dir", help="where the files of Fashion-MNIST are")
parser.add_argument("--epochs", type=int, default=6, help="passes over the data")
parser.add_argument("--out", default="runs/clothes.png", help="a sheet of clothes")
parser.add_argument("--quick", action="store_true", help="digits of 8 × 8 pixels")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()

np.random.seed(0)
if options.quick:
    data = Digits(True, Compose([ToFloat(), Normalize(0, 16)]))
    size, width, epochs = 8, 8, 2
else:
    transform = Compose([ToFloat(), Normalize(0, 255)])
    data = FashionMNIST(True, transform, data_dir=options.data_dir)
    size, width, epochs = 28, 32, options.epochs
loader = DataLoader(data, batch_size=64)


def learner(optimizer, part):
    """A function that makes a loss smaller."""

    def learn(loss):
        part.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return learn


if options.network == "vae":
    model = VAE(size=size, width=width)
    learn = learner(Adam(0.001).setup(model), model)

    def step(x):
        return (learn(model.loss(x)),)

else:
    model = DCGAN(size=size, width=width)
    D, G = model.discriminator, model.generator
    # Short memories: each plays against an opponent that changes.
    learn_to_tell = learner(Adam(0.0002, beta1=0.5).setup(D), D)
    learn_to_draw = learner(Adam(0.0002, beta1=0.5).setup(G), G)

    def step(x):
        told = learn_to_tell(model.discriminator_loss(2 * x - 1))
        return told, learn_to_draw(model.generator_loss(len(x)))


model.sample(1)  # the first call shapes the parameters
if options.compile:
    step = dezero.compile(step)
for epoch in range(1, epochs + 1):
    losses = [[float(loss) for loss in step(x)] for x, _ in loader]
    means = "  ".join(f"{mean:.3f}" for mean in np.mean(losses, axis=0))
    print(f"epoch {epoch}: loss {means}", flush=True)
images = model.sample(100)[:, 0]
if options.network == "gan":
    images = (images + 1) / 2
save_sheet(images, options.out, title="Clothes drawn by the network")
