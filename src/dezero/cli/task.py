"""What can be trained by name: data, and models, optimizers and schedules for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero import models, optimizers
from dezero.backend import Array
from dezero.cli.config import Config, arguments, made, named, unknown
from dezero.cli.words import any_of
from dezero.core import Variable, no_grad, test_mode
from dezero.data import MNIST, Dataset, Digits, FashionMNIST
from dezero.data.transforms import Compose, Normalize, ToFloat
from dezero.demo import ConvNet
from dezero.errors import DataError, UsageError, closest
from dezero.train import (
    F1,
    Accuracy,
    Metric,
    Perplexity,
    Precision,
    Recall,
    TopK,
)

IMAGES = {"digits": Digits, "mnist": MNIST, "fashion-mnist": FashionMNIST}
WHITE = {"digits": 16.0, "mnist": 255.0, "fashion-mnist": 255.0}
DATA = (*IMAGES, "text")
TEST_SHARE = 0.1  # of a text, its end
METRICS: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "top_5": lambda: TopK(5),
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "perplexity": Perplexity,
}


@dataclass
class Task:
    """Data to learn from, and what a model for them must know.

    Attributes:
        train: The examples to train on.
        test: The examples to test on.
        known: What models are given: ``classes``, or ``vocabulary`` and ``length``.
        names: What the classes are called.
        text: Whether they are texts, whose every letter has a label.
    """

    train: Dataset
    test: Dataset
    known: dict[str, int]
    names: Sequence[str]
    text: bool = False

    def loss(self, y: Any, t: Any) -> Variable:
        """The mean cross entropy."""
        return F.softmax_cross_entropy(*self._flat(y, t))

    def accuracy(self, y: Any, t: Any) -> Variable:
        """The share that is right."""
        return F.accuracy(*self._flat(y, t))

    def _flat(self, y: Any, t: Any) -> tuple[Any, Any]:
        return (y.reshape(-1, y.shape[-1]), t.reshape(-1)) if self.text else (y, t)

    def sample(self, count: int = 1) -> Array:
        """The first inputs of the test data."""
        return self.test[:count][0]

    @property
    def best(self) -> str:
        """The score by which the best model is chosen."""
        return "test_loss" if self.text else "test_accuracy"


# -- data ------------------------------------------------------------------------------


def task(config: Config) -> Task:
    """The data of a config.

    Raises:
        UsageError: The config is wrong.
        DataError, DownloadError, OSError: The files are not there, or not right.
    """
    data = config["data"]
    name = named("data", data["name"], {name: name for name in DATA})
    if name == "text":
        return texts(data)
    if data["file"]:
        raise UsageError(
            f"data.file: expected the data 'text' to need it, got '{name}'"
        )
    train, test = _images(name, data, train=True), _images(name, data, train=False)
    kind: Any = IMAGES[name]
    names = list(kind.labels().values())
    return Task(train, test, {"classes": len(names)}, names)


def _images(name: str, data: Mapping[str, Any], train: bool) -> Dataset:
    """Float32 from 0 to 1, of shape (1, H, W)."""
    kind: Any = IMAGES[name]
    place = {} if kind is Digits else {"data_dir": data["folder"] or None}
    transform = Compose([ToFloat(), Normalize(0.0, WHITE[name])])
    images: Dataset = kind(train, transform, **place)
    if data["limit"]:
        images.data = images.data[: data["limit"]]
        images.label = images.label[: data["limit"]]
    return images


class Stretches(Dataset):
    """Stretches of a text, each with the same one letter later."""

    def __init__(self, ids: Array, length: int) -> None:
        super().__init__()
        count = (len(ids) - 1) // length
        self.data = ids[: count * length].reshape(count, length)
        self.label = ids[1 : count * length + 1].reshape(count, length)


def texts(data: Mapping[str, Any]) -> Task:
    """The letters of a file; its last part is to test on."""
    if not data["file"]:
        raise UsageError(
            "data.file: expected a text to learn from, got none; write --file FILE"
        )
    path = Path(data["file"])
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(f"expected a file '{path}', got none there") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected text in UTF-8, got {error}") from error
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    ids = np.array([number[letter] for letter in text], np.int64)
    if data["limit"]:
        ids = ids[: data["limit"]]
    length = max(data["length"], 1)
    cut = len(ids) - max(math.ceil(len(ids) * TEST_SHARE), length + 1)
    if cut <= length:
        raise DataError(
            f"{path}: expected more letters than three stretches of {length}, got "
            f"{len(ids)}; write --set data.length={max(1, len(ids) // 10)}"
        )
    known = {"vocabulary": len(letters), "length": length}
    return Task(
        Stretches(ids[:cut], length), Stretches(ids[cut:], length), known, letters, True
    )


# -- models ----------------------------------------------------------------------------


def mlp(classes: int, hidden: Sequence[int] = (128,)) -> models.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[Callable[[Any], Any]] = [F.flatten]
    for width in hidden:
        layers += [L.Linear(width), F.relu]
    return models.Sequential(*layers, L.Linear(classes))


def cnn(classes: int, channels: Sequence[int] = (16, 32), hidden: int = 128) -> ConvNet:
    """The network of ``dezero demo``."""
    if len(channels) != 2:
        raise ValueError(f"expected two numbers of channels, got {list(channels)}")
    return ConvNet((channels[0], channels[1]), hidden, classes)


class LetterLSTM(models.Model):
    """Foretells each next letter of a text, from all before it in its stretch.

    Args:
        vocabulary: How many letters there are.
        width: Features of a letter, and of the state.
    """

    def __init__(self, vocabulary: int, width: int = 128) -> None:
        super().__init__()
        self.embed = L.EmbedID(vocabulary, width)
        self.lstm = L.LSTM(width, in_size=width)
        self.linear = L.Linear(vocabulary, in_size=width)

    def forward(self, ids: Any) -> Variable:
        """Map integers (N, T) to scores (N, T, vocabulary)."""
        self.lstm.reset_state()
        steps = [self.lstm(self.embed(ids[:, t])) for t in range(ids.shape[1])]
        h = F.concat(steps, axis=1).reshape(-1, steps[0].shape[1])  # (N * T, width)
        self.lstm.reset_state()
        return self.linear(h).reshape(*ids.shape, -1)


READY: dict[str, Callable[..., Any]] = {"mlp": mlp, "cnn": cnn, "lstm": LetterLSTM}


def all_models() -> dict[str, Callable[..., Any]]:
    """The small ones from here, then those of ``dezero.models``."""
    classes = {name: getattr(models, name) for name in models.__all__}
    whole = {
        name: kind
        for name, kind in classes.items()
        if isinstance(kind, type)
        and issubclass(kind, models.Model)
        and name not in ("Model", "Sequential", "MLP", "ResNet")
    }
    return READY | whole


def usual_model(text: bool) -> str:
    """The model where none is named."""
    return "lstm" if text else "cnn"


def model_for(config: Config, known: Mapping[str, int], text: bool) -> Any:
    """The model of a config, for data of which so much is known."""
    keys = dict(config["model"])
    name = keys.pop("name") or usual_model(text)
    kind = named("model", name, all_models())
    reads_text = "vocabulary" in arguments(kind)
    if (text and not reads_text) or (not text and reads_text):
        fitting = [
            one
            for one, maker in READY.items()
            if ("vocabulary" in arguments(maker)) == text
        ]
        data = "text" if text else "images"
        raise UsageError(
            f"[model]: expected a model for {data}, such as {any_of(fitting)}, got "
            f"'{name}'"
        )
    return made("model", kind, keys, **known)


def shaped(model: Any, x: Array) -> Any:
    """The model, called once, so that its parameters have their shapes.

    Raises:
        UsageError: It does not take such inputs.
    """
    try:
        with no_grad(), test_mode():
            model(x)
    except (ValueError, TypeError, IndexError) as error:
        raise UsageError(
            f"[model]: expected a model for inputs of shape {x.shape[1:]}, got "
            f"{type(model).__name__}, where {error}"
        ) from error
    return model


# -- optimizers and schedules ----------------------------------------------------------


def all_optimizers() -> dict[str, type]:
    """Those of ``dezero.optimizers``."""
    found = {name: getattr(optimizers, name) for name in optimizers.__all__}
    return {
        name: kind
        for name, kind in found.items()
        if isinstance(kind, type)
        and issubclass(kind, optimizers.Optimizer)
        and name not in ABSTRACT
    }


ABSTRACT = ("Optimizer", "ElementwiseOptimizer", "ArrayOptimizer", "Groups")


def optimizer_for(config: Config, model: Any) -> Any:
    """The optimizer of a config, set up.

    ``lr`` is the step size whatever the optimizer calls it; ``clip`` is the norm to
    which gradients are clipped, and ``weight_decay`` is added to them where the
    optimizer has none of its own.
    """
    keys = dict(config["optimizer"])
    kind = named("optimizer", keys.pop("name"), all_optimizers())
    takes = arguments(kind)
    hooks = {"clip": optimizers.ClipGrad, "weight_decay": optimizers.WeightDecay}
    known = list(dict.fromkeys(["lr", *takes, *hooks]))
    for key in keys:
        if key not in known:
            raise UsageError(unknown("optimizer", key, known))
    if "lr" in keys and "lr" not in takes and "alpha" in takes:
        keys["alpha"] = keys.pop("lr")
    added = [
        hook(_number(f"optimizer.{key}", keys.pop(key)))
        for key, hook in hooks.items()
        if key in keys and key not in takes
    ]
    optimizer = made("optimizer", kind, keys).setup(model)
    for hook in added:
        optimizer.add_hook(hook)
    return optimizer


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UsageError(f"{key}: expected a number above 0, got {value!r}")
    return float(value)


def all_schedules() -> dict[str, Any]:
    """Those of ``dezero.optimizers`` that follow the number of steps, and none."""
    found = {name: getattr(optimizers, name) for name in optimizers.__all__}
    base = found.get("Schedule")
    return {"none": None} | {
        name: kind
        for name, kind in found.items()
        if base is not None
        and isinstance(kind, type)
        and issubclass(kind, base)
        and name not in ("Schedule", "Plateau")
    }


def schedule_for(config: Config, optimizer: Any, steps: int) -> Any:
    """The schedule of a config, over so many steps unless it says otherwise."""
    keys = dict(config["schedule"])
    kind = named("schedule", keys.pop("name"), all_schedules())
    if kind is None:
        if keys:
            raise UsageError(f"[schedule]: expected a name, got '{next(iter(keys))}'")
        return None
    return made("schedule", kind, keys, optimizer=optimizer, steps=steps)


def metrics_for(config: Config, text: bool) -> list[Metric]:
    """The metrics of a config."""
    names = config["train"]["metrics"] or (["perplexity"] if text else [])
    for name in names:
        if name not in METRICS:
            raise UsageError(
                f"train.metrics: expected {any_of(METRICS)}, got '{name}'"
                + closest(str(name), METRICS)
            )
    return [METRICS[name]() for name in names]
