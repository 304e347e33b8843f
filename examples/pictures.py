"""What the examples share: pictures read, made, and written."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from dezero.datasets import Digits


def save(figure, path):
    """Write a figure of matplotlib; its folder is made where it is missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"written: {path}")


def load(path, size):
    """The picture in a file as an array (3, size, size) from 0 to 1."""
    from PIL import Image

    pixels = np.asarray(Image.open(path).convert("RGB").resize((size, size)))
    return pixels.transpose(2, 0, 1).astype(np.float32) / 255


def large_digit(size):
    """A handwritten digit, enlarged without edges, (3, size, size)."""
    pixels = Digits().data[3, 0].astype(np.float32) / 16
    places = np.linspace(-0.5, 7.5, size)
    for _ in (0, 1):  # along the rows, then along the columns
        pixels = np.stack([np.interp(places, range(8), row) for row in pixels]).T
    return np.stack([0.2 + 0.6 * pixels] * 3).astype(np.float32)


def texture(kind, size):
    """Stripes, spots or scales in two random colors, (3, size, size)."""
    a, b = 2 * np.pi / 12 * np.mgrid[:size, :size] + np.random.rand(2, 1, 1) * 9
    wave = [np.sin(a + b), np.sin(a) * np.sin(b), np.sin(a + 2 * np.sin(b))][kind]
    dark, light = np.random.rand(2, 3, 1, 1) / 2
    return (dark + (0.5 + light - dark) * (wave + 1) / 2).astype(np.float32)


def textures(count, size):
    """Textures (count, 3, size, size) and their kinds."""
    kinds = np.random.randint(0, 3, count)
    return np.stack([texture(kind, size) for kind in kinds]), kinds


def save_row(path, **images):
    """Draw colored images (3, H, W) from 0 to 1 side by side, their names above."""
    figure, panels = plt.subplots(
        1, len(images), figsize=(3 * len(images), 3.3), layout="constrained"
    )
    for panel, (name, image) in zip(panels, images.items(), strict=True):
        panel.imshow(image.transpose(1, 2, 0))
        panel.set_title(name)
        panel.axis("off")
    save(figure, path)


def save_sheet(images, path, columns=10, title=""):
    """Draw gray images (N, H, W) from 0 to 1 side by side, dark on light."""
    N, H, W = images.shape
    rows = -(-N // columns)
    tiles = np.zeros((rows * columns, H + 2, W + 2))  # a border of one pixel
    tiles[:N, 1:-1, 1:-1] = images
    sheet = tiles.reshape(rows, columns, H + 2, W + 2).transpose(0, 2, 1, 3)
    sheet = sheet.reshape(rows * (H + 2), columns * (W + 2))
    figure, panel = plt.subplots(
        figsize=(0.6 * columns, 0.6 * rows + 0.4), layout="constrained"
    )
    panel.imshow(sheet, cmap="gray_r", vmin=0, vmax=1)
    panel.set_title(title, fontsize=10)
    panel.axis("off")
    save(figure, path)
