"""How alive is a person's use of the product? One of five states, from when they acted and what time it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from workflows.definition import Event

NEW = "new"
ACTIVE = "active"
AT_RISK = "at_risk"
DORMANT = "dormant"
RESURRECTED = "resurrected"
LONGEST = timedelta(days=36_525)  # a century: beyond, there are no dates to reckon with
STATES = (NEW, ACTIVE, AT_RISK, DORMANT, RESURRECTED)


@dataclass(frozen=True)
class Lifecycle:
    """The thresholds of the states. `counts` holds the wire names of what counts as acting; empty: all that apps send.

    Every end is exclusive of the state before it: at `at_risk_after` to the microsecond, a person is at risk.
    """

    new_for: timedelta = timedelta(days=7)
    at_risk_after: timedelta = timedelta(days=14)
    dormant_after: timedelta = timedelta(days=30)
    resurrected_for: timedelta = timedelta(days=14)
    counts: tuple[str, ...] = ()

    @property
    def horizon(self) -> timedelta:
        """How far back what somebody did can still decide, but for when they did something first."""
        return self.dormant_after + self.resurrected_for

    def state(self, since: datetime, acted: Sequence[datetime], now: datetime) -> str:
        """Return the state at `now` of a person known `since` then who acted at those moments, sorted.

        What lies further back than the horizon may be left out of `acted`; what lies after `now` decides nothing.
        """
        past = [each for each in acted if each <= now]
        quiet = now - (past[-1] if past else since)
        if quiet >= self.dormant_after:
            return DORMANT
        if quiet >= self.at_risk_after:
            return AT_RISK
        if now < since + self.new_for:
            return NEW
        returned = self._returned(since, past)
        return RESURRECTED if returned is not None and now < returned + self.resurrected_for else ACTIVE

    def turns(self, since: datetime, acted: Sequence[datetime], now: datetime) -> datetime | None:
        """Return the earliest moment after `now` at which time alone may change the state; None if it never does."""
        past = [each for each in acted if each <= now]
        last = past[-1] if past else since
        ends = [since + self.new_for, last + self.at_risk_after, last + self.dormant_after]
        if (returned := self._returned(since, past)) is not None:
            ends.append(returned + self.resurrected_for)
        return min((end for end in [*ends, *acted] if end > now), default=None)

    def _returned(self, since: datetime, past: Sequence[datetime]) -> datetime | None:
        """Return when the person last acted after as long a silence as makes them dormant."""
        silences = pairwise([since, *past])
        return max((after for before, after in silences if after - before >= self.dormant_after), default=None)


DECLARED: list[tuple[Lifecycle, str]] = []


def lifecycle(
    *,
    new_for: timedelta = Lifecycle.new_for,
    at_risk_after: timedelta = Lifecycle.at_risk_after,
    dormant_after: timedelta = Lifecycle.dormant_after,
    resurrected_for: timedelta = Lifecycle.resurrected_for,
    counts: Sequence[type[Event]] = (),
) -> Lifecycle:
    """Declare the thresholds, at most once in the journeys folder.

    New for `new_for` since they are known; at risk and dormant after that much silence; resurrected for `resurrected_for`
    since they acted again after a silence of `dormant_after`; otherwise active. `counts` is what counts as acting: every
    event that apps send unless given. Raises TypeError, with the place, for thresholds that contradict each other.
    """
    frame = sys._getframe(1)
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    if DECLARED:
        raise TypeError(f"{place}: the lifecycle is declared already, at {DECLARED[0][1]}; declare it once")
    if not timedelta(0) <= new_for <= at_risk_after < dormant_after or not timedelta(0) <= resurrected_for:
        raise TypeError(f"{place}: new_for, at_risk_after and dormant_after must grow in that order, and none be negative")
    if max(dormant_after, resurrected_for) > LONGEST:
        raise TypeError(f"{place}: dormant_after and resurrected_for are at most 100 years")
    made = Lifecycle(new_for, at_risk_after, dormant_after, resurrected_for, tuple(sorted(event.name for event in counts)))
    DECLARED.append((made, place))
    return made


def in_force() -> Lifecycle:
    """Return the lifecycle that was declared, or the one that holds where none was."""
    return DECLARED[0][0] if DECLARED else Lifecycle()
