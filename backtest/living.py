"""What one process does for a backtest: it loads the journeys once, then takes up one part after another."""

from __future__ import annotations

import gc
import json
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from backtest.cutting import Piece
from backtest.linking import linked_names
from backtest.lives import Setting, lived, people
from backtest.parting import Known, sort_out, taken_up
from backtest.records import moment
from backtest.tally import Tally
from backtest.told import told
from loading import BadJourneys, NoJourneys, load
from workflows.definition import current, newest
from workflows.life import Cast
from workflows.policy import in_force

FEW_COLLECTIONS = 10_000  # allocations between two: lives are let go of by themselves, and seldom need one


@dataclass(frozen=True)
class Task:
    """How lives are to be lived. Moments are microseconds since 1970; `beside` lets the other journeys run too."""

    journey: str
    opens: int | None
    until: int
    reachable: frozenset[str]
    fallback_zone: str
    beside: bool = False
    telling: bool = False  # write down each life, too


_failed: list[str] = []  # why the journeys could not be loaded, in this process


def prepare(journeys: Path) -> None:
    """Load the journeys, in a process of its own. An interrupt is for the one that has begun it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        load(journeys)
    except (NoJourneys, BadJourneys, TypeError) as error:
        _failed.append(str(error))
    gc.collect()
    gc.freeze()
    gc.set_threshold(FEW_COLLECTIONS)


def sort(piece: Piece, parts: int, folder: Path) -> Known:
    """Put a piece of the file aside, by person."""
    return sort_out(piece, parts, folder)


def live_part(part: int, task: Task, records: Path, results: Path) -> Tally:
    """Live the lives of one part; what came of them is on disk before it returns."""
    setting, tally, lines = _setting(task), Tally(), list[str]()
    is_moved = linked_names(records)
    for name, theirs in people(taken_up(records, part)):
        if is_moved(name):
            continue
        life = lived(name, theirs, setting)
        tally.add(life, task.journey)
        if task.telling and (line := told(life, task.journey)) is not None:
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    if task.telling:
        lives_of(results, part).write_text("".join(lines), encoding="utf-8")
    new = results / f"{part:04d}.new"
    new.write_text(json.dumps(tally.to_json()), encoding="utf-8")
    new.rename(tally_of(results, part))
    return tally


def tally_of(results: Path, part: int) -> Path:
    """Return where a part's tally is kept, once all of it has been lived."""
    return results / f"{part:04d}.json"


def lives_of(results: Path, part: int) -> Path:
    """Return where a part's lives are told, in the order of their people's names."""
    return results / f"{part:04d}.lives"


@cache
def _setting(task: Task) -> Setting:
    for why in _failed:
        raise BadJourneys(why)
    if (journey := current(task.journey)) is None:
        raise NoJourneys(f"there is no journey {task.journey!r} in what it is to be compared with")
    cast = newest() if task.beside else [journey]
    opens = None if task.opens is None else moment(task.opens)
    return Setting(Cast(cast, in_force(), task.fallback_zone, opens), moment(task.until), task.reachable)
