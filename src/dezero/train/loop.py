"""The training loop: short enough to be left out and written by hand.

What it comes to, for each epoch and each batch ``x, t``, is four lines:
``y = loss(model(x), t)``, ``model.cleargrads()``, ``y.backward()`` and
``optimizer.update()``. The rest is bookkeeping.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import dezero.functions as F
from dezero.backend.tracing import is_traced
from dezero.compiler import NonFiniteError
from dezero.compiler import compile as compiled
from dezero.core import Variable, no_grad, test_mode
from dezero.train.checkpoint import Checkpoint
from dezero.train.history import History
from dezero.train.interrupt import uninterrupted
from dezero.train.metrics import Metric
from dezero.train.progress import Progress, Standing
from dezero.train.run import Run

Criterion = Callable[[Any, Any], Variable]  # of the model's output and the labels
Step = Callable[[Any, Any], tuple[Variable, Variable | None]]  # of a batch
TestStep = Callable[[Any, Any], tuple[Variable, Variable | None, Any]]


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
    metrics: Sequence[Metric] = (),
    schedule: Any = None,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Any] = (),
    history: History | None = None,
    progress: Progress | None = None,
    on_batch: Callable[[Standing], None] | None = None,
    on_epoch: Callable[[Standing], None] | None = None,
    compile: bool = False,
) -> History:
    """Train a model and keep a history of it.

    Ctrl-C (a ``KeyboardInterrupt``) comes through between two steps, never within
    one, and ``history`` then ends with the part of the epoch that was done. (A second
    Ctrl-C does not wait.) With a ``checkpoint`` it is saved, and ``fit`` returns.

    Args:
        model: What is called with a batch of inputs.
        optimizer: What updates it; ``optimizer.setup(model)`` has been called.
        train_loader: Gives the batches ``(x, t)`` of one epoch each time it is
            iterated, and has a length: their number.
        test_loader: Likewise; evaluated after every epoch if given.
        epochs: How often to go through the training data.
        loss: What is made small: a function of the model's output and ``t``.
        accuracy: A score to report, a function of the same; ``None`` for none.
        metrics: What else to measure on the test data. Those that are numbers become
            columns of the history, ``test_f1`` and so on.
        schedule: Its ``step()`` is called after every update. (One that looks at the
            scores is stepped by ``on_epoch``, and made a part of the checkpoint.)
        checkpoint: Where the training is saved, and goes on from if there is
            something: a program that was killed is simply started again. Model,
            optimizer, loader, schedule, history and callbacks become parts of it.
        callbacks: What else to do; see ``dezero.train.Callback``.
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
        ValueError: ``epochs`` is below 1, or a loader has no batch, or fewer than its
            length; or there are ``metrics`` and no ``test_loader``.
        TypeError: With ``checkpoint``, a part has no ``state_dict()``.
        CompileError: With ``compile``, the step reads values.
        NonFiniteError: The loss became NaN or infinite. That step was not taken.
        OSError: A checkpoint cannot be written.

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
    if metrics and test_loader is None:
        raise ValueError("fit: expected a test_loader to measure metrics on, got none")
    run = Run(epochs, _batches("fit", train_loader), history)
    callbacks = [Progress() if progress is None else progress, *callbacks]
    step = _training_step(model, optimizer, loss, accuracy)
    test_step = _test_step(model, loss, accuracy)
    if compile:
        step, test_step = compiled(step), compiled(test_step)
    if checkpoint is not None:
        parts = {"model": model, "optimizer": optimizer, "loader": train_loader}
        kept = {f"callback{i}": part for i, part in enumerate(callbacks)}
        parts |= {k: part for k, part in kept.items() if hasattr(part, "state_dict")}
        if schedule is not None:
            parts["schedule"] = schedule
        checkpoint.add(run=run, **parts)
        checkpoint.resume()

    def after(what: str, own: Callable[[Standing], None] | None) -> None:
        for callback in callbacks:
            getattr(callback, what, _nothing)(run.standing)
        if own is not None:
            own(run.standing)

    def train(batches: Iterator[Any]) -> None:
        """One step, and all that goes with it."""
        batch = next(batches, None)
        standing = run.standing
        if batch is None:
            raise ValueError(
                f"fit: expected {standing.batches} batches, which is the length of the "
                f"loader, got {standing.batch}"
            )
        x, t = batch
        try:
            scores = _scores(*step(x, t))
        except FloatingPointError as error:
            if checkpoint is not None:
                checkpoint.wait()
            raise NonFiniteError(run.not_finite(error, checkpoint)) from error
        if schedule is not None:
            schedule.step()
        standing.add(*scores, samples=len(t))
        after("after_batch", on_batch)
        if standing.batch == standing.batches:
            next(batches, None)  # ends the pass: the loader gets its next order
        if checkpoint is not None:
            checkpoint.step()

    with contextlib.ExitStack() as stack:
        for callback in callbacks:
            stack.callback(getattr(callback, "close", _nothing))
        after("begin", None)
        try:
            while (standing := run.standing).epoch <= epochs and standing.stop is None:
                if standing.batch < standing.batches:
                    batches = iter(train_loader)
                    while standing.batch < standing.batches:
                        with run.whole_block():
                            train(batches)
                if test_loader is not None:
                    run.take(_evaluate(test_step, test_loader, metrics), metrics)
                with run.whole_block():
                    run.note()
                    after("after_epoch", on_epoch)
                    run.next_epoch()
        except KeyboardInterrupt:
            if checkpoint is None or not run.whole:
                raise
            checkpoint.save()
            run.history.stopped = "interrupted"
        else:
            if checkpoint is not None:
                checkpoint.save()
            run.history.stopped = run.standing.stop
        finally:
            run.note()
    return run.history


def _nothing(*_: Any) -> None:
    pass


def _training_step(
    model: Any, optimizer: Any, loss: Criterion, accuracy: Criterion | None
) -> Step:
    """A step; a function, so that its graph is gone before the next one grows."""

    def step(x: Any, t: Any) -> tuple[Variable, Variable | None]:
        y = model(x)
        error = loss(y, t)
        if not is_traced(error.data) and not math.isfinite(float(error)):
            raise FloatingPointError(f"the loss is {float(error)}")
        model.cleargrads()
        error.backward()
        optimizer.update()
        return error, None if accuracy is None else accuracy(y, t)

    return step


def _test_step(model: Any, loss: Criterion, accuracy: Criterion | None) -> TestStep:
    def step(x: Any, t: Any) -> tuple[Variable, Variable | None, Any]:
        y = model(x)
        return loss(y, t), None if accuracy is None else accuracy(y, t), y

    return step


def _scores(error: Variable, accuracy: Variable | None) -> Scores:
    return Scores(float(error), None if accuracy is None else float(accuracy))


def evaluate(
    model: Any,
    loader: Any,
    loss: Criterion = F.softmax_cross_entropy,
    accuracy: Criterion | None = F.accuracy,
    metrics: Sequence[Metric] = (),
) -> Scores:
    """Loss and accuracy of a model on all samples of a loader, in test mode.

    Args:
        model, loader, loss, accuracy: As in ``fit``.
        metrics: What else to measure; read their ``value`` afterwards.

    Raises:
        ValueError: The loader has no batch.

    >>> x, t = np.eye(2), np.array([0, 1])
    >>> scores = evaluate(lambda x: 10 * x, [(x, t), (x, 1 - t)])
    >>> scores.accuracy
    0.5
    """
    return _evaluate(_test_step(model, loss, accuracy), loader, metrics)


def _evaluate(step: TestStep, loader: Any, metrics: Sequence[Metric]) -> Scores:
    standing = Standing(1, 1, batches=_batches("evaluate", loader))
    for metric in metrics:
        metric.reset()
    with no_grad(), test_mode():
        for x, t in loader:
            with uninterrupted():  # a step that is being compiled borrows the model
                error, right, y = step(x, t)
                standing.add(*_scores(error, right), samples=len(t))
                for metric in metrics:
                    metric.update(y, t)
    return Scores(standing.loss, standing.accuracy)


def _batches(operation: str, loader: Any) -> int:
    if len(loader) == 0:
        raise ValueError(f"{operation}: expected a loader with batches, got none")
    return len(loader)
