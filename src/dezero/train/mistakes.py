"""The samples a classifier gets most wrong, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dezero.backend import Array
from dezero.backend.files import PathLike
from dezero.train.figure import new_figure, save_figure

MOST_SHOWN = 24
COLUMNS = 6
RIGHT_COLOR, WRONG_COLOR = "#2a7f3f", "#c44e52"


def worst_first(labels: Array, probabilities: Array) -> Array:
    """Which samples were classified wrongly, the one of the largest loss first.

    Where none was, the order is that of all samples, by loss as well.

    Args:
        labels: The true classes, of shape (N,).
        probabilities: What the classifier gave, of shape (N, C).

    >>> worst_first(np.array([0, 1, 0]), np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]))
    array([2, 1])
    """
    order = np.argsort(probabilities[np.arange(len(labels)), labels], kind="stable")
    wrong = probabilities.argmax(axis=1) != labels
    return order[wrong[order]] if wrong.any() else order


def plot_mistakes(
    images: Array,
    labels: Array,
    probabilities: Array,
    names: Sequence[str],
    to_file: PathLike,
) -> None:
    """Draw the worst mistakes: image, true and predicted class, their probabilities.

    Where there is no mistake, the samples with the largest loss are drawn.

    Args:
        images: Of shape (N, H, W).
        labels: The true classes, of shape (N,).
        probabilities: What the classifier gave, of shape (N, C).
        names: What the classes are called.
        to_file: The picture to write; its suffix (``.png``, ``.svg``, ...) is its
            kind.

    Raises:
        MissingDependencyError: matplotlib is not installed.

    >>> import tempfile
    >>> images, labels = np.random.rand(2, 8, 8), np.array([0, 1])
    >>> probabilities = np.array([[0.3, 0.7], [0.1, 0.9]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = folder + '/mistakes.svg'
    ...     plot_mistakes(images, labels, probabilities, ['cat', 'dog'], file)
    """
    predicted = probabilities.argmax(axis=1)
    mistakes = int((predicted != labels).sum())
    shown = worst_first(labels, probabilities)[:MOST_SHOWN]
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    width, height = 1.8 * max(columns, 3), 2.2 * rows + 0.3  # room for the title
    figure = new_figure("plot_mistakes", width, height)
    figure.suptitle(_title(len(shown), mistakes, len(labels)), weight="bold")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for panel, i in zip(panels, shown, strict=False):
        panel.imshow(images[i], cmap="gray_r")
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_color("#cccccc")
        true, taken = (
            f"{names[k]} ({probabilities[i, k]:.1%})" for k in (labels[i], predicted[i])
        )
        panel.set_title(f"is {true}", fontsize=8.5, color=RIGHT_COLOR, pad=4)
        color = RIGHT_COLOR if predicted[i] == labels[i] else WRONG_COLOR
        panel.set_xlabel(f"taken for {taken}", fontsize=8.5, color=color, labelpad=4)
    save_figure(figure, to_file)


def _title(shown: int, mistakes: int, samples: int) -> str:
    if mistakes == 0:
        return f"No mistake in {samples:,} images; the {shown} least certain"
    title = f"{mistakes:,} mistake{'s' * (mistakes > 1)} in {samples:,} images"
    return title if shown == mistakes else f"{title}; the {shown} worst"
