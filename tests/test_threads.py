"""Shares of a loop on several threads, while BLAS keeps to one."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dezero.backend import threads
from dezero.backend.threads import in_shares


class Blas:
    """Stands for OpenBLAS: a number of threads that can be asked and told."""

    def __init__(self, count: int) -> None:
        self.count = count

    def get(self) -> int:
        return self.count

    def set(self, count: int) -> None:
        self.count = count


@pytest.fixture
def blas(monkeypatch: pytest.MonkeyPatch) -> Blas:
    blas = Blas(3)
    monkeypatch.setattr(threads, "_blas_switches", lambda: (blas.get, blas.set))
    return blas


def test_equal_shares_in_order_each_on_its_thread(blas: Blas) -> None:
    together = threading.Barrier(3, timeout=30)

    def work(start: int, stop: int) -> tuple[int, int, int, int]:
        together.wait()  # only returns if all three run at once
        return start, stop, blas.count, threading.get_ident()

    shares = in_shares(work, 10)
    assert [share[:3] for share in shares] == [(0, 3, 1), (3, 6, 1), (6, 10, 1)]
    assert len({share[3] for share in shares}) == 3
    assert blas.count == 3


def test_no_more_shares_than_work(blas: Blas) -> None:
    assert in_shares(lambda start, stop: (start, stop), 2) == [(0, 1), (1, 2)]
    assert in_shares(lambda start, stop: (start, stop), 0) == [(0, 0)]


def test_shares_of_a_share_stay_on_its_thread(blas: Blas) -> None:
    def work(start: int, stop: int) -> list[int]:
        return in_shares(lambda *_: threading.get_ident(), 5)

    idents = in_shares(work, 3)
    assert [len(ident) for ident in idents] == [1, 1, 1]
    assert blas.count == 3


@pytest.mark.parametrize("failing", [0, 2])
def test_an_error_in_a_share_is_raised_and_blas_restored(
    blas: Blas, failing: int
) -> None:
    def work(start: int, stop: int) -> None:
        if start == failing:
            raise ValueError(f"share from {start}")

    with pytest.raises(ValueError, match=f"share from {failing}"):
        in_shares(work, 3)
    assert blas.count == 3


def test_numpy_settings_hold_in_every_share(blas: Blas) -> None:
    with np.errstate(divide="ignore"):
        shares = in_shares(lambda start, stop: np.geterr()["divide"], 3)
    assert shares == ["ignore"] * 3


def test_without_openblas_there_is_one_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_blas_switches", lambda: None)
    assert in_shares(lambda start, stop: (start, stop), 5) == [(0, 5)]


def test_the_blas_of_numpy_is_restored() -> None:
    switches = threads._blas_switches()
    if switches is None:
        pytest.skip("NumPy was built with another BLAS")
    before = switches[0]()
    during = in_shares(lambda start, stop: switches[0](), 4)
    assert set(during) == {1}
    assert len(during) == min(before, 4)
    assert switches[0]() == before
