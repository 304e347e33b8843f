"""The training loop, what it says while it runs, and what it leaves behind."""

from __future__ import annotations

import csv
import io
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Variable
from dezero.errors import MissingDependencyError
from dezero.models import MLP, Sequential
from dezero.optimizers import SGD, Adam
from dezero.train import (
    History,
    Progress,
    Row,
    Standing,
    evaluate,
    fit,
    plot_mistakes,
    uninterrupted,
    worst_first,
)

PNG = b"\x89PNG\r\n\x1a\n"


class Stream(io.StringIO):
    """A text stream that is a terminal, or is not, and has an encoding."""

    def __init__(self, terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self.terminal = terminal
        self.its_encoding = encoding

    def isatty(self) -> bool:
        return self.terminal

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.its_encoding


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Batches:
    """A loader: the same samples, in the same batches, in every pass."""

    def __init__(self, x: Any, t: Any, batch_size: int) -> None:
        self.x, self.t, self.batch_size = x, t, batch_size

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for i in range(0, len(self.x), self.batch_size):
            yield self.x[i : i + self.batch_size], self.t[i : i + self.batch_size]


def points(count: int) -> tuple[Any, Any]:
    """Points in the plane, labelled by the side of a line they are on."""
    x = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    return x, (x[:, 0] > x[:, 1]).astype(np.int64)


def quiet() -> Progress:
    return Progress(Stream(terminal=False))


@pytest.fixture(autouse=True)
def _listening() -> Iterator[None]:
    """Ctrl-C arrives, even where the tests run in the background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# -- progress ----------------------------------------------------------------------


def test_a_log_gets_one_line_per_epoch() -> None:
    stream, clock = Stream(terminal=False), Clock()
    progress = Progress(stream, clock)
    for epoch in (1, 2):
        standing = Standing(epoch=epoch, epochs=10, batches=2)
        for loss, accuracy, samples in ((2.0, 0.25, 600), (1.0, 0.5, 200)):
            clock.now += 0.25
            standing.add(loss, accuracy, samples)
            progress.after_batch(standing)
        clock.now += 6.5  # the test
        standing.test_loss, standing.test_accuracy = 0.125, 0.9876
        progress.after_epoch(standing)
    progress.close()
    assert stream.getvalue() == (
        "epoch  1/10  loss 1.7500  accuracy 31.25%  test loss 0.1250  "
        "test accuracy 98.76%  1,600 samples/s  1:03 left\n"
        "epoch  2/10  loss 1.7500  accuracy 31.25%  test loss 0.1250  "
        "test accuracy 98.76%  1,600 samples/s  0:56 left\n"
    )


def test_a_terminal_gets_one_line_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "101")
    stream, clock = Stream(terminal=True), Clock()
    progress = Progress(stream, clock)
    for epoch in (1, 2):
        standing = Standing(epoch=epoch, epochs=2, batches=2)
        for _ in range(2):
            clock.now += 1.0
            standing.add(0.5, 1.0, 50)
            progress.after_batch(standing)
        standing.test_accuracy = 0.975
        progress.after_epoch(standing)
    progress.close()
    *lines, rest = stream.getvalue().split("\r")[1:]
    scores = "  loss 0.5000  accuracy 100.00%"
    tested = scores + "  test 97.50%"
    shown = [line.rstrip() for line in (*lines, rest)]
    assert shown == [
        "epoch 1/2 " + "━" * 8 + "─" * 26 + scores + "  50 samples/s  0:03 left",
        "epoch 1/2 " + "━" * 17 + "─" * 17 + scores + "  50 samples/s  0:02 left",
        "epoch 1/2 " + "━" * 10 + "─" * 11 + tested + "  50 samples/s  0:02 left",
        "epoch 2/2 " + "━" * 15 + "─" * 6 + tested + "  50 samples/s  0:01 left",
        "epoch 2/2 " + "━" * 21 + tested + "  50 samples/s  took 0:04",
        "epoch 2/2 " + "━" * 21 + tested + "  50 samples/s  took 0:04",
    ]
    assert {len(line) for line in lines} == {100}  # each covers the one before
    assert rest.endswith("\n")


def drawn(
    columns: int, monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8"
) -> str:
    """The only line on a terminal so wide, half-way through the second epoch."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream, clock = Stream(terminal=True, encoding=encoding), Clock()
    progress = Progress(stream, clock)
    progress.test_accuracy = 0.5
    standing = Standing(epoch=2, epochs=2, batches=2)
    standing.add(0.5, None, 50)
    clock.now += 3
    progress.after_batch(standing)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("columns", "bar", "rest"),
    [
        (
            80,
            "━" * 13 + "─" * 5,
            "  loss 0.5000  test 50.00%  17 samples/s  0:01 left",
        ),
        (66, "━" * 12 + "─" * 5, "  loss 0.5000  17 samples/s  0:01 left"),
        (54, "", "  loss 0.5000  17 samples/s  0:01 left"),
        (30, "", "  loss 0.5000  17 s"),
    ],
)
def test_a_narrow_terminal_gets_a_shorter_line(
    columns: int, bar: str, rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"epoch 2/2 {bar}{rest}"
    assert drawn(columns, monkeypatch) == "\r" + line.ljust(columns - 1)


@pytest.mark.parametrize("encoding", ["ascii", "no-such-encoding"])
def test_the_bar_is_drawn_in_any_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "epoch 2/2 #############.....  loss" in drawn(80, monkeypatch, encoding)


def test_a_terminal_is_redrawn_ten_times_a_second() -> None:
    stream, clock = Stream(terminal=True), Clock()
    progress = Progress(stream, clock)
    standing = Standing(epoch=1, epochs=1, batches=1000)
    for _ in range(1000):
        clock.now += 1 / 512
        standing.add(0.5, None, 1)
        progress.after_batch(standing)
    assert stream.getvalue().count("\r") == 20


def test_hours_left() -> None:
    stream, clock = Stream(terminal=False), Clock()
    progress = Progress(stream, clock)
    standing = Standing(epoch=1, epochs=2, batches=1)
    clock.now += 3723
    standing.add(0.5, None, 3723)
    progress.after_batch(standing)
    progress.after_epoch(standing)
    assert stream.getvalue() == "epoch 1/2  loss 0.5000  1 samples/s  1:02:03 left\n"


# -- history -----------------------------------------------------------------------


def some_history() -> History:
    return History(
        Row(epoch, 1 / epoch, 1 - 0.5 / epoch, 1.5 / epoch, 1 - 0.6 / epoch)
        for epoch in range(1, 6)
    )


def test_history_as_csv() -> None:
    history = History([Row(1, 0.123456789, 0.5, 0.25, 0.75), Row(1.5, 1e-9)])
    assert history.csv() == (
        "epoch,loss,accuracy,test_loss,test_accuracy\n"
        "1,0.123457,0.5,0.25,0.75\n"
        "1.5,1e-09,,,\n"
    )
    rows = list(csv.DictReader(io.StringIO(history.csv())))
    assert [row["epoch"] for row in rows] == ["1", "1.5"]


@pytest.mark.parametrize(
    "history",
    [
        some_history(),
        some_history()[:1],
        [Row(1, 0.5), Row(1.5, 0.25)],
        [Row(1, float("nan"), 0.1, float("inf"), 0.1)],
        [Row(1, 0.5, 0.5, 0.5, 0.5), Row(2, 0.5, 0.5, 0.5, 0.5)],
        [],
    ],
)
def test_history_as_a_picture(history: list[Row], tmp_path: Path) -> None:
    History(history).plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)


def test_the_picture_names_the_last_values(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):  # letters as letters
        some_history().plot(tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    for label in ("train 0.2000", "test 0.3000", "train 90.00%", "test 88.00%"):
        assert text.count(f">{label}<") == 1


# -- mistakes ----------------------------------------------------------------------


def test_worst_mistakes_come_first() -> None:
    labels = np.array([0, 0, 1, 1, 0])
    wrong = np.array([0.6, 0.3, 0.9, 0.2, 0.8])  # the probability of the other class
    probabilities = np.where(
        labels[:, None] == [[0, 1]], 1 - wrong[:, None], wrong[:, None]
    )
    np.testing.assert_array_equal(worst_first(labels, probabilities), [2, 4, 0])
    right = [1, 3]
    np.testing.assert_array_equal(
        worst_first(labels[right], probabilities[right]), [0, 1]
    )


@pytest.mark.parametrize(
    ("samples", "wrong", "title"),
    [
        (1200, 1200, "1,200 mistakes in 1,200 images; the 24 worst"),
        (50, 7, "7 mistakes in 50 images"),
        (50, 1, "1 mistake in 50 images"),
        (50, 0, "No mistake in 50 images; the 24 least certain"),
        (3, 0, "No mistake in 3 images; the 3 least certain"),
    ],
)
def test_picture_of_mistakes(
    samples: int, wrong: int, title: str, tmp_path: Path
) -> None:
    import matplotlib

    labels = np.arange(samples) % 2
    taken = np.where(np.arange(samples) < wrong, 1 - labels, labels)
    probabilities = np.where(taken[:, None] == [[0, 1]], 0.875, 0.125)
    images = np.random.rand(samples, 8, 8)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_mistakes(
            images, labels, probabilities, ["cat", "dog"], tmp_path / "mistakes.svg"
        )
    text = (tmp_path / "mistakes.svg").read_text()
    assert f">{title}<" in text
    assert (">is cat (12.5%)<" in text) == (wrong > 0)
    assert ">taken for dog (87.5%)<" in text


def test_pictures_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError) as error:
        some_history().plot("curves.png")
    assert str(error.value) == (
        "History.plot: expected the library 'matplotlib', which is not installed; "
        "write: pip install 'dezero[plot]'"
    )


# -- the loop ----------------------------------------------------------------------


def test_fit_is_the_loop_written_by_hand() -> None:
    x, t = points(50)
    model, by_hand = (MLP((8, 2)) for _ in range(2))
    model(x[:1]), by_hand(x[:1])
    for p, q in zip(model.params(), by_hand.params(), strict=True):
        q.data = p.data.copy()
    loader = Batches(x, t, 16)
    history = fit(
        model, SGD(0.5).setup(model), loader, loader, epochs=3, progress=quiet()
    )
    optimizer = SGD(0.5).setup(by_hand)
    for row in history:
        losses, right = [], 0.0
        for x_batch, t_batch in loader:
            y = by_hand(x_batch)
            loss = F.softmax_cross_entropy(y, t_batch)
            by_hand.cleargrads()
            loss.backward()
            optimizer.update()
            losses += [float(loss)] * len(t_batch)
            right += float((y.data.argmax(axis=1) == t_batch).sum())
        y = by_hand(x)
        assert row.loss == pytest.approx(np.mean(losses), rel=1e-6)
        assert row.accuracy == pytest.approx(right / 50)
        assert row.test_loss == pytest.approx(
            float(F.softmax_cross_entropy(y, t)), rel=1e-5
        )
        assert row.test_accuracy == pytest.approx((y.data.argmax(axis=1) == t).mean())
    assert [row.epoch for row in history] == [1, 2, 3]
    for p, q in zip(model.params(), by_hand.params(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_fit_calls_back_and_continues_a_history() -> None:
    x, t = points(20)
    model = L.Linear(2)
    seen: list[tuple[str, int, int, float]] = []

    def note(what: str, standing: Standing) -> None:
        seen.append((what, standing.epoch, standing.batch, standing.done))

    history = History([Row(4, 0.5)])
    returned = fit(
        model,
        SGD().setup(model),
        Batches(x, t, 10),
        epochs=2,
        history=history,
        progress=quiet(),
        on_batch=lambda standing: note("batch", standing),
        on_epoch=lambda standing: note("epoch", standing),
    )
    assert returned is history
    assert [row.epoch for row in history] == [4, 5, 6]
    assert history[-1].test_loss is None
    assert seen == [
        ("batch", 1, 1, 0.25),
        ("batch", 1, 2, 0.5),
        ("epoch", 1, 2, 0.5),
        ("batch", 2, 1, 0.75),
        ("batch", 2, 2, 1.0),
        ("epoch", 2, 2, 1.0),
    ]


def test_fit_a_line_without_accuracy() -> None:
    x = np.linspace(0, 1, 20, dtype=np.float32)[:, None]
    model = L.Linear(1)
    history = fit(
        model,
        SGD(0.5).setup(model),
        Batches(x, 3 * x + 1, 20),
        Batches(x, 3 * x + 1, 7),
        epochs=200,
        loss=F.mean_squared_error,
        accuracy=None,
        progress=quiet(),
    )
    assert history[-1].test_loss is not None
    assert history[-1].test_loss < 1e-3 < history[0].loss
    assert history[-1].accuracy is None
    assert history[-1].test_accuracy is None


def test_fit_says_what_it_cannot_do() -> None:
    x, t = points(4)
    model = L.Linear(2)
    optimizer = SGD().setup(model)
    with pytest.raises(ValueError) as error:
        fit(model, optimizer, Batches(x, t, 2), epochs=0)
    assert str(error.value) == "fit: expected epochs of at least 1, got 0"
    with pytest.raises(ValueError) as error:
        fit(model, optimizer, Batches(x[:0], t[:0], 2))
    assert str(error.value) == "fit: expected a loader with batches, got none"
    with pytest.raises(ValueError) as error:
        evaluate(model, Batches(x[:0], t[:0], 2))
    assert str(error.value) == "evaluate: expected a loader with batches, got none"


def test_fit_compiled_is_fit() -> None:
    x, t = points(50)
    loader = Batches(x, t, 16)  # the last batch has 2
    called: list[int] = []

    class Counting(MLP):
        def forward(self, x: Any) -> Any:
            called.append(len(x))
            return super().forward(x)

    models, histories, calls = [], [], []
    for compile in (False, True):
        np.random.seed(0)
        model = Counting((8, 2))
        optimizer = Adam(0.05).setup(model)

        def lower_rate(standing: Standing, optimizer: Adam = optimizer) -> None:
            optimizer.alpha = 0.05 * (1 - standing.done)

        history = fit(
            model,
            optimizer,
            loader,
            loader,
            epochs=10,
            progress=quiet(),
            on_batch=lower_rate,
            compile=compile,
        )
        models.append(model)
        histories.append(history)
        calls.append(len(called))
        called.clear()
    eager, compiled = histories
    for row, wanted in zip(compiled, eager, strict=True):
        assert row == pytest.approx(wanted, rel=1e-4)
    for p, q in zip(*(model.params() for model in models), strict=True):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-3, atol=1e-5)
    assert calls[0] == 10 * (4 + 4)
    assert calls[1] <= 4 * 2  # traced: two sizes of batches, each twice at most


def test_fit_compiled_says_what_cannot_be_compiled() -> None:
    x, t = points(4)
    model = L.Linear(2, in_size=2)
    before = model.W.data.copy()
    with pytest.raises(dezero.CompileError):
        fit(
            model,
            SGD().setup(model),
            Batches(x, t, 2),
            accuracy=lambda y, t: Variable(np.array(float(y.data.sum()))),
            progress=quiet(),
            compile=True,
        )
    np.testing.assert_array_equal(model.W.data, before)


def test_evaluate_changes_and_records_nothing() -> None:
    x, t = points(30)
    model = Sequential(L.Linear(4), L.BatchNorm(), F.dropout, L.Linear(2))
    with dezero.test_mode():
        y = model(x)
    before = [p.data.copy() for p in model.params()]
    scores = evaluate(model, Batches(x, t, 7))
    assert scores.loss == pytest.approx(float(F.softmax_cross_entropy(y, t)), rel=1e-5)
    assert scores.accuracy == pytest.approx((y.data.argmax(axis=1) == t).mean())
    for p, data in zip(model.params(), before, strict=True):
        np.testing.assert_array_equal(p.data, data)
        assert p.grad is None


# -- Ctrl-C ------------------------------------------------------------------------


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    done = []

    @uninterrupted()
    def work() -> None:
        press_ctrl_c()
        done.append("rest of the block")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_comes_before_ctrl_c() -> None:
    @uninterrupted()
    def work() -> float:
        press_ctrl_c()
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_blocks_elsewhere_leave_signals_alone() -> None:
    handlers = []

    def work() -> None:
        with uninterrupted():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler, signal.SIG_IGN]


def test_ctrl_c_leaves_whole_steps_and_their_history() -> None:
    x, t = points(40)
    model = MLP((4, 2))
    updates = []

    class Interrupted(SGD):
        def update(self) -> None:
            updates.append(None)
            if len(updates) == 6:
                press_ctrl_c()
            super().update()
            self.finished = len(updates)

    optimizer = Interrupted(0.5).setup(model)
    history = History()
    loader = Batches(x, t, 10)
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            optimizer,
            loader,
            loader,
            epochs=3,
            history=history,
            progress=quiet(),
        )
    assert optimizer.finished == 6
    assert [row.epoch for row in history] == [1, 1.5]
    assert history[0].test_loss is not None
    assert history[1].test_loss is None


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("train", [True, False])
def test_ctrl_c_within_the_model_waits_for_it(compile: bool, train: bool) -> None:
    x, t = points(40)
    history = History()

    class Interrupted(MLP):
        def forward(self, x: Any) -> Any:
            if dezero.Config.train is train:
                press_ctrl_c()  # while the step is traced, if it is compiled
            return super().forward(x)

    model = Interrupted((4, 2))
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            SGD().setup(model),
            Batches(x, t, 10),
            Batches(x, t, 10),
            history=history,
            progress=quiet(),
            compile=compile,
        )
    assert [row.epoch for row in history] == ([0.25] if train else [1])
    assert history[0].test_loss is None
    for param in model.params():
        assert type(param.data) is np.ndarray
        assert param.grad is not None and type(param.grad.data) is np.ndarray


def test_ctrl_c_while_testing_keeps_the_epoch() -> None:
    x, t = points(40)
    model = MLP((4, 2))

    class Impatient(Batches):
        def __iter__(self) -> Iterator[tuple[Any, Any]]:
            press_ctrl_c()
            return super().__iter__()

    history = History()
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            SGD().setup(model),
            Batches(x, t, 10),
            Impatient(x, t, 10),
            history=history,
            progress=quiet(),
        )
    assert [row.epoch for row in history] == [1]
    assert history[0].test_loss is None
