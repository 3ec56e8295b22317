"""A simulated run on a line of time: what came in, what the run did, what was sent or held back and why, how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from studio.scenario import Scenario
from studio.witness import Lived
from workflows.clock import in_words, zone
from workflows.definition import Event
from workflows.happenings import Happening, Identify
from workflows.messages import Message
from workflows.simulated import Decided, Simulation
from workflows.told import INSTEAD

MINUTE = timedelta(minutes=1)
CAME, DID, SENT, HELD = "<-", "  ", "->", "-x"


def lines_of_life(lived: Lived) -> list[str]:
    """Tell each run of a life, the first thing first."""
    if not lived.runs:
        return [f"{_names(lived.scenario)}: nothing was started"]
    return [line for run in lived.runs for line in lines_of_run(run, lived.scenario)]


def lines_of_run(run: Simulation, scenario: Scenario | None = None) -> list[str]:
    """Tell a run. Without its scenario, what happened to the person is left out, and times are UTC."""
    rows = sorted([*_came(run, scenario), *_did(run)], key=lambda row: row[0])  # at one moment: first what came
    told = [f"  {when(at, run, scenario)}  {mark} {text}" for at, mark, text in rows]
    return [title(run, scenario), *told, f"  {ending(run, scenario)}"]


def title(run: Simulation, scenario: Scenario | None = None) -> str:
    """Name a run, with its person and the zone that its times are in."""
    where = where_at(run.started, scenario)
    whose = f" of {scenario.person.user.id}" if scenario else ""
    return f"{run.definition.name}{whose}, {where.key}"


def when(at: datetime, run: Simulation, scenario: Scenario | None) -> str:
    """Write a moment: the day of the run, and the clock where the person is then."""
    return f"day {(at - run.started).days:<3} {at.astimezone(where_at(at, scenario)):%a %d %b %H:%M}"


def ending(run: Simulation, scenario: Scenario | None = None) -> str:
    """Say how a run ended."""
    if run.ended is None:
        return "still open"
    why = f" on {run.reason}" if run.reason else ""
    return f"{when(run.ended, run, scenario)}  {run.status}{why}, after {in_words(run.elapsed)}"


def where_at(at: datetime, scenario: Scenario | None) -> ZoneInfo:
    """Return the zone that the person is in at that moment."""
    if scenario is None:
        return ZoneInfo("UTC")
    moved = [each.zone for moment, each in scenario.happenings if isinstance(each, Identify) and each.zone and moment <= at]
    return zone([scenario.person.user.zone, *moved][-1]) or zone(scenario.fallback_zone) or ZoneInfo("UTC")


def named(message: Message) -> str:
    """Name a message."""
    return f"{message.channel}/{message.template}"


def held(decided: Decided) -> str:
    """Name a message that was not sent, and why."""
    return f"{named(decided.message)} {decided.receipt.status}: {decided.receipt.reason}"


Row = tuple[datetime, str, str]


def _came(run: Simulation, scenario: Scenario | None) -> Iterator[Row]:
    for at, happening in scenario.happenings if scenario else ():
        if run.started <= at <= (run.ended or at):
            yield at, CAME, _happening(happening)


def _did(run: Simulation) -> Iterator[Row]:
    """Yield each step, and what became of its message, in the order in which the run took them; then what it stands in."""
    before, left = run.started, list(run.decided)
    for step in run.steps:
        while left and (left[0].step in (step.key, step.key + INSTEAD)):
            yield _message(left.pop(0), before)
        if not _is_receipt(step.outcome):
            yield step.at, DID, f"{step.key}: {_outcome(step.outcome)}"
        before = step.at
    yield from (_message(each, before) for each in left)


def _message(decided: Decided, since: datetime) -> Row:
    waited = decided.at - since
    late = f" (waited {in_words(waited)})" if waited >= MINUTE else ""
    sent = decided.receipt.status == "sent"
    return decided.at, SENT if sent else HELD, f"{_full(decided.message) if sent else held(decided)}{late}"


def _is_receipt(outcome: Any) -> bool:
    return isinstance(outcome, dict) and "status" in outcome


def _outcome(outcome: Any) -> str:
    match outcome:
        case None:
            return "time was up"
        case bool(yes):
            return "yes" if yes else "no"
        case int():
            return "it came"
    return str(outcome)


def _happening(happening: Happening) -> str:
    if isinstance(happening, Event):
        return " ".join([happening.name, *_said(happening.model_dump(exclude_defaults=True))])
    return " ".join([type(happening).__name__, *_said({name: value for name, value in vars(happening).items() if value})])


def _full(message: Message) -> str:
    return " ".join([named(message), *_said(message.data)])


def _said(data: Any) -> list[str]:
    return [f"{name}={value!r}" for name, value in data.items()]


def _names(scenario: Scenario) -> str:
    return ", ".join(each.name for each in scenario.journeys)


def lines_of_lives(lives: Sequence[Lived]) -> list[str]:
    """Tell several lives, with a free line between two."""
    told = ["\n".join(lines_of_life(each)) for each in lives]
    return "\n\n".join(told).splitlines()
