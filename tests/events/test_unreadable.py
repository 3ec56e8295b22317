"""What is in somebody's past and cannot be read any more is no fact about its fields, and ends nothing that comes later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import model_validator
from sqlalchemy import text
from sqlmodel import col, select

from events.audience import audience
from events.erase import erase
from events.export import export
from events.history import complain
from events.operators import Operator
from events.replay import replay
from events.route import Router
from events.sweep import fill_in
from store.session import Store
from store.tables import AcceptedEvent
from tests.events.crowd import DAY, Bought, Visited, big_or_gone, crowd
from tests.events.test_segments import HOUR, START, identify, route, router, sweep_all, track, values
from workflows.definition import Event
from workflows.segments import SEGMENTS, Segment, performed

__all__ = ["router"]

BY = Operator("ada", "asked by letter", "key", START)
UNREADABLE = ["{", "", "nothing", "\x00"]
MISFIT = ['{"size": "many", "kilos": "many"}', "[2]", "null", "2"]


class Weighed(Event, name="unreadable weighed"):
    """All its fields may be missing, and a team's own validator takes what comes for a mapping."""

    kilos: int = 1

    @model_validator(mode="before")
    @classmethod
    def stones(cls, said: Any) -> Any:
        return {**said, "kilos": said.get("kilos", 1)}


weighed, light = Segment("weighed", performed(Weighed)), Segment("light", performed(Weighed, where={"kilos": 1}))
THEIRS = [SEGMENTS.pop(each.name) for each in (weighed, light)]


@pytest.fixture(autouse=True)
def segments() -> Iterator[None]:
    with crowd(telling=()):
        yield


async def stored(store: Store, data: str) -> None:
    """Let that be what the store has of the first event: on PostgreSQL, which takes only JSON, if it is that."""
    kind = "" if store.is_sqlite else "::jsonb"
    async with store.write() as session:
        said = text(f"UPDATE events SET data = (:data){kind} WHERE id = (SELECT min(id) FROM events WHERE kind = 'track')")
        await session.exec(said.bindparams(data=data))  # type: ignore[call-overload]


async def became(store: Store) -> list[str]:
    async with store.read() as session:
        return list((await session.exec(select(AcceptedEvent.status).order_by(col(AcceptedEvent.id)))).all())


def possible(store: Store, data: str) -> None:
    if data in UNREADABLE and not store.is_sqlite:
        pytest.skip("PostgreSQL takes no such row")


@pytest.mark.parametrize("data", [*UNREADABLE, *MISFIT])
async def test_what_somebody_does_later_is_routed_and_judged(store: Store, router: Router, data: str) -> None:
    possible(store, data)
    await track(store, "ada", Bought(size=2), START)
    await route(router)
    await stored(store, data)
    await track(store, "ada", Bought(), START + HOUR)
    await route(router)
    assert await became(store) == ["routed", "routed"]
    await track(store, "ada", Bought(size=2), START + 2 * HOUR)
    await route(router)
    assert (await became(store))[-1] == "routed"
    assert (await values(store, "ada"))["big_or_gone"] == "in"


@pytest.mark.parametrize("data", [*UNREADABLE, *MISFIT])
async def test_that_it_happened_counts_and_no_field_of_it_does(store: Store, router: Router, data: str) -> None:
    possible(store, data)
    with crowd(*THEIRS, telling=()):
        await track(store, "ada", Weighed(), START)
        await route(router)
        await stored(store, data)
        async with store.write() as session:
            await session.exec(text("UPDATE memberships SET digest = ''"))  # type: ignore[call-overload]
        await track(store, "ada", Visited(), START + HOUR)
        await route(router)
        became = await values(store, "ada")
        assert (became["weighed"], became["light"]) == ("in", "out")


async def test_it_is_logged_once_and_by_its_number(store: Store, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    complain.cache_clear()  # other tests' events have the same numbers
    await track(store, "ada", Bought(size=2), START)
    await route(router)
    await stored(store, '["secret"]')
    async with store.read() as session:
        event = (await session.exec(select(AcceptedEvent.id))).one()
    for hour in range(1, 4):
        await track(store, "ada", Bought(), START + hour * HOUR)
        await route(router)
    complaints = [each.getMessage() for each in caplog.records if "cannot be read" in each.getMessage()]
    assert complaints == [
        f"event {event} (crowd bought) counts as having happened, but its properties cannot be read: no JSON object"
    ]


async def test_time_passes_and_new_definitions_are_filled_in_all_the_same(store: Store, router: Router) -> None:
    possible(store, "{")
    with crowd(big_or_gone, telling=()):
        await track(store, "ada", Bought(size=2), START)
        await route(router)
    await stored(store, "{")
    with crowd(telling=()):
        assert await fill_in(store) == 1
        async with asyncio.timeout(60):
            await sweep_all(store, START + 13 * DAY)
        became = await values(store, "ada")
        assert (became["lifecycle"], became["big_or_gone"]) == ("dormant", "in")
        found = await audience(store, big_or_gone, sample=5, at=START + timedelta(days=1))
        assert (found.members, found.people) == (0, 1)


# What operators do


async def dead(store: Store, router: Router) -> None:
    """Let somebody have an event that nobody can read, and was given up for that."""
    possible(store, "{")
    await identify(store, "ada", {"email": "ada@example.org"}, START)
    await track(store, "ada", Bought(), START, messageId="unread")
    await stored(store, "{secret")
    async with asyncio.timeout(60):
        await router.drain()
    assert await became(store) == ["routed", "dead"]


async def test_it_is_replayed_no_more_and_says_why(store: Store, router: Router) -> None:
    await dead(store, router)
    async with store.write() as session:
        event = (await session.exec(select(AcceptedEvent.id).where(AcceptedEvent.message_id == "unread"))).one() or 0
        assert await replay(session, event, BY) == "what is stored of it cannot be read"


async def test_its_person_is_exported_with_it_as_it_is(store: Store, router: Router) -> None:
    await dead(store, router)
    known = await export(store, "ada", BY)
    assert known is not None
    assert [event["data"] for event in known["events"]] == [{"email": "ada@example.org"}, "{secret"]
    assert known["profile"][0]["traits"] == {}


async def test_its_person_is_erased_with_it(store: Store, router: Router) -> None:
    await dead(store, router)
    async with store.write() as session:
        await session.exec(text("UPDATE events SET data = '{', context = '{'"))  # type: ignore[call-overload]
    assert await erase(store, "ada", BY)
    assert await became(store) == []
