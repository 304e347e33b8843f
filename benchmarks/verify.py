"""Whether all peers compute the same: from the same weights, the same losses."""

from __future__ import annotations

import math

from benchmarks.peers import Candidate, Peer, left_out, start, table
from benchmarks.works import WORKS

STEPS = 5
FIRST, LATER = 1e-4, 1e-3  # how far apart losses may be, before and after the steps


def verify(works: list[str], candidates: list[Candidate]) -> bool:
    """Print the losses; give whether any is too far from those of eager DeZero."""
    peers = start(candidates)
    rows = []
    failed = False
    for work in works:
        losses = {peer.name: _losses(peer, work) for peer in peers}
        cells = [_cell(found, losses["dezero"]) for found in losses.values()]
        failed |= any("**" in cell for cell in cells)
        rows.append([WORKS[work].text, *cells])
    for peer in peers:
        peer.close()
    titles = [peer.title for peer in peers]
    print(table([f"loss, and after {STEPS} steps", *titles], rows))
    return failed


def _losses(peer: Peer, work: str) -> list[float] | None:
    """None if the peer has no such work, NaN if it fails."""
    try:
        losses: list[float] | None = peer.ask("losses", work=work, steps=STEPS + 1)
    except RuntimeError as error:
        left_out(error)
        return [math.nan] * (STEPS + 1)
    return losses


def _cell(losses: list[float] | None, expected: list[float] | None) -> str:
    if losses is None or expected is None:
        return ""
    apart = [abs(a - b) / max(1, abs(b)) for a, b in zip(losses, expected, strict=True)]
    agrees = apart[0] <= FIRST and apart[-1] <= LATER  # never with NaN
    cell = f"{losses[0]:.5f} → {losses[-1]:.5f}"
    return cell if agrees else f"{cell} **differs**"
