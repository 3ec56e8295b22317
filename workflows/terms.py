"""What a verb may be given, what that comes to, and how a wait is told to an operator."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from workflows.clock import Day, in_words, next_time
from workflows.definition import Event
from workflows.message_events import MessageEvent
from workflows.run import Receipt

ZERO = timedelta(0)
LONGEST = timedelta(days=3653)


def bounded(duration: timedelta) -> timedelta:
    """Return a duration that a run may wait: at least nothing. Raises TypeError, or ValueError beyond ten years."""
    if not isinstance(duration, timedelta):
        raise TypeError(f"a duration is a timedelta, not {duration!r}")
    if duration > LONGEST:
        raise ValueError(f"a wait of {duration.days} days is longer than the ten years a run may wait")
    return duration if duration > ZERO else ZERO


def moment_of(moment: time | datetime, now: datetime, where: ZoneInfo, on: Collection[Day], spread: timedelta) -> datetime:
    """Return the moment that `until` means, `spread` (this person's share of it) added. Raises ValueError for one that is none."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"until({moment!r}) has no time zone: use a `time` for the person's own, or an aware datetime")
        return moment + spread
    if moment.tzinfo is not None:
        raise ValueError(f"until({moment!r}): a `time` is read where the person is; leave its time zone out")
    if not on:
        raise ValueError("until(on=()) names no day it could ever be")
    return next_time(now, moment, where, on, spread)


def wanted(events: tuple[type[Event], ...], of: Receipt | None, where: Callable[[Any], bool] | None) -> Callable[[Event], bool]:
    """Return what tells whether a wait is for that event."""

    if of is None and where is None:
        return lambda event: isinstance(event, events)

    def fits(event: Event) -> bool:
        about = of is None or (isinstance(event, MessageEvent) and event.message == of.message)
        return isinstance(event, events) and about and (where is None or where(event))

    return fits


def summary(verb: str, key: str, deadline: datetime, now: datetime, where: ZoneInfo) -> str:
    """Say in a few words what a run waits for."""
    name = key.partition(":")[2] or key
    match verb:
        case "wait_for":
            return f"wait for {name}, {in_words(deadline - now)}"
        case "send":
            return f"{name} waits for its gate, {in_words(deadline - now)}"
    return f"until {deadline.astimezone(where):%a %d %b %Y %H:%M}"


def weighted(experiment: str, variants: Mapping[str, Any], weights: Mapping[str, int] | None) -> Mapping[str, int]:
    """Return the weights of an experiment's variants, equal ones unless given. Raises ValueError for those that do not fit."""
    weights = weights or dict.fromkeys(variants, 1)
    if set(weights) != set(variants) or min(weights.values(), default=0) < 0 or not sum(weights.values()):
        raise ValueError(
            f"split({experiment!r}): weights {dict(weights)!r} must name each of {list(variants)!r}, be at least 0, not all be 0"
        )
    return weights
