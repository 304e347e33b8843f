"""What the examples share: a picture goes to a file, and many images make a sheet."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np


def save(figure, path):
    """Write a figure of matplotlib; its folder is made where it is missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"written: {path}")


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
