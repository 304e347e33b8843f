"""Make the pictures of computational graphs in ``docs/images``.

    python docs/make_images.py

Each is written as SVG and as PNG, which needs matplotlib.
"""

from pathlib import Path

import numpy as np

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Variable
from dezero.viz.graph import record
from dezero.viz.layout import lay_out
from dezero.viz.picture import to_picture
from dezero.viz.svg import to_svg

IMAGES = Path(__file__).parent / "images"


def diamond() -> Variable:
    """Two ways from ``a`` to ``y``: backward must take both before it passes ``a``."""
    x = Variable(np.array(2.0), name="x")
    a = x**2
    b = a**2
    c = a**2
    y = b + c
    a.name, b.name, c.name, y.name = "a", "b", "c", "y"
    return y


def tanh() -> Variable:
    """The third derivative of tanh: the graph that three backwards have recorded."""
    x = Variable(np.array(1.0), name="x")
    y = F.tanh(x)
    y.name = "y"
    y.backward(create_graph=True)
    for _ in range(2):
        gx = x.grad
        x.cleargrad()
        gx.backward(create_graph=True)
    x.grad.name = "y'''"
    return x.grad


def network() -> Variable:
    """The loss of a small convolutional network."""
    x = Variable(np.ones((100, 1, 8, 8), np.float32), "x", requires_grad=False)
    t = Variable(np.zeros(100, np.int64), "t", requires_grad=False)
    model = dezero.models.Sequential(
        L.Conv2d(16, 3, pad=1),
        F.relu,
        lambda x: F.pooling(x, 2, 2),
        F.flatten,
        L.Linear(10),
    )
    loss = F.softmax_cross_entropy(model(x), t)
    loss.name = "loss"
    for name, param in model.named_params().items():
        param.name = name
    return loss


# What each picture shows, and whether with shapes and types.
PICTURES = {"diamond": (diamond, False), "tanh": (tanh, False), "cnn": (network, True)}


def main() -> None:
    for name, (make, verbose) in PICTURES.items():
        drawing = lay_out(record(make(), verbose))
        (IMAGES / f"{name}.svg").write_text(to_svg(drawing), encoding="utf-8")
        (IMAGES / f"{name}.png").write_bytes(to_picture(drawing, "png"))


if __name__ == "__main__":
    main()
