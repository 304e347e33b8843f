"""Benchmarks: ``python -m benchmarks`` measures DeZero beside its peers.

Every process of it keeps to two cores, whatever the machine has: that says to each
library alike, before it is imported, how many threads to start.
"""

import os

CORES = 2

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
