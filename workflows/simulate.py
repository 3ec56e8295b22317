"""Run journeys in virtual time: no server, no network, no sleeping, the same decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from workflows.definition import Definition, Event
from workflows.happenings import SOMEONE, Happening, Person
from workflows.life import Cast, Life
from workflows.messages import CHANNELS
from workflows.policy import Policy, in_force
from workflows.run import Receipt, User
from workflows.simulated import Simulation


class Scene(NamedTuple):
    """What a life was lived with."""

    cast: Cast
    happenings: Sequence[tuple[datetime, Happening]]
    person: Person
    variants: Mapping[str, str]
    receipts: Mapping[str, Receipt]
    until: datetime | None


WATCHING: list[Callable[[Scene, list[Simulation]], None]] = []  # who is told of every life that is lived, and what came of it

START = datetime(2025, 1, 6, 12, tzinfo=UTC)  # a Monday, at noon


def live(
    journeys: Cast | Sequence[Definition[Any]],
    happenings: Sequence[tuple[datetime, Happening]],
    person: Person | None = None,
    *,
    variants: Mapping[str, str] | None = None,
    receipts: Mapping[str, Receipt] | None = None,
    policy: Policy | None = None,
    fallback_zone: str = "UTC",
    until: datetime | None = None,
) -> list[Simulation]:
    """Live one person's life through these journeys: every run it starts, in order, up to `until` or to the last one's end.

    `happenings` come in order of acceptance. `receipts` tells what a provider answers, by template; `variants` which
    variant the person has, by experiment; the rest is as it would be live. A `Cast`, for whoever lives many lives, has its own
    policy and fallback zone.
    """
    cast = journeys if isinstance(journeys, Cast) else Cast(journeys, policy or in_force(), fallback_zone)
    scene = Scene(cast, happenings, person or Person(), variants or {}, receipts or {}, until)
    life = Life(cast, scene.person, happenings[0][0] if happenings else START, scene.variants, scene.receipts)
    for at, happening in happenings:
        life.happen(at, happening)
    life.pass_until(until)
    runs = life.over()
    for told in WATCHING:
        told(scene, runs)
    return runs


def simulate(
    definition: Definition[Any],
    starts_with: Event,
    *,
    then: Sequence[tuple[timedelta, Happening]] = (),
    user: User = SOMEONE,
    at: datetime = START,
    variants: Mapping[str, str] | None = None,
    receipts: Mapping[str, Receipt] | None = None,
    reachable: Collection[str] = tuple(CHANNELS),
    policy: Policy | None = None,
) -> Simulation:
    """Run one journey from its trigger to its end. `then` is what happens afterwards, by time since the start.

    Raises ValueError, or TypeError, for what could not be so: a moment without a zone, an event that does not start the journey.
    """
    _refuse_impossible(definition, starts_with, then, at, reachable)
    happenings: list[tuple[datetime, Happening]] = [(at, starts_with)]
    happenings += [(at + since, happening) for since, happening in sorted(then, key=lambda entry: entry[0])]
    person = Person(user, frozenset(reachable))
    return live([definition], happenings, person, variants=variants, receipts=receipts, policy=policy)[0]


def _refuse_impossible(
    definition: Definition[Any],
    starts_with: Event,
    then: Sequence[tuple[timedelta, Happening]],
    at: datetime,
    reachable: Collection[str],
) -> None:
    if not isinstance(starts_with, definition.triggers):
        kinds = " or ".join(kind.__name__ for kind in definition.triggers)
        raise ValueError(f"{definition.name} does not start on {starts_with!r}; it starts on {kinds}")
    if at.tzinfo is None:
        raise ValueError(f"at={at!r} has no time zone: use an aware datetime")
    for since, happening in then:
        if not isinstance(since, timedelta) or since < timedelta(0):
            raise ValueError(f"then: {since!r} is no time after the start; write a timedelta")
        if not isinstance(happening, Happening):
            raise TypeError(f"then: {happening!r} is nothing that happens to anybody; write an event, an Identify, an OptOut …")
    if unknown := sorted(set(reachable) - CHANNELS.keys()):
        raise ValueError(f"reachable: there is no channel {unknown[0]!r}; there are {', '.join(CHANNELS)}")
