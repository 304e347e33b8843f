"""Switches: where they hold, when they end, and what the debug switch sees."""

from __future__ import annotations

import asyncio
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Config, Function, Variable, no_grad, test_mode, using_config
from dezero.config import Switches, switches
from dezero.errors import GradientError

NAMES = ("enable_backprop", "train", "debug")


# -- where a switch holds -----------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_using_config_sets_and_restores(name: str) -> None:
    before = getattr(Config, name)
    with using_config(name, not before):
        assert getattr(Config, name) is not before
        assert switches.get() != Switches()
    assert switches.get() == Switches()


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_is_restored_after_an_error(name: str) -> None:
    with pytest.raises(KeyError), using_config(name, not getattr(Config, name)):
        raise KeyError
    assert switches.get() == Switches()


def test_no_grad_and_test_mode_nest() -> None:
    x = Variable(np.array(2.0))
    with no_grad():
        with test_mode():
            assert (Config.enable_backprop, Config.train) == (False, False)
            with using_config("enable_backprop", True):
                assert (Config.enable_backprop, Config.train) == (True, False)
                assert (x * 2).creator is not None
            with no_grad():
                pass
            assert (x * 2).creator is None
        assert (Config.enable_backprop, Config.train) == (False, True)
    assert (x * 2).creator is not None
    assert switches.get() == Switches()


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def double(x: Variable) -> Variable:
        return x * 2

    x = Variable(np.array(2.0))
    assert double(x).creator is double(x).creator is None
    assert Config.enable_backprop


def test_setting_by_attribute() -> None:
    with using_config("train", True):  # so that the test leaves no trace
        Config.train = False
        assert not Config.train
        assert Config.enable_backprop
    assert Config.train


def test_backward_runs_under_no_grad_and_records_only_if_asked() -> None:
    x = Variable(np.array(3.0))
    y = x * x * x
    with no_grad():
        y.backward()
        assert x.grad.creator is None
        x.cleargrad()
        y.backward(create_graph=True)
        gx = x.grad
        assert not Config.enable_backprop
    x.cleargrad()
    gx.backward()
    assert x.grad.data == 18


def test_switches_are_local_to_a_thread() -> None:
    inside, outside = threading.Event(), threading.Event()
    seen: dict[str, Any] = {}

    def work() -> None:
        seen["at first"] = switches.get()
        with using_config("train", False):
            inside.set()
            outside.wait(10)
            seen["later"] = (Config.train, Config.enable_backprop)

    with no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        assert inside.wait(10)
        assert (Config.train, Config.enable_backprop) == (True, False)
    outside.set()
    thread.join()
    assert seen == {"at first": Switches(), "later": (False, True)}


def test_switches_are_local_to_an_async_task() -> None:
    order: list[str] = []

    async def evaluate() -> tuple[bool, bool]:
        with no_grad(), test_mode():
            order.append("evaluate")
            await asyncio.sleep(0)
            order.append("evaluate")
            return Config.enable_backprop, Config.train

    async def train() -> tuple[bool, bool]:
        order.append("train")
        await asyncio.sleep(0)
        order.append("train")
        return Config.enable_backprop, Config.train

    async def both() -> list[tuple[bool, bool]]:
        return await asyncio.gather(evaluate(), train())

    assert asyncio.run(both()) == [(False, False), (True, True)]
    assert order == ["evaluate", "train"] * 2


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("enable_backprob", "; did you mean 'enable_backprop'?"),
        ("trian", "; did you mean 'train'?"),
        ("xyz", ""),
    ],
)
def test_an_unknown_switch(wrong: str, hint: str) -> None:
    message = (
        f"Config: expected one of enable_backprop, train, debug, got '{wrong}'{hint}"
    )
    attempts: list[Callable[[], Any]] = [
        lambda: getattr(Config, wrong),
        lambda: setattr(Config, wrong, True),
        lambda: using_config(wrong, True).__enter__(),
    ]
    for attempt in attempts:
        with pytest.raises(AttributeError, match=f"^{re.escape(message)}$"):
            attempt()


def test_config_prints_its_switches() -> None:
    assert repr(Config) == (
        "Config(Switches(enable_backprop=True, train=True, debug=False))"
    )


# -- debug: the first NaN -----------------------------------------------------------


def warnings_of(compute: Callable[[], Any]) -> list[str]:
    with (
        warnings.catch_warnings(record=True) as caught,
        np.errstate(all="ignore"),
        using_config("debug", True),
    ):
        warnings.simplefilter("always")
        compute()
    assert all(w.category is RuntimeWarning for w in caught)
    return [str(w.message) for w in caught]


def test_nan_is_reported_where_it_first_comes_up() -> None:
    x = Variable(np.array([1.0, -1.0]))
    message = (
        "Log: expected finite numbers, got NaN from inputs of shape (2,), which had "
        "none"
    )
    assert warnings_of(lambda: F.sum(F.log(x * 1.0) * 2) + 1) == [message]


def test_nan_in_one_of_several_outputs() -> None:
    class Roots(Function):
        def forward(self, x0: Any, x1: Any) -> Any:
            return np.sqrt(x0), np.sqrt(x1)

    message = (
        "Roots: expected finite numbers, got NaN from inputs of shape (), (2, 1), "
        "which had none"
    )
    assert warnings_of(lambda: Roots()(1.0, -np.ones((2, 1)))) == [message]


def test_nan_that_backward_makes() -> None:
    def compute() -> None:
        x = Variable(np.zeros(3))
        y = F.sqrt(x * 0.0)  # infinite slope, times 0
        y.backward()

    assert warnings_of(compute) == [
        "Mul: expected finite numbers, got NaN from inputs of shape (3,), (), which "
        "had none"
    ]


def test_nan_in_the_data_is_nobodys_fault() -> None:
    x = Variable(np.array([np.nan, 1.0]))
    assert warnings_of(lambda: F.exp(x * 2)) == []
    assert warnings_of(lambda: F.sum(np.arange(3))) == []


def test_without_debug_nothing_is_said() -> None:
    with np.errstate(all="ignore"):
        y = F.log(Variable(np.array(-1.0)))
    assert np.isnan(y.data)


# -- debug: writes behind the graph -------------------------------------------------


def written(function: str, role: str, who: str) -> str:
    return (
        f"{function}.backward: expected the data of its {role} {who} as it was in "
        "forward, got data written since; call backward() before you write, or "
        "compute with x.copy()"
    )


def test_a_write_into_an_element_behind_the_graph() -> None:
    x = Variable(np.ones(3), name="x")
    with using_config("debug", True):
        y = x * x
        x.data[0] = 5
        message = written("Mul", "input", "'x'")
        with pytest.raises(GradientError, match=f"^{re.escape(message)}$"):
            y.backward()
    assert x.grad is None
    assert not Config.debug


def test_a_write_into_an_output_behind_the_graph() -> None:
    x = Variable(np.ones(3))
    with using_config("debug", True):
        h = F.exp(x)
        h.data[0] = 5  # Exp makes its derivative from it
        y = h * 2
        message = written("Exp", "output", "of shape (3,)")
        with pytest.raises(GradientError, match=f"^{re.escape(message)}$"):
            y.backward()
    assert x.grad is None


def test_debug_sees_nothing_where_nothing_was_written() -> None:
    class Split(Function):
        def forward(self, x: Any) -> Any:
            return x * 2, x * 3

        def backward(self, gy0: Variable, gy1: Variable) -> Variable:
            return gy0 * 2 + gy1 * 3

    x = Variable(np.ones(3))
    with using_config("debug", True):
        y = F.sum(Split()(x)[1] * x + F.exp(x) ** 2)  # one output is gone
        y.backward(create_graph=True)
        gx = x.grad
        x.cleargrad()
        gx.backward()
    np.testing.assert_allclose(x.grad.data, 6 + 4 * np.exp(2))


def test_graphs_made_with_and_without_debug_meet() -> None:
    x0, x1 = Variable(np.ones(3)), Variable(np.ones(3))
    sin = F.Sin()
    with using_config("debug", True):
        a = sin(x0)
    b = sin(x1 * 2)  # the same Function, of other data, unobserved
    x1.data[0] = 5
    with using_config("debug", True):
        (a + b).backward()
    assert x0.grad.data.tolist() == np.cos(np.ones(3)).tolist()


def test_debug_does_not_change_results() -> None:
    def gradient() -> Any:
        x = Variable(np.linspace(0, 1, 5).astype(np.float32))
        y = F.sum(F.tanh(x * 2.0) / (x + 1))
        y.backward()
        return x.grad.data

    with using_config("debug", True):
        debugged = gradient()
    assert debugged.dtype == np.float32
    assert debugged.tolist() == gradient().tolist()


def test_dezero_has_the_switches_of_the_book() -> None:
    assert dezero.Config is Config
    assert dezero.using_config is using_config
