"""Run journeys in virtual time: no server, no network, no sleeping, the same decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from workflows.definition import Definition, Event
from workflows.happenings import SOMEONE, Happening, Person
from workflows.life import Cast, Life
from workflows.livable import refuse_scenario, refuse_unlivable
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
    policy and fallback zone. Without one, raises TypeError or ValueError, one sentence, for what cannot be meant.
    """
    __tracebackhide__ = True  # a test's failure is shown where the test is, or its journey
    if not isinstance(journeys, Cast):
        refuse_unlivable(journeys, happenings, receipts or {}, policy)
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

    Raises TypeError or ValueError, one sentence, for what cannot be meant: an experiment or a template that there is not, say.
    """
    __tracebackhide__ = True
    refuse_scenario(definition, starts_with, then, user, reachable, variants or {}, receipts or {})
    happenings: list[tuple[datetime, Happening]] = [(at, starts_with)]
    happenings += [(at + since, happening) for since, happening in sorted(then, key=lambda entry: entry[0])]
    person = Person(user, frozenset(reachable))
    return live([definition], happenings, person, variants=variants, receipts=receipts, policy=policy)[0]
