"""Of the runs that are open on a server: how many stand at which step, and the histories of a few at each."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from temporalio.client import Client

from studio.executions import OPEN, Execution, Told, asked, executions
from studio.gate import Line
from studio.recorded import Recorded
from studio.recording import Passed, taken

AT_ONCE = 16
Version = tuple[str, int]


@dataclass(frozen=True)
class Sample:
    """What was found on a server: how many runs are open, the lines of those looked at, and the histories of some of them.

    `silent` is how many of those looked at did not say their steps: no worker answered, or one of a release that cannot.
    """

    open: Mapping[Version, int]
    lines: Mapping[Version, Sequence[Line]]
    histories: Sequence[Recorded]
    silent: int


async def sample(client: Client, *, each: int, look: int, journey: str, passed: Passed) -> Sample:
    """Look at so many open runs of each journey's version, and take so many histories at each step that they stand at.

    All are counted, in pages of a thousand; those looked at are chosen by chance, the same each time. Raises RPCError.
    """
    counts, chosen = await _chosen(client, look, journey)
    told = await _asked(client, [one for some in chosen.values() for one in some], passed)
    at_step: dict[tuple[Version, str], list[Execution]] = defaultdict(list)
    lines: dict[Version, list[Line]] = defaultdict(list)
    for one, said in told:
        at_step[(one.journey, one.version), said.standing.partition("#")[0] if said else ""].append(one)
        if said and said.steps is not None:
            lines[one.journey, one.version].append(said.steps)
    silent = {one for one, said in told if said is None or said.steps is None}
    histories = await taken(client, [one for some in at_step.values() for one in some[:each]], passed, silent)
    return Sample(counts, lines, histories, len(silent))


async def _chosen(client: Client, look: int, journey: str) -> tuple[Counter[Version], dict[Version, list[Execution]]]:
    """Count the open runs, and choose so many of each journey's version, each as likely as any other."""
    chance = Random(0)
    counts, chosen = Counter[Version](), dict[Version, list[Execution]]()
    async for one in executions(client, OPEN):
        if journey and one.journey != journey:
            continue
        version = one.journey, one.version
        counts[version] += 1
        some = chosen.setdefault(version, [])
        if len(some) < look:
            some.append(one)
        elif (place := chance.randrange(counts[version])) < look:
            some[place] = one
    return counts, chosen


async def _asked(client: Client, runs: Sequence[Execution], passed: Passed) -> list[tuple[Execution, Told | None]]:
    """Ask each run for its steps, a few at once; no more of them once a whole handful has not answered."""
    told: list[tuple[Execution, Told | None]] = []
    for start in range(0, len(runs), AT_ONCE):
        some = runs[start : start + AT_ONCE]
        said = await asyncio.gather(*(asked(client, one) for one in some))
        told += zip(some, said, strict=True)
        passed("runs looked at", len(told), len(runs))
        if not any(said):
            return told + [(one, None) for one in runs[start + AT_ONCE :]]
    return told
