"""What becomes of a person in virtual time: the same segments and states, judged by the same functions, told by the same events."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from workflows.definition import EVENTS, Definition, Event
from workflows.listening import listening
from workflows.message_events import MessageEvent
from workflows.segments import LIFECYCLE, SEGMENTS, Facts, Happened, Segment, state_of, state_turns
from workflows.transitions import Became, OfSegment, becoming, crossing, is_transition


class Becoming:
    """One person's past, and where it puts them. Only what is `watched` is judged."""

    def __init__(self, watched: Collection[str], met: datetime) -> None:
        self.met = met
        self.turns: datetime | None = None
        self._watched = watched
        self._values: dict[str, str | bool] = {}
        self._events: dict[str, list[Happened]] = {}

    def happened(self, event: Event, at: datetime) -> None:
        """Take note of what the person did, or of what happened to a message of theirs, which counts if it is declared to."""
        if not is_transition(type(event)) or isinstance(event, MessageEvent):
            self._events.setdefault(event.name, []).append((at, event.__dict__))

    def belongs(self, segment: Segment, traits: Mapping[str, Any], now: datetime) -> bool:
        return segment.holds(self._facts(traits), now)

    def changes(self, traits: Mapping[str, Any], now: datetime) -> list[Event]:
        """Return what has become of the person since they were last looked at, and know when to look again."""
        facts, told, turns = self._facts(traits), list[Event](), list[datetime | None]()
        for name in self._watched:
            told += self._state(facts, now) if name == LIFECYCLE else self._side(SEGMENTS[name], facts, now)
            turns.append(state_turns(facts, now) if name == LIFECYCLE else SEGMENTS[name].turns(facts, now))
        self.turns = min((turn for turn in turns if turn is not None), default=None)
        return told

    def _state(self, facts: Facts, now: datetime) -> list[Event]:
        state, previous = state_of(facts, now), str(self._values.get(LIFECYCLE, ""))
        self._values[LIFECYCLE] = state
        return becoming(state, previous) if state != previous else []

    def _side(self, segment: Segment, facts: Facts, now: datetime) -> list[Event]:
        inside, was = segment.holds(facts, now), self._values.get(segment.name, False)
        self._values[segment.name] = inside
        return crossing(segment.name, entered=inside) if inside != was else []

    def _facts(self, traits: Mapping[str, Any]) -> Facts:
        return Facts(self.met, self._events, traits)


def watched(definitions: Sequence[Definition[Any]]) -> Collection[str]:
    """Return what these journeys hear of, in the order in which it is judged: the state, then segments by name."""
    heard = {name for each in definitions for name in each.trigger_names | listening(each).events}
    kinds = [EVENTS[name] for name in heard if is_transition(EVENTS.get(name))]
    segments = {kind.of for kind in kinds if issubclass(kind, OfSegment)} & SEGMENTS.keys()
    return [LIFECYCLE] * any(issubclass(kind, Became) for kind in kinds) + sorted(segments)
