"""Style transfer: the content of one picture, painted in the style of another.

What is trained is a picture: it is to give the same features as the content picture in
the last convolution of a network, and in all of them the Gram matrices of the style
picture, which tell what features come together anywhere (Gatys et al., 2016).

Needs matplotlib, and Pillow for ``--content`` and ``--style``. Takes a minute with a
small network, which first learns to tell textures apart; about a second a step with
VGG16 as published (``--weights vgg16.npz``, 490 MB, see ``VGG16.WEIGHTS_PATH``).
"""

import argparse

import numpy as np
from pictures import large_digit, load, save_row, texture, textures

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero.models import VGG16, Sequential
from dezero.optimizers import Adam

parser = argparse.ArgumentParser(description="Style transfer")
parser.add_argument("--content", help="the picture that is painted anew")
parser.add_argument("--style", help="the picture whose style it gets")
parser.add_argument("--weights", help="the published weights of VGG16")
parser.add_argument("--steps", type=int, default=200, help="of the painting")
parser.add_argument("--out", default="runs/style_transfer.png", help="the picture")
parser.add_argument("--quick", action="store_true", help="a small picture, 10 steps")
parser.add_argument("--compile", action="store_true", help="compile what is repeated")
options = parser.parse_args()
size, lessons, steps = (32, 5, 10) if options.quick else (96, 200, options.steps)


def features(x):
    if options.weights:  # VGG16 takes blue, green, red, 0 to 255, less their means
        x = x[:, ::-1] * 255 - np.float32([[[104]], [[117]], [[124]]])
    for conv in convs:
        if conv.out_channels > x.shape[1] > 3:  # more of them: of half the size
            x = F.average_pooling(x, 2, stride=2)
        x = F.relu(conv(x))
        yield x


def content_and_style(x):
    """The last features of an image, and how much any two are active together."""
    found = [x.reshape(x.shape[1], -1) for x in features(x)]  # (C, H * W)
    return [found[-1], *(x @ x.T / x.shape[1] for x in found)]


def learn(x, t):
    y = fc(list(features(x))[-1].mean(axis=(2, 3)))
    loss = F.softmax_cross_entropy(y, t)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return F.accuracy(y, t)


def paint():
    painted = F.average_pooling(canvas.x, 3, stride=1, pad=1)  # no single pixels
    pairs = zip(content_and_style(painted), goals, strict=True)
    far = [F.sum((x - goal) ** 2) / (goal**2).sum() for x, goal in pairs]
    loss = far[0] + 20 * sum(far[1:])
    canvas.cleargrads()
    loss.backward()
    optimizer.update()
    canvas.x.data = canvas.x.data.clip(0, 1)
    return loss, painted


if options.compile:
    learn, paint = dezero.compile(learn), dezero.compile(paint)
np.random.seed(0)
if options.weights:
    model = VGG16()
    model.load_weights(options.weights)
    convs = [conv for name, conv in vars(model).items() if name.startswith("conv")][:10]
else:
    convs, fc = [L.Conv2d(n, 3, pad=1) for n in (16, 16, 32, 32, 64)], L.Linear(3)
    model = Sequential(*convs, fc)
    optimizer = Adam(0.003).setup(model)
    for _ in range(lessons):
        right = learn(*textures(32, size=32))
    print(f"textures told apart: {float(right):.0%}", flush=True)
for param in model.params():
    param.requires_grad = False  # from now on, no time goes into their gradients
content = load(options.content, size) if options.content else large_digit(size)
style = load(options.style, size) if options.style else texture(2, size)
goals = [x.data for x in content_and_style(style[None])]
goals[0] = content_and_style(content[None])[0].data
canvas = dezero.Model()
canvas.x = dezero.Parameter(content[None].copy())
optimizer = Adam(0.02).setup(canvas)
for step in range(1, steps + 1):
    loss, painted = paint()
    if step == 1 or step % (steps // 5) == 0:
        print(f"step {step}: loss {float(loss):.4f}", flush=True)
save_row(options.out, content=content, style=style, painted=painted.data[0])
