"""The demonstration: train a small convolutional network, keep it, and show it."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.backend import Array
from dezero.backend.files import write_atomically
from dezero.core import Variable, no_grad, test_mode
from dezero.data import MNIST, DataLoader, Dataset, Digits, FashionMNIST
from dezero.data.transforms import Compose, Normalize, ToFloat
from dezero.errors import MissingDependencyError
from dezero.models import Model
from dezero.optimizers import Adam
from dezero.train import History, Standing, fit, plot_mistakes

QUICK_SAMPLES = 1000
TEST_BATCH = 500


@dataclass(frozen=True)
class Options:
    """What can be chosen; ``None`` is the job's own choice."""

    data: str = "digits"
    data_dir: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    out: Path = Path("runs")
    name: str | None = None
    quick: bool = False
    compile: bool = False


@dataclass(frozen=True)
class Job:
    """A data set, and a network and a training that suit it."""

    dataset: Any
    white: float  # the largest value of a pixel
    channels: tuple[int, int]
    hidden: int
    epochs: int
    batch_size: int
    lr: float


JOBS = {
    "digits": Job(Digits, 16.0, (32, 64), 64, epochs=12, batch_size=32, lr=0.003),
    "mnist": Job(MNIST, 255.0, (16, 32), 128, epochs=5, batch_size=64, lr=0.002),
    "fashion-mnist": Job(
        FashionMNIST, 255.0, (16, 32), 128, epochs=6, batch_size=64, lr=0.002
    ),
}


class ConvNet(Model):
    """Two convolutions, each followed by a pooling, then two linear layers.

    Args:
        channels: How many each convolution gives.
        hidden: How many features the first linear layer gives.
        classes: How many the second one gives.
    """

    def __init__(self, channels: tuple[int, int], hidden: int, classes: int) -> None:
        super().__init__()
        self.conv1 = L.Conv2d(channels[0], kernel_size=3, pad=1, nobias=True)
        self.norm1 = L.BatchNorm()
        self.conv2 = L.Conv2d(channels[1], kernel_size=3, pad=1, nobias=True)
        self.norm2 = L.BatchNorm()
        self.linear1 = L.Linear(hidden)
        self.linear2 = L.Linear(classes)

    def forward(self, x: Any) -> Variable:
        """Map images (N, 1, H, W) to a score for each class (N, classes)."""
        x = F.pooling(self.conv1(x), 2, stride=2)  # (N, C1, H / 2, W / 2)
        x = F.relu(self.norm1(x))
        x = F.pooling(self.conv2(x), 2, stride=2)  # (N, C2, H / 4, W / 4)
        x = F.relu(self.norm2(x))
        x = F.relu(self.linear1(F.flatten(x)))
        return self.linear2(F.dropout(x))


def run(options: Options) -> bool:
    """Train, and write what came of it into a folder of its own.

    Returns:
        Whether it went to its end; ``False`` if Ctrl-C ended it.

    Raises:
        DataError: A file of the data set is damaged, or not in ``data_dir``.
        DownloadError: The data set is nowhere and cannot be downloaded.
        OSError: The folder cannot be made.
    """
    job = _job(options)
    train, test = _images(job, options, train=True), _images(job, options, train=False)
    folder = _new_folder(options.out, options.name or f"demo-{options.data}")
    np.random.seed(options.seed)
    model = ConvNet(job.channels, job.hidden, classes=len(job.dataset.labels()))
    with no_grad(), test_mode():
        model(test[:1][0])  # the first call shapes the parameters
    optimizer = Adam(job.lr).setup(model)

    def lower_rate(standing: Standing) -> None:
        optimizer.alpha = job.lr * (1 + math.cos(math.pi * standing.done)) / 2

    _introduce(job, train, test, model, options.seed)
    history = History()
    try:
        fit(
            model,
            optimizer,
            DataLoader(train, job.batch_size),
            DataLoader(test, TEST_BATCH, shuffle=False),
            epochs=job.epochs,
            history=history,
            on_batch=lower_rate,
            compile=options.compile,
        )
    except KeyboardInterrupt:
        return _stop(folder, model, history, job.epochs)
    _keep(folder, model, history)
    undrawn = _draw(folder, model, history, test, job.batch_size)
    accuracy = history[-1].test_accuracy
    assert accuracy is not None
    print(f"Test accuracy {accuracy:.2%}. Written:")
    _list(folder)
    if undrawn:
        print(
            f"Not drawn, as matplotlib is not installed: {', '.join(undrawn)}; "
            "write: pip install 'dezero[plot]'"
        )
    return True


# -- before the training ---------------------------------------------------------------


def _job(options: Options) -> Job:
    job = JOBS[options.data]
    return replace(
        job,
        epochs=options.epochs or (1 if options.quick else job.epochs),
        batch_size=options.batch_size or job.batch_size,
        lr=options.lr or job.lr,
    )


def _images(job: Job, options: Options, train: bool) -> Dataset:
    """The images as float32 from 0 to 1, of shape (1, H, W)."""
    place = {} if job.dataset is Digits else {"data_dir": options.data_dir}
    transform = Compose([ToFloat(), Normalize(0.0, job.white)])
    images: Dataset = job.dataset(train, transform, **place)
    if options.quick:
        images.data = images.data[:QUICK_SAMPLES]
        images.label = images.label[:QUICK_SAMPLES]
    return images


def _new_folder(out: Path, name: str) -> Path:
    """A folder that was not there before: ``name``, ``name-2``, ``name-3``, ..."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = out / (name if number == 1 else f"{name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                break
    except OSError as error:
        raise OSError(
            f"--out: expected a folder that can be written to, got '{out}' "
            f"({error.strerror})"
        ) from error
    return folder


def _introduce(
    job: Job, train: Dataset, test: Dataset, model: Model, seed: int
) -> None:
    height, width = train.data.shape[2:]
    parameters = sum(param.size for param in model.params())
    print(
        f"{job.dataset.__name__}: {len(train):,} images of {height} x {width} to train "
        f"on, {len(test):,} to test on\n"
        f"{type(model).__name__}: {parameters:,} parameters; Adam, learning rate "
        f"{job.lr:g} going down to 0, batches of {job.batch_size}, seed {seed}",
        flush=True,
    )


# -- after it --------------------------------------------------------------------------


def _stop(folder: Path, model: Model, history: History, epochs: int) -> bool:
    """Ctrl-C: keep what there is."""
    if history:
        _keep(folder, model, history)
        print(f"Stopped after {history[-1].epoch:.2f} of {epochs} epochs. Kept:")
        _list(folder)
    else:
        folder.rmdir()
        print("Stopped before the first step; there is nothing to keep.")
    return False


def _keep(folder: Path, model: Model, history: History) -> None:
    model.save_weights(folder / "weights.npz")
    with write_atomically(folder / "history.csv", "w") as file:
        file.write(history.csv())


def _draw(
    folder: Path, model: Model, history: History, test: Any, batch_size: int
) -> list[str]:
    """Draw what can be drawn, and name what needs another library."""
    names = list(test.labels().values())
    batch, _ = test[:batch_size]
    pictures: dict[str, Callable[[Path], object]] = {
        "curves.png": history.plot,
        "mistakes.png": lambda path: plot_mistakes(
            test.data[:, 0], test.label, _predict(model, test), names, path
        ),
        # The last, as it is the graph of a training step, which moves the averages of
        # batch normalization.
        "model.svg": lambda path: model.plot(batch, to_file=path),
    }
    undrawn = []
    for name, draw in pictures.items():
        try:
            draw(folder / name)
        except MissingDependencyError:
            undrawn.append(name)
    return undrawn


def _predict(model: Model, images: Dataset) -> Array:
    """The probability of each class for each image, (N, classes)."""
    with no_grad(), test_mode():
        batches = DataLoader(images, TEST_BATCH, shuffle=False)
        return np.concatenate([F.softmax(model(x)).data for x, _ in batches])


FILES = {
    "weights.npz": "what was learned, for model.load_weights",
    "history.csv": "loss and accuracy of every epoch",
    "curves.png": "the same, drawn",
    "mistakes.png": "the test images that the network got most wrong",
    "model.svg": "the graph of its computation",
}


def _list(folder: Path) -> None:
    for name, content in FILES.items():
        if (folder / name).exists():
            print(f"  {folder / name}  {content}")
