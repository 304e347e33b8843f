"""Compiled steps beside each other: their time, their first call, their memory."""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.peers import (
    Candidate,
    Peer,
    Times,
    left_out,
    measure,
    start,
    table,
    table_of_times,
)
from benchmarks.works import WORKS

STEPS = 20  # until the memory of a work has been seen


def compare_compiled(
    works: list[str], candidates: list[Candidate], rounds: int
) -> None:
    """Every work in processes of its own: nothing is compiled, nor allocated, yet."""
    times: dict[str, Times] = {}
    begun: dict[str, dict[str, dict[str, str]]] = {}
    titles: dict[str, str] = {}
    for work in works:
        peers = start(candidates)
        candidates = [c for c in candidates if c.name in {peer.name for peer in peers}]
        titles = titles or {peer.name: peer.title for peer in peers}
        begun[work] = {}
        for peer in list(peers):
            try:
                begun[work][peer.name] = _begin(peer, work)
            except RuntimeError as error:
                left_out(error)
                peers.remove(peer)
        times[work] = measure(peers, work, rounds)
        for peer in peers:
            peer.close()
        print(work, file=sys.stderr)
    print(table_of_times(times, titles))
    for question in ("first call", "memory of the first call", "memory of later steps"):
        rows = [
            [
                WORKS[work].text,
                *(begun[work].get(p, {}).get(question, "") for p in titles),
            ]
            for work in works
        ]
        print("\n" + table([question, *titles.values()], rows))


def _begin(peer: Peer, work: str) -> dict[str, Any]:
    before = peer.ask("memory")
    first = peer.ask("first", work=work)
    if first is None:
        return {}
    figures = {"first call": f"{first:.2f} s"}
    if before is None:
        return figures
    for when in ("the first call", "later steps"):
        if when == "later steps":
            peer.ask("seconds", work=work, steps=STEPS, warmup=0)
        used = peer.ask("memory")["peak"] - before["now"]
        figures[f"memory of {when}"] = f"{used / 1e6:.0f} MB"
    return figures
