"""Whom does an event reach? The journeys that it starts, the runs that hear of it, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from store.tables import AcceptedEvent, Person, Run
from workflows.definition import EVENTS, EXIT, IDENTIFY, JOURNEYS, PAUSE, RELEASE, Definition, newest
from workflows.listening import listening
from workflows.run import Arrival, User

ORDERS = {"pause": PAUSE, "release": RELEASE}  # what reaches one run, holds from then on, and is not remembered


class Glance(Protocol):
    """What of an event tells whom it may concern. Its properties, which are long to read, are not of it."""

    @property
    def id(self) -> int | None: ...
    @property
    def person_id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def changed(self) -> Mapping[str, Any]: ...
    @property
    def run_id(self) -> str | None: ...
    @property
    def status(self) -> str: ...
    @property
    def reconsider(self) -> str | None: ...
    @property
    def starts(self) -> bool: ...


def triggered_by(event: Glance) -> list[Definition[Any]]:
    """Return the journeys, in their newest version, that this event starts; those it is reconsidered for, if it names some."""
    starting = [definition for definition in newest() if event.name in definition.trigger_names]
    if event.reconsider is None:
        return starting
    return [definition for definition in starting if definition.name in event.reconsider.split()]


def hears(run: Run, event: AcceptedEvent) -> bool:
    """Say whether an event reaches that open run: it listens to it, or to what the event changed about the person.

    A run whose journey is not in the code is told everything: it has it all when its journey is put back.
    """
    if not may_hear(run, event):
        return False
    definition = JOURNEYS.get((run.journey, run.version))
    if event.run_id is not None or definition is None or _hears_of_change(definition, event.changed):
        return True
    kind = EVENTS.get(event.name)
    return kind is not None and definition.concerns(kind, event.data, run.key)


def may_hear(run: Run, event: Glance) -> bool:
    """Say the same at a glance, where the event is about the key of a run that listens to it."""
    if event.run_id is not None:
        return event.run_id == run.id
    if run.trigger_id is not None and event.id is not None and event.id <= run.trigger_id:
        return False
    definition = JOURNEYS.get((run.journey, run.version))
    if definition is None:
        return True
    named = event.kind == "track" and event.name in listening(definition).events
    return named or _hears_of_change(definition, event.changed)


def _hears_of_change(definition: Definition[Any], changed: Mapping[str, Any]) -> bool:
    return bool(changed) and not (listening(definition).traits | {"zone", "locale"}).isdisjoint(changed)


def known_user(person: Person, run: Run) -> User:
    """Return what that run may know of the person: no trait that its journey does not read."""
    definition = JOURNEYS.get((run.journey, run.version))
    read = listening(definition).traits if definition else frozenset[str]()
    traits = {name: value for name, value in person.traits.items() if name in read}
    return User(person.user_id, person.zone, person.locale, traits)


def arrival(event: AcceptedEvent, user: User | None) -> Arrival:
    """Return the event as runs get it: the declared fields of its type, and no other property.

    Raises pydantic's ValidationError if it does not fit its type (any more).
    """
    assert event.id is not None
    if event.kind == "exit":
        return Arrival(event.id, EXIT, event.accepted_at, {"actor": event.data["actor"], "reason": event.data["reason"]})
    if event.kind in ORDERS:
        return Arrival(event.id, ORDERS[event.kind], event.accepted_at, event.data)
    kind = EVENTS.get(event.name) if event.kind in ("track", "run") else None
    if kind is None:
        return Arrival(event.id, IDENTIFY, event.accepted_at, {}, user)
    data = kind.model_validate(event.data).model_dump(mode="json")
    return Arrival(event.id, event.name, event.accepted_at, data, user)
