"""One scenario, two runtimes: what happened to one person, told the same way by virtual time and by the real server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from activities.marking import WAY_OUT
from store.tables import MailboxItem
from studio.addresses import GERMAN
from studio.difference import differences
from studio.real import play as play_for_real
from studio.real import release_all
from studio.scenario import Scenario
from studio.story import Ran, simulated
from studio.story import told as told_by
from tests.stage import Stage, only
from workflows.definition import Definition
from workflows.happenings import Happening, Identify, Person
from workflows.messages import CHANNELS
from workflows.run import Receipt, User
from workflows.simulate import START

JOURNEYS = Path(__file__).parent / "journeys"  # a folder of templates only: the journeys are in the tests
HOME = "Asia/Tokyo"  # the zone of those whose own is unknown: one that nobody falls back on by mistake
BROKEN = "broken"  # the template that cannot be rendered

Story = Sequence[tuple[timedelta, Happening]]
"""What happens to a person, by the time since the scenario's start, in order."""


class Play(Protocol):
    """Play a scenario: what happens, by time since the start, to a person in that zone.

    Without `until`, to the end of the person's last run. An operator's order that is refused changes nothing.
    """

    async def __call__(
        self,
        journeys: Sequence[Definition[Any]],
        happenings: Story,
        *,
        user: str | None = None,
        zone: str = "UTC",
        locale: str = "en",
        traits: Mapping[str, Any] | None = None,
        reachable: frozenset[str] = frozenset(CHANNELS),
        variants: Mapping[str, str] | None = None,
        at: datetime = START,
        until: timedelta | None = None,
    ) -> list[Ran]: ...


async def virtual(
    journeys: Sequence[Definition[Any]],
    happenings: Story,
    *,
    user: str | None = None,
    zone: str = "UTC",
    locale: str = "en",
    traits: Mapping[str, Any] | None = None,
    reachable: frozenset[str] = frozenset(CHANNELS),
    variants: Mapping[str, str] | None = None,
    at: datetime = START,
    until: timedelta | None = None,
) -> list[Ran]:
    """Play it in virtual time."""
    person = person_of(user, zone, locale, traits, reachable)
    return simulated(scenario(journeys, happenings, person, variants, at, until).simulated(), at)


def scenario(
    journeys: Sequence[Definition[Any]],
    happenings: Story,
    person: Person,
    variants: Mapping[str, str] | None,
    at: datetime,
    until: timedelta | None,
) -> Scenario:
    """Say it as virtual time is told it."""
    return Scenario(
        journeys,
        [(at, Identify()), *_dated(happenings, at)],  # met as `real` introduces them
        person,
        variants or {},
        {BROKEN: Receipt("failed", "template")},
        fallback_zone=HOME,
        until=None if until is None else at + until,
    )


async def real(
    stage: Stage,
    journeys: Sequence[Definition[Any]],
    happenings: Story,
    *,
    user: str | None = None,
    zone: str = "UTC",
    locale: str = "en",
    traits: Mapping[str, Any] | None = None,
    reachable: frozenset[str] = frozenset(CHANNELS),
    variants: Mapping[str, str] | None = None,
    at: datetime = START,
    until: timedelta | None = None,
) -> list[Ran]:
    """Play it through the HTTP API, the router, a worker and the real server, with time skipping."""
    person = person_of(user, zone, locale, traits, reachable)
    end = None if until is None else at + until
    try:
        with only(journeys):
            await play_for_real(stage, Scenario(journeys, _dated(happenings, at), person, variants or {}, until=end, met=at))
        return await told(stage, person.user.id, at)
    finally:
        await stage.end_open_runs(person.user.id)
        await release_all(stage)


def person_of(
    user: str | None = None,
    zone: str = "UTC",
    locale: str = "en",
    traits: Mapping[str, Any] | None = None,
    reachable: frozenset[str] = frozenset(CHANNELS),
) -> Person:
    """Return whom a scenario is about, as the gate knows them."""
    number_zones = GERMAN if "sms" in reachable else ()
    return Person(User(user or uuid4().hex, zone, locale, dict(traits or {})), reachable, number_zones=number_zones)


def _dated(happenings: Story, at: datetime) -> list[tuple[datetime, Happening]]:
    return [(at + since, happening) for since, happening in happenings]


async def told(stage: Stage, user: str, at: datetime = START) -> list[Ran]:
    """Tell what the store knows of the person's runs."""
    return await told_by(stage.store, user, at, _words)


def assert_same_story(virtual: Sequence[Ran], real: Sequence[Ran]) -> None:
    """The same runs, with the same messages (by template) in the same order and the same ends, all to the minute."""
    found = differences(virtual, real)
    assert found == [], "\n".join(found)


def _words(item: MailboxItem) -> str:
    """Return what the journey gave the template to say: its last line, in each channel's `note`."""
    if item.channel == "webhook":
        return str(json.loads(item.text)["text"])
    own = item.text
    for question, _ in WAY_OUT.values():  # without the line that is added where a template has none
        own = own.partition(f"\n\n{question}")[0]
    return (own.strip().splitlines() or [""])[-1]
