"""What came of the events that start a journey, or were meant to: the run they began, or why they began none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from events.explanation import TriggerTold
from events.sentences import moment, whole
from store.tables import AcceptedEvent, Run
from workflows.definition import EVENTS, Definition, refusal


def trigger(definition: Definition[Any], event: AcceptedEvent, runs: Sequence[Run], where: ZoneInfo) -> TriggerTold:
    """Say what came of an event. `runs` are the person's in that journey."""
    begun = next((run for run in runs if event.id is not None and run.trigger_id == event.id), None)
    why = f"it began run {begun.id}" if begun is not None else _why_none(definition, event, runs)
    return TriggerTold(
        event=event.name,
        message_id=event.message_id,
        at=event.accepted_at,
        status=event.status,
        error=event.error,
        run_id=begun.id if begun is not None else None,
        said=whole(f"{event.name!r} was accepted {moment(event.accepted_at, where)}: {why}"),
    )


def _why_none(definition: Definition[Any], event: AcceptedEvent, runs: Sequence[Run]) -> str:
    """Say why an event began no run."""
    match event.status:
        case "unknown" | "invalid":
            return f"it is {event.status} and starts nothing: {event.error}"
        case "dead":
            return f"our own code failed at it {event.attempts} times, so it is dead until it is replayed: {event.error}"
        case "pending":
            tried = f"; {event.attempts} attempts have failed: {event.error}" if event.error else ""
            return f"it waits to be routed{tried}"
    if event.reconsider is not None and definition.name in event.reconsider.split():
        return "it came while the run before it was closing, and waits to be considered again"
    if not event.starts:
        return "it was imported without --trigger, so it starts nothing"
    if event.run_id is not None:
        return f"it was told to run {event.run_id} alone, so it starts nothing"
    mine = [run for run in runs if event.emptied or run.key == _key(definition, event)]
    if (inside := next((run for run in mine if _is_inside(run, event.accepted_at)), None)) is not None:
        return f"they were in already, in run {inside.id}"
    ended = [run.ended_at for run in mine if run.ended_at is not None and run.ended_at <= event.accepted_at]
    no = refusal(definition.again, max(ended, default=None), event.accepted_at)
    return no or "it found no journey that it starts; this one may be newer than it"


def _key(definition: Definition[Any], event: AcceptedEvent) -> str:
    kind = EVENTS.get(event.name)
    return definition.key_of(kind, event.data) if kind is not None else ""


def _is_inside(run: Run, at: datetime) -> bool:
    return run.started_at <= at and (run.ended_at is None or at <= run.ended_at)


def resembles(name: str, triggers: Collection[str]) -> bool:
    """Say whether an event that nobody knows was probably meant to be one of these."""
    return bool(get_close_matches(_plain(name), [_plain(each) for each in triggers], n=1, cutoff=0.8))


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def entry(definition: Definition[Any], runs: Sequence[Run], now: datetime) -> str | None:
    """Say why the person may not enter a journey now, None if they may. Of one with a key, each key has a run of its own."""
    if definition.key is not None:
        return None
    if (inside := next((run for run in runs if run.ended_at is None), None)) is not None:
        return f"they are in it, in run {inside.id}"
    return refusal(definition.again, max((run.ended_at for run in runs if run.ended_at is not None), default=None), now)


def never(definition: Definition[Any]) -> str:
    """Say that nothing has come that starts a journey."""
    starts_on = " or ".join(repr(name) for name in sorted(definition.trigger_names))
    return f"Not enrolled: nothing has come of theirs that starts it; it starts on {starts_on}."
