"""How much memory does a worker hold with runs parked in a wait, beside the bare workflow?"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

from bench.house import House
from bench.runs import begin_bare, begin_ours, sent_to_all


async def ours(up: House, people: Sequence[str]) -> float:
    """Park a run for each of them; return by how many MiB this process has grown."""
    before = resident_mib()
    parked = sent_to_all(up.provider, people, 1)
    await begin_ours(up, people)
    await parked
    return resident_mib() - before


async def bare(up: House, people: Sequence[str]) -> float:
    """The same with the bare workflow."""
    before = resident_mib()
    parked = sent_to_all(up.bare, people, 1)
    await begin_bare(up, people)
    await parked
    return resident_mib() - before


def resident_mib() -> float:
    """Return what this process holds in memory, in MiB (Linux: VmRSS of /proc/self/status)."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
