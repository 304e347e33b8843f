"""Style transfer: the content of one picture, painted in the style of another.

What is trained is a picture: it is to give the same features as the content picture in
the last convolution of a network, and in all of them the Gram matrices of the style
picture, which tell what features come together anywhere (Gatys et al., 2016).

Needs matplotlib, and Pillow for ``--content`` and ``--style``; else both pictures are
made here. The network is a small one, which first learns to tell textures apart: two
minutes in all. With ``--weights vgg16.npz`` it is VGG16 as published (490 MB, see
``dezero.models.VGG16.WEIGHTS_PATH``): about a second a step.
"""

import argparse

import numpy as np
from pictures import large_digit, load, save_row, texture

import dezero.functions as F
import dezero.layers as L
from dezero import Model, Parameter
from dezero.models import VGG16
from dezero.optimizers import Adam

parser = argparse.ArgumentParser(description="Style transfer")
parser.add_argument("--content", help="the picture that is painted anew")
parser.add_argument("--style", help="the picture whose style it gets")
parser.add_argument("--weights", help="the published weights of VGG16")
parser.add_argument("--steps", type=int, default=200, help="of the painting")
parser.add_argument("--out", default="runs/style_transfer.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="a small picture, 10 steps")
options = parser.parse_args()
size, lessons, steps = (48, 10, 10) if options.quick else (96, 200, options.steps)


def features(convs, x):
    """What every convolution gives; the image is halved where they get more."""
    if options.weights:  # VGG16 takes blue, green, red, 0 to 255, less their means
        x = x[:, ::-1] * 255 - np.float32([[[104]], [[117]], [[124]]])
    found = []
    for conv in convs:
        if found and conv.out_channels > x.shape[1]:
            x = F.average_pooling(x, 2, stride=2)
        x = F.relu(conv(x))
        found.append(x)
    return found


def gram(x):
    """How much every two channels of an image are active together, (C, C)."""
    x = x.reshape(x.shape[1], -1)
    return x @ x.T / x.shape[1]


def far(x, t):
    return F.sum((x - t) ** 2) / (t**2).sum()  # in units of t itself


np.random.seed(0)
if options.weights:
    model = VGG16()
    model.load_weights(options.weights)
    convs = [conv for name, conv in vars(model).items() if name.startswith("conv")][:10]
else:
    model = Model()
    convs = model.convs = [L.Conv2d(n, 3, pad=1) for n in (16, 16, 32, 32, 64)]
    model.fc = L.Linear(3)
    optimizer = Adam(0.003).setup(model)
    for _ in range(lessons):
        t = np.random.randint(0, 3, 32)
        x = np.stack([texture(kind, 32) for kind in t])
        y = model.fc(features(convs, x)[-1].mean(axis=(2, 3)))
        loss = F.softmax_cross_entropy(y, t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
    print(f"textures told apart: {float(F.accuracy(y, t)):.0%}", flush=True)
for param in model.params():
    param.requires_grad = False  # from now on, no time goes into their gradients

content = load(options.content, size) if options.content else large_digit(size)
style = load(options.style, size) if options.style else texture(2, size)
goals = [x.data for x in features(convs, content[None])]
grams = [gram(x).data for x in features(convs, style[None])]

canvas = Model()
canvas.x = Parameter(content[None].copy())
optimizer = Adam(0.02).setup(canvas)
for step in range(1, steps + 1):
    painted = F.average_pooling(canvas.x, 3, stride=1, pad=1)  # no single pixels
    found = features(convs, painted)
    loss = far(found[-1], goals[-1])
    loss += 20 * sum(far(gram(x), t) for x, t in zip(found, grams, strict=True))
    canvas.cleargrads()
    loss.backward()
    optimizer.update()
    canvas.x.data = canvas.x.data.clip(0, 1)
    if step == 1 or step % (steps // 5) == 0:
        print(f"step {step}: loss {float(loss):.4f}", flush=True)
save_row(options.out, content=content, style=style, painted=painted.data[0])
