"""What ``fit`` does beside training: metrics, stopping, logs, checkpoints, tables."""

from __future__ import annotations

import io
import signal
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.layers as L
from dezero import DataLoader
from dezero.errors import DataError, MissingDependencyError
from dezero.models import MLP
from dezero.optimizers import SGD
from dezero.train import (
    F1,
    Callback,
    Checkpoint,
    ConfusionMatrix,
    CSVLog,
    Curves,
    EarlyStopping,
    History,
    KeepBest,
    Progress,
    Row,
    Standing,
    TensorBoard,
    TopK,
    evaluate,
    fit,
)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Ctrl-C arrives, even where the tests run in the background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def quiet() -> Progress:
    return Progress(io.StringIO())


def toy(rate: float = 0.5) -> tuple[Any, Any, DataLoader, DataLoader]:
    """A model, its optimizer, five batches to train on and two to test on."""
    x = np.random.default_rng(0).normal(size=(70, 2)).astype(np.float32)
    data = [(row, int(row[0] > row[1])) for row in x]
    model = MLP((4, 2))
    train = DataLoader(data[:50], 10)
    return model, SGD(rate).setup(model), train, DataLoader(data[50:], 10)


class Marks(Callback):
    """Gives every epoch the next of some scores, and writes down what it is told."""

    def __init__(self, *scores: float) -> None:
        self.scores = scores
        self.told: list[str] = []

    def begin(self, standing: Standing) -> None:
        self.told.append("begin")

    def after_epoch(self, standing: Standing) -> None:
        self.told.append(f"epoch {standing.epoch}")
        standing.history[-1]["mark"] = self.scores[standing.epoch - 1]

    def close(self) -> None:
        self.told.append("close")


# -- metrics and the history -----------------------------------------------------------


@pytest.mark.parametrize("compile", [False, True])
def test_metrics_have_columns(compile: bool, tmp_path: Path) -> None:
    model, optimizer, train, test = toy()
    f1, matrix = F1(), ConfusionMatrix()
    stream = io.StringIO()
    history = fit(
        model,
        optimizer,
        train,
        test,
        epochs=2,
        metrics=[f1, TopK(2), matrix],
        progress=Progress(stream),
        compile=compile,
    )
    lines = history.csv().splitlines()
    assert lines[0] == (
        "epoch,loss,accuracy,test_loss,test_accuracy,test_f1,test_top_2"
    )
    assert history[-1].test_f1 == f1.value
    assert history[-1].test_top_2 == 1
    assert matrix.value.sum() == 20
    assert f"  f1 {f1.value:.4f}  top 2 1.0000  " in stream.getvalue()
    scores = evaluate(model, test, metrics=[matrix])
    assert scores.accuracy == pytest.approx(matrix.value.trace() / 20)
    with pytest.raises(AttributeError) as error:
        _ = history[-1].test_f2
    assert str(error.value) == (
        "Row: expected one of epoch, loss, accuracy, test_loss, test_accuracy, "
        "test_f1, test_top_2, got 'test_f2'; did you mean 'test_f1'?"
    )
    history.plot(tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "<!-- F1 -->" in text and "<!-- Top 2 -->" in text


def test_a_history_comes_back_exactly() -> None:
    history = History([Row(1, 1 / 3, 0.5), Row(1.5, float("nan"), test_f1=2 / 3)])
    history.stopped = "why"
    again = History([Row(9, 9)])
    again.load_state_dict(history.state_dict())
    assert repr(again) == repr(history)
    assert again.stopped == "why"
    with pytest.raises(DataError, match=r"History\.load_state_dict: expected what"):
        again.load_state_dict({"json": np.array("[")})
    assert repr(again) == repr(history)


# -- callbacks -------------------------------------------------------------------------


def run(*callbacks: Any, epochs: int = 6) -> History:
    model, optimizer, train, test = toy()
    return fit(
        model,
        optimizer,
        train,
        test,
        epochs=epochs,
        callbacks=callbacks,
        progress=quiet(),
    )


def test_callbacks_are_told() -> None:
    marks = Marks(1, 2)
    run(marks, epochs=2)
    assert marks.told == ["begin", "epoch 1", "epoch 2", "close"]


def test_callbacks_are_closed_after_an_error() -> None:
    marks = Marks(1)
    with pytest.raises(IndexError):
        run(marks)
    assert marks.told == ["begin", "epoch 1", "epoch 2", "close"]


@pytest.mark.parametrize(
    ("larger", "marks", "epochs", "best"),
    [
        (True, (1, 3, 2, 3, 1, 9), 4, "3, of epoch 2"),
        (False, (3, 1, 2, 1, 1, 0), 4, "1, of epoch 2"),
        (True, (float("nan"),) * 6, 2, "none was a number, of epoch 0"),
    ],
)
def test_early_stopping(
    larger: bool, marks: tuple[float, ...], epochs: int, best: str
) -> None:
    stopping = EarlyStopping("mark", patience=2, larger_is_better=larger)
    history = run(Marks(*marks), stopping)
    assert len(history) == epochs
    assert history.stopped == (
        f"mark has not become better for 2 epochs; the best is {best}"
    )


def test_which_scores_are_better_when_larger() -> None:
    for score in ("test_loss", "loss", "test_perplexity"):
        assert not EarlyStopping(score).larger_is_better
    for score in ("test_accuracy", "test_f1"):
        assert EarlyStopping(score).larger_is_better


def test_the_best_model_is_kept(tmp_path: Path) -> None:
    model, optimizer, train, test = toy()
    weights: list[Any] = []
    fit(
        model,
        optimizer,
        train,
        test,
        epochs=4,
        callbacks=[Marks(1, 3, 2, 3), KeepBest(tmp_path / "best", model, "mark")],
        progress=quiet(),
        on_epoch=lambda _: weights.append(model.l0.W.data.copy()),
    )
    model.load_weights(tmp_path / "best")
    np.testing.assert_array_equal(model.l0.W.data, weights[1])


def test_a_score_that_is_not_measured() -> None:
    with pytest.raises(ValueError) as error:
        run(EarlyStopping("test_los"))
    assert str(error.value) == (
        "EarlyStopping: expected one of epoch, loss, accuracy, test_loss, "
        "test_accuracy, got 'test_los', which is not measured; did you mean "
        "'test_loss'?"
    )
    with pytest.raises(ValueError) as error:
        EarlyStopping("loss", patience=0)
    assert str(error.value) == ("EarlyStopping: expected patience of at least 1, got 0")


def test_logs(tmp_path: Path) -> None:
    history = run(CSVLog(tmp_path / "log.csv"), Curves(tmp_path / "c.png"), epochs=2)
    assert (tmp_path / "log.csv").read_text() == history.csv()
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    history = run(TensorBoard(tmp_path, every=5), epochs=2)
    for thread in threading.enumerate():
        if thread.name.startswith("QueueFeeder"):  # of tensorboardX, on its way out
            thread.join(timeout=10)
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    logged = []
    while data:  # records: length, its checksum, an event, its checksum
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        logged += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
        data = data[16 + length :]
    assert [(tag, step) for tag, step, _ in logged if tag == "loss/step"] == [
        ("loss/step", 5),
        ("loss/step", 10),
    ]
    for tag in ("loss", "accuracy", "test_loss", "test_accuracy"):
        values = {step: value for name, step, value in logged if name == tag}
        assert values == pytest.approx({1: history[0][tag], 2: history[1][tag]})


def test_tensorboard_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependencyError) as error:
        TensorBoard("log")
    assert str(error.value) == (
        "TensorBoard: expected the library 'tensorboardX', which is not installed; "
        "write: pip install 'dezero[train]'"
    )


def test_a_notebook_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, content: str) -> None:
            shown[-1] = content

    def display(content: str, display_id: bool) -> Handle:
        shown.append(content)
        return Handle()

    module: Any = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    module.display = types.ModuleType("IPython.display")
    module.display.HTML, module.display.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    model, optimizer, train, test = toy()
    history = fit(model, optimizer, train, test, epochs=2)
    (table,) = shown
    assert table.startswith(
        "<table><tr><td>epoch</td><td>loss</td><td>accuracy</td><td>test loss</td>"
        "<td>test accuracy</td></tr><tr><td>1</td>"
    )
    assert f"<td>{history[1].test_loss:.4g}</td>" in table
    assert table.count("<tr>") == 3
    assert "<p>epoch 2/2  " in table


# -- checkpoints in fit ----------------------------------------------------------------


class Pressing:
    """A loader and a callback that press Ctrl-C once, at some moment."""

    def __init__(self, moment: str, loader: Any) -> None:
        self.moment, self.loader = moment, loader

    def press(self, moment: str) -> None:
        if moment == self.moment:
            self.moment = "never again"
            signal.raise_signal(signal.SIGINT)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.press("test")
        for i, batch in enumerate(self.loader):
            self.press(f"test batch {i}")
            yield batch

    def after_batch(self, standing: Standing) -> None:
        self.press(f"batch {standing.step}")

    def after_epoch(self, standing: Standing) -> None:
        self.press(f"epoch {standing.epoch}")


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    ("moment", "epochs", "step"),
    [
        ("batch 7", [1, 1.4], 7),
        ("batch 10", [1, 2], 10),
        ("test", [1], 5),
        ("test batch 1", [1], 5),
        ("epoch 2", [1, 2], 10),
        ("epoch 3", [1, 2, 3], 15),
    ],
)
def test_ctrl_c_saves_and_the_rest_is_the_same(
    moment: str, epochs: list[float], step: int, compile: bool, tmp_path: Path
) -> None:
    def train(folder: Path, moment: str) -> tuple[History, list[Any]]:
        np.random.seed(0)
        model, optimizer, train, test = toy()
        pressing = Pressing(moment, test)
        history = fit(
            model,
            optimizer,
            train,
            pressing,
            epochs=3,
            metrics=[F1()],
            checkpoint=Checkpoint(folder, every=1000),
            callbacks=[pressing],
            progress=quiet(),
            compile=compile,
        )
        return history, [p.data for p in model.params()]

    history, wanted = train(tmp_path / "a", "never")
    assert history.stopped is None
    first, _ = train(tmp_path / "b", moment)
    assert first.stopped == "interrupted"
    assert [row.epoch for row in first] == epochs
    assert [p.name for p in (tmp_path / "b").iterdir()] == [f"step-{step:08}.npz"]
    again, found = train(tmp_path / "b", "never")
    assert again.csv() == history.csv()
    assert again.stopped is None
    for p, q in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(p, q)
    done, found = train(tmp_path / "b", "never")  # there is nothing left to do
    assert done.csv() == history.csv()
    np.testing.assert_array_equal(wanted[0], found[0])


def test_what_stopped_early_stays_stopped(tmp_path: Path) -> None:
    for _ in range(2):
        model, optimizer, train, test = toy()
        history = fit(
            model,
            optimizer,
            train,
            test,
            epochs=9,
            checkpoint=Checkpoint(tmp_path),
            callbacks=[Marks(3, 2, 1), EarlyStopping("mark", patience=2)],
            progress=quiet(),
        )
        assert len(history) == 3
        assert history.stopped is not None and history.stopped.startswith("mark has")


def test_more_epochs_go_on(tmp_path: Path) -> None:
    for epochs in (2, 5):
        model, optimizer, train, _ = toy()
        checkpoint = Checkpoint(tmp_path)
        history = fit(
            model,
            optimizer,
            train,
            epochs=epochs,
            checkpoint=checkpoint,
            progress=quiet(),
        )
        assert [row.epoch for row in history] == list(range(1, epochs + 1))
        assert checkpoint.steps == 5 * epochs


def test_the_time_left_is_that_of_this_process() -> None:
    clock = iter([0.0, 1.0, 1.0])
    stream = io.StringIO()
    progress = Progress(stream, lambda: next(clock))
    standing = Standing(epoch=9, epochs=10, batches=2, batch=1, samples=1000)
    progress.begin(standing)
    standing.add(0.5, None, 10)
    progress.after_batch(standing)
    progress.after_epoch(standing)
    assert stream.getvalue() == "epoch  9/10  loss 0.0050  10 samples/s  0:02 left\n"


def test_a_schedule_goes_on_step_by_step(tmp_path: Path) -> None:
    class Halving:
        def __init__(self, optimizer: SGD) -> None:
            self.optimizer, self.t = optimizer, 0

        def step(self) -> None:
            self.t += 1
            self.optimizer.lr = 0.5**self.t

        def state_dict(self) -> dict[str, Any]:
            return {"t": np.array(self.t)}

        def load_state_dict(self, state: Any) -> None:
            self.t = int(state["t"])

    for epochs in (1, 2):
        model, optimizer, train, _ = toy()
        schedule = Halving(optimizer)
        fit(
            model,
            optimizer,
            train,
            epochs=epochs,
            schedule=schedule,
            checkpoint=Checkpoint(tmp_path),
            progress=quiet(),
        )
        assert (schedule.t, optimizer.lr) == (5 * epochs, 0.5 ** (5 * epochs))


@pytest.mark.parametrize("compile", [False, True])
def test_a_loss_that_is_no_number_ends_the_training(
    compile: bool, tmp_path: Path
) -> None:
    model, optimizer, train, _ = toy()
    model(np.zeros((1, 2), np.float32))

    def spoil(standing: Standing) -> None:
        if standing.step == 7:
            model.l1.b.data[...] = np.nan

    before: list[Any] = []
    checkpoint = Checkpoint(tmp_path, every=3)
    with pytest.raises(dezero.NonFiniteError) as error:
        fit(
            model,
            optimizer,
            train,
            epochs=3,
            checkpoint=checkpoint,
            progress=quiet(),
            on_batch=lambda standing: (
                spoil(standing),
                before.append(model.l0.W.data.copy()),
            ),
            compile=compile,
        )
    message = str(error.value)
    assert message.startswith(
        "fit: expected a finite loss, got another at step 8 (epoch 2, batch 3): "
    )
    assert message.endswith(
        "; write a smaller learning rate, or optimizer.add_hook(ClipGrad(1.0)); the "
        "last checkpoint is 'step-00000006.npz'"
    )
    np.testing.assert_array_equal(model.l0.W.data, before[-1])
    checkpoint.wait()


def test_what_fit_cannot_do_with_these(tmp_path: Path) -> None:
    model, optimizer, train, _ = toy()
    with pytest.raises(ValueError) as error:
        fit(model, optimizer, train, metrics=[F1()])
    assert str(error.value) == (
        "fit: expected a test_loader to measure metrics on, got none"
    )

    class Boastful(list[Any]):
        def __len__(self) -> int:
            return 3

    batch = (np.ones((2, 2), np.float32), np.array([0, 1]))
    with pytest.raises(ValueError) as error:
        fit(model, optimizer, Boastful([batch, batch]), progress=quiet())
    assert str(error.value) == (
        "fit: expected 3 batches, which is the length of the loader, got 2"
    )
    with pytest.raises(TypeError) as wrong:
        fit(model, optimizer, [batch], checkpoint=Checkpoint(tmp_path))
    assert str(wrong.value).startswith(
        "Checkpoint: expected parts with state_dict() and load_state_dict(), got "
        "loader="
    )
    layer = L.Linear(2)
    fit(layer, SGD().setup(layer), train, checkpoint=Checkpoint(tmp_path))
    shorter = DataLoader(train.dataset, 25)
    with pytest.raises(DataError):
        fit(layer, SGD().setup(layer), shorter, checkpoint=Checkpoint(tmp_path))
