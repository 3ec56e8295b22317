"""A backtest, whole: put the events aside, live every life as the journey has it, and as another version or the past has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from backtest.asked import SENT, STORE, Asked, fingerprint
from backtest.comparing import compared
from backtest.keeping import kept_in
from backtest.lives import EVERYWHERE
from backtest.living import Task, lives_of
from backtest.records import LATEST, MICROSECOND, micros, moment
from backtest.running import Aside, Watch, Workers, live_all, sort_file
from backtest.summary import CANNOT_KNOW, FROM_FILE, FROM_STORE, TAKEN, of_events, summary
from backtest.tally import Tally
from engine.cache import cache_folder
from loading import NoJourneys, load
from settings import Settings
from workflows.definition import Definition, current

SHOWN = 5
WORTH_IT = 8 << 20  # bytes
UNZIPPED = 10  # times as long as what is zipped, about


def backtest(asked: Asked, settings: Settings, watch: Watch) -> dict[str, Any]:
    """Say what the journey would have done: the answers of `backtest.summary`, for each side, and what cannot be known.

    Interrupted and asked for again, it goes on where it was. Raises NoJourneys, BadJourneys, BadFile, UnderWay or Died.
    """
    load(asked.journeys)
    definition = current(asked.journey)
    if definition is None:
        raise NoJourneys(f"there is no journey {asked.journey!r} in {asked.journeys}; `sojourn journeys` lists them")
    name = fingerprint(asked, settings.zone, _stored(settings) if asked.events == STORE else ())
    with kept_in(asked.work or cache_folder() / "backtests", name) as work:
        return _run(asked, definition, settings, work, watch)


def _run(asked: Asked, definition: Definition[Any], settings: Settings, work: Path, watch: Watch) -> dict[str, Any]:
    workers = Workers(asked.journeys, _processes(asked), loaded=True)
    aside = _from_store(settings, work, watch) if asked.events == STORE else sort_file(Path(asked.events), work, workers, watch)
    task = _task(asked, aside, settings)
    here = live_all(aside, task, work / "here", workers, watch)
    there = _other_side(asked, definition, aside, task, settings, work, watch) if asked.against else None
    found = _found(asked, definition, aside, task, here, there)
    found["compared"] = compared(work / "here", work / "there", aside.parts).to_json() if there else None
    if asked.lives is not None:
        _write_lives(asked.lives, work / "here", aside.parts)
    return found


def _processes(asked: Asked) -> int:
    """Return how many processes it is worth: none beside this one for what is read in less time than they take to start."""
    file = Path(asked.events)
    if asked.events == STORE or not file.is_file():
        return asked.processes
    length = file.stat().st_size * (UNZIPPED if file.suffix == ".gz" else 1)
    return asked.processes if length >= WORTH_IT else 1


def _stored(settings: Settings) -> Sequence[int]:
    from backtest.stored import how_far  # a file needs no store

    return how_far(settings)


def _from_store(settings: Settings, work: Path, watch: Watch) -> Aside:
    from backtest.stored import sort_store

    return sort_store(settings, work, watch)


def _task(asked: Asked, aside: Aside, settings: Settings) -> Task:
    last = aside.known.last or 0
    return Task(
        journey=asked.journey,
        opens=None if asked.opens is None else micros(asked.opens),
        until=min(last + 1, LATEST) if asked.until is None else micros(asked.until),  # so that the last event itself still happens
        reachable=_taken(asked, aside),
        fallback_zone=settings.zone,
        beside=asked.beside,
        telling=bool(asked.against or asked.lives),
    )


def _taken(asked: Asked, aside: Aside) -> frozenset[str]:
    if asked.reachable is not None:
        return asked.reachable
    return frozenset() if aside.known.addressed else EVERYWHERE


def _other_side(
    asked: Asked, definition: Definition[Any], aside: Aside, task: Task, settings: Settings, work: Path, watch: Watch
) -> Tally:
    if asked.against == SENT:
        from backtest.really import really_sent

        return really_sent(settings, definition, task, aside.parts, work / "there", watch)
    other = Workers(_folder(asked, definition, work), _processes(asked))
    return live_all(aside, task, work / "there", other, lambda doing, done, of: watch("beside", done, of))


def _folder(asked: Asked, definition: Definition[Any], work: Path) -> Path:
    """Return the folder of journeys to compare with: a file takes the place of the one in which the journey is."""
    against = Path(asked.against).resolve()
    if against.is_dir():
        return against
    if not against.is_file():
        raise NoJourneys(f"--against: there is no file or folder {asked.against}; `{SENT}` stands for what was really sent")
    copy = work / "against"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(asked.journeys, copy, ignore=shutil.ignore_patterns("__pycache__"))
    module = Path(definition.place.rpartition(":")[0]).resolve().relative_to(asked.journeys)
    shutil.copyfile(against, copy / module)
    return copy


def _found(asked: Asked, definition: Definition[Any], aside: Aside, task: Task, here: Tally, there: Tally | None) -> dict[str, Any]:
    events, to = of_events(aside.known, here), moment(task.until) - (MICROSECOND if asked.until is None else timedelta(0))
    opens = asked.opens.isoformat() if asked.opens else None
    return {
        "journey": asked.journey,
        "goal": definition.goal.name if definition.goal else None,
        "source": "the store" if asked.events == STORE else Path(asked.events).name,
        "from": opens,
        "begins": opens or events["first"] or to.isoformat(),
        "to": to.isoformat(),
        "events": events,
        "here": {"name": "as it is", **summary(here)},
        "there": None if there is None else {"name": _name(asked.against), **summary(there)},
        "compared": None,
        "cannot_know": list(_cannot_know(asked, aside, task)),
        "odd": list(_odd(events, there=asked.events == STORE)),
    }


def _name(against: str) -> str:
    return "really sent" if against == SENT else Path(against).name


def _cannot_know(asked: Asked, aside: Aside, task: Task) -> Iterator[str]:
    yield from CANNOT_KNOW
    yield FROM_STORE if asked.events == STORE else FROM_FILE
    if task.reachable:
        why = "you said so" if asked.reachable is not None else "no call names an address or a device"
        yield TAKEN.format(why=why, channels=", ".join(sorted(task.reachable)))


def _odd(events: Mapping[str, Any], *, there: bool) -> Iterator[str]:
    """Say what of the events was left out, and why."""
    if events["refused"]:
        such = "; ".join(f"line {each['line']}: {each['reason']}" for each in events["refused_such_as"][:SHOWN])
        yield f"lines that are no calls, {events['refused']:,} in all: {such}"
    if events["repeated"]:
        yield f"calls whose message id had come before, {events['repeated']:,} in all"
    for kind, why in (
        ("unknown_events", "events that no journey knows"),
        ("not_for_apps", "events that only Sojourn itself may send"),
        ("invalid_events", "events that do not fit their class"),
    ):
        if some := events[kind]:
            such = ", ".join(f"{name} ({count:,})" for name, count in list(some.items())[:SHOWN])
            yield f"{why}, {sum(some.values()):,} in all: {such}"


def _write_lives(file: Path, results: Path, parts: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        for part in range(parts):
            out.write(lives_of(results, part).read_text(encoding="utf-8"))
