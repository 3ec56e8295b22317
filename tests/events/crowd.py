"""A crowd's events and segments, for the tests of who belongs where."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta

from workflows import lifecycle
from workflows.definition import EVENTS, Event
from workflows.lifecycle import AT_RISK, DORMANT, Lifecycle
from workflows.message_events import MessageEvent
from workflows.segments import SEGMENTS, Segment, hasnt, performed, state, trait
from workflows.transitions import Became, Entered, Left, is_transition

DAY = timedelta(days=1)


class Bought(Event, name="crowd bought"):
    size: int = 1


class Visited(Event, name="crowd visited"):
    pass


class Complained(Event, name="crowd complained"):
    pass


class Waved(Event, name="crowd waved"):
    """Counts for nothing."""


LIVING = Lifecycle(
    new_for=3 * DAY,
    at_risk_after=5 * DAY,
    dormant_after=12 * DAY,
    resurrected_for=4 * DAY,
    counts=("crowd bought", "crowd visited"),
)

buyers = Segment("buyers", performed(Bought, at_least=3, within=10 * DAY))
quiet = Segment("quiet", hasnt(Visited, within=5 * DAY))
pros = Segment("pros", (trait("plan") == "pro") & performed(Visited))
big_or_gone = Segment("big_or_gone", performed(Bought, where={"size": 2}) | state(DORMANT))
fading = Segment("fading", state(AT_RISK, DORMANT) & ~performed(Complained, at_least=2, within=20 * DAY))
THEIRS = {each.name: SEGMENTS.pop(each.name) for each in (buyers, quiet, pros, big_or_gone, fading)}


class BecameBuyer(Entered, of=buyers, name="crowd became buyer"):
    pass


class StoppedBuying(Left, of=buyers, name="crowd stopped buying"):
    pass


class WentQuiet(Entered, of=quiet, name="crowd went quiet"):
    pass


class WentDormant(Became, state=DORMANT, name="crowd went dormant"):
    pass


TOLD = (BecameBuyer, StoppedBuying, WentQuiet, WentDormant)


@contextmanager
def crowd(*segments: Segment, living: Lifecycle = LIVING, telling: Collection[type[Event]] = TOLD) -> Iterator[None]:
    """Let these segments, all of the crowd's unless some are given, these transitions and that lifecycle be all there are."""
    before, declared = dict(SEGMENTS), list(lifecycle.DECLARED)
    with transitions(*telling):
        SEGMENTS.clear()
        SEGMENTS.update({each.name: each for each in segments} or THEIRS)
        lifecycle.DECLARED[:] = [(living, "tests/events/crowd.py")]
        try:
            yield
        finally:
            SEGMENTS.clear()
            SEGMENTS.update(before)
            lifecycle.DECLARED[:] = declared


@contextmanager
def transitions(*telling: type[Event]) -> Iterator[None]:
    """Let these be all the transitions there are: every test module that was collected has declared its own."""
    before = dict(EVENTS)
    EVENTS.clear()
    EVENTS.update({name: event for name, event in before.items() if not is_transition(event) or issubclass(event, MessageEvent)})
    EVENTS.update({event.name: event for event in telling})
    try:
        yield
    finally:
        EVENTS.clear()
        EVENTS.update(before)
