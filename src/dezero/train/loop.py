"""The training loop: short enough to be left out and written by hand.

What it comes to, for each epoch and each batch ``x, t``, is four lines:
``y = loss(model(x), t)``, ``model.cleargrads()``, ``y.backward()`` and
``optimizer.update()``. The rest is bookkeeping.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import dezero.functions as F
from dezero.compiler import compile as compiled
from dezero.core import Variable, no_grad, test_mode
from dezero.train.history import History, Row
from dezero.train.progress import Progress, Standing

Criterion = Callable[[Any, Any], Variable]  # of the model's output and the labels
Step = Callable[[Any, Any], tuple[Variable, Variable | None]]  # of a batch


class Scores(NamedTuple):
    """How well a model does on some data."""

    loss: float
    accuracy: float | None


def fit(
    model: Any,
    optimizer: Any,
    train_loader: Any,
    test_loader: Any = None,
    *,
    epochs: int = 1,
    loss: Criterion = F.softmax_cross_entropy,
    accuracy: Criterion | None = F.accuracy,
    history: History | None = None,
    progress: Progress | None = None,
    on_batch: Callable[[Standing], None] | None = None,
    on_epoch: Callable[[Standing], None] | None = None,
    compile: bool = False,
) -> History:
    """Train a model and keep a history of it.

    Ctrl-C (a ``KeyboardInterrupt``) comes through between two steps, never within
    one, and ``history`` then ends with the part of the epoch that was done.

    Args:
        model: What is called with a batch of inputs.
        optimizer: What updates it; ``optimizer.setup(model)`` has been called.
        train_loader: Gives the batches ``(x, t)`` of one epoch each time it is
            iterated, and has a length: their number.
        test_loader: Likewise; evaluated after every epoch if given.
        epochs: How often to go through the training data.
        loss: What is made small: a function of the model's output and ``t``.
        accuracy: A score to report, a function of the same; ``None`` for none.
        history: Where the rows go, also those of an interrupted training; those
            already there are taken for earlier epochs of the same training.
        progress: What says how far it is; the standard output if ``None``.
        on_batch: Called after every step, for example to lower the learning rate.
        on_epoch: Called after every epoch.
        compile: Run ``dezero.compile`` on the step and on the evaluation. ``model``,
            ``loss`` and ``accuracy`` may then read no values, such as ``float(y)``.

    Returns:
        The history.

    Raises:
        ValueError: ``epochs`` is below 1, or a loader has no batch.
        CompileError: With ``compile``, the step reads values.
        NonFiniteError: With ``compile``, the loss became NaN or infinite.

    >>> from dezero.models import MLP
    >>> digits = dezero.DataLoader(dezero.datasets.Digits(), batch_size=100)
    >>> model = MLP((50, 10))
    >>> optimizer = dezero.optimizers.SGD(0.5).setup(model)
    >>> history = fit(model, optimizer, digits, epochs=2)
    epoch 1/2  loss ...  accuracy ...%  ... samples/s  ... left
    epoch 2/2  loss ...  accuracy ...%  ... samples/s  took ...
    >>> history[1].loss < history[0].loss
    True
    """
    if epochs < 1:
        raise ValueError(f"fit: expected epochs of at least 1, got {epochs}")
    batches = _batches("fit", train_loader)
    history = History() if history is None else history
    earlier = history[-1].epoch if history else 0.0
    progress = Progress() if progress is None else progress
    step = _training_step(model, optimizer, loss, accuracy)
    test_step = _test_step(model, loss, accuracy)
    if compile:
        step, test_step = compiled(step), compiled(test_step)
    with contextlib.closing(progress):
        for epoch in range(1, epochs + 1):
            standing = Standing(epoch, epochs, batches)
            try:
                for x, t in train_loader:
                    with uninterrupted():
                        standing.add(*_scores(*step(x, t)), samples=len(t))
                    progress.after_batch(standing)
                    if on_batch is not None:
                        on_batch(standing)
                if test_loader is not None:
                    scores = _evaluate(test_step, test_loader)
                    standing.test_loss, standing.test_accuracy = scores
            finally:
                if standing.batch > 0:
                    history.append(
                        Row(
                            earlier + standing.epochs_done,
                            standing.loss,
                            standing.accuracy,
                            standing.test_loss,
                            standing.test_accuracy,
                        )
                    )
            progress.after_epoch(standing)
            if on_epoch is not None:
                on_epoch(standing)
    return history


def _training_step(
    model: Any, optimizer: Any, loss: Criterion, accuracy: Criterion | None
) -> Step:
    """A step; a function, so that its graph is gone before the next one grows."""

    def step(x: Any, t: Any) -> tuple[Variable, Variable | None]:
        y = model(x)
        error = loss(y, t)
        model.cleargrads()
        error.backward()
        optimizer.update()
        return error, None if accuracy is None else accuracy(y, t)

    return step


def _test_step(model: Any, loss: Criterion, accuracy: Criterion | None) -> Step:
    def step(x: Any, t: Any) -> tuple[Variable, Variable | None]:
        y = model(x)
        return loss(y, t), None if accuracy is None else accuracy(y, t)

    return step


def _scores(error: Variable, accuracy: Variable | None) -> Scores:
    return Scores(float(error), None if accuracy is None else float(accuracy))


def evaluate(
    model: Any,
    loader: Any,
    loss: Criterion = F.softmax_cross_entropy,
    accuracy: Criterion | None = F.accuracy,
) -> Scores:
    """Loss and accuracy of a model on all samples of a loader, in test mode.

    Raises:
        ValueError: The loader has no batch.

    >>> x, t = np.eye(2), np.array([0, 1])
    >>> scores = evaluate(lambda x: 10 * x, [(x, t), (x, 1 - t)])
    >>> scores.accuracy
    0.5
    """
    return _evaluate(_test_step(model, loss, accuracy), loader)


def _evaluate(step: Step, loader: Any) -> Scores:
    standing = Standing(1, 1, batches=_batches("evaluate", loader))
    with no_grad(), test_mode():
        for x, t in loader:
            with uninterrupted():  # a step that is being compiled borrows the model
                scores = _scores(*step(x, t))
            standing.add(*scores, samples=len(t))
    return Scores(standing.loss, standing.accuracy)


def _batches(operation: str, loader: Any) -> int:
    if len(loader) == 0:
        raise ValueError(f"{operation}: expected a loader with batches, got none")
    return len(loader)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a block, so that nothing is left half done.

    >>> with uninterrupted():
    ...     total = sum(range(10))
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(
        handler
    ):
        yield  # signals come to the main thread; or nobody listens for this one
        return
    waiting: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *arrived: waiting.append(arrived))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if waiting:
        handler(*waiting[-1])
