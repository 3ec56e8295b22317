"""Memberships kept as events come and time passes are those that a look at everything would find, whatever the order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import text, update
from sqlalchemy.dialects import sqlite
from sqlmodel import col, select
from temporalio.client import Client

from events.accept import PLAINLY, Manner, accept
from events.calls import Clock, understand
from events.claim import claim
from events.history import with_data, without_data
from events.operators import Operator
from events.replay import replay
from events.route import Router
from events.sweep import PEOPLE_AT_ONCE, fill_in, judged_otherwise, next_turn, sweep, sweep_due, who_is_due
from settings import DEVELOPMENT_ERASURE_KEY, Settings
from store.session import Store
from store.tables import BACKLOG, LIVE, AcceptedEvent, Membership, Person
from tests.events.brute_force import brute_force
from tests.events.crowd import DAY, LIVING, Bought, Complained, Visited, Waved, buyers, crowd, quiet
from workflows.definition import JOURNEYS, Event, journey
from workflows.journey import Journey
from workflows.segments import Segment, performed

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
IMPORTED = Manner(BACKLOG, starts=False)


@pytest.fixture(autouse=True)
def segments() -> Iterator[None]:
    with crowd():
        yield


@pytest.fixture
def router(store: Store) -> Router:
    """Routes for nobody's journey, and so without Temporal."""
    return Router(store, cast(Client, None), Settings(_env_file=None), "router")


async def call(store: Store, kind: str, at: datetime, manner: Manner = PLAINLY, **body: Any) -> None:
    await accept(store, [understand(body, kind, Clock(at))], Clock(at), manner)


async def replay_all(store: Store) -> None:
    """Replay what was refused, as if it fitted its class today."""
    async with store.write() as session:
        for event in (await session.exec(select(AcceptedEvent).where(AcceptedEvent.status == "invalid"))).all():
            await session.exec(update(AcceptedEvent).where(col(AcceptedEvent.id) == event.id).values(data={}))
            assert await replay(session, event.id or 0, Operator("ada", "it fits now", "key", START)) == ""


async def track(store: Store, user: str, event: Event, at: datetime, **more: Any) -> None:
    await call(store, "track", at, userId=user, event=event.name, properties=event.model_dump(mode="json"), **more)


async def identify(store: Store, user: str, traits: dict[str, Any], at: datetime) -> None:
    await call(store, "identify", at, userId=user, traits=traits)


async def route(router: Router) -> None:
    while await router.round():
        pass


async def sweep_all(store: Store, now: datetime) -> None:
    while await sweep_due(store, now):
        pass


async def kept(store: Store, world: str) -> dict[tuple[int, str], str]:
    async with store.read() as session:
        rows = (await session.exec(select(Membership).join(Person).where(col(Person.user_id).startswith(world)))).all()
    return {(row.person_id, row.segment): row.value for row in rows}


async def values(store: Store, user: str) -> dict[str, str]:
    async with store.read() as session:
        rows = (await session.exec(select(Membership).join(Person).where(Person.user_id == user))).all()
    return {row.segment: row.value for row in rows}


async def told(store: Store, user: str) -> list[tuple[str, datetime]]:
    """Return which transitions were told of a person, and when each came."""
    async with store.read() as session:
        mine = select(AcceptedEvent).join(Person).where(Person.user_id == user).order_by(col(AcceptedEvent.id))
        found = (await session.exec(mine.where(col(AcceptedEvent.message_id).like("segment/%")))).all()
    return [(each.name, each.occurred_at) for each in found]


# Whatever the order

EVENTS: dict[str, Event] = {
    "bought": Bought(),
    "bought big": Bought(size=2),
    "visited": Visited(),
    "complained": Complained(),
    "waved": Waved(),
}
OTHER_CALLS: dict[str, dict[str, Any]] = {
    "page": {"type": "page", "name": "Home"},
    "unknown": {"type": "track", "event": "Never Declared"},
    "alias": {"type": "alias"},
    "sign in": {"type": "identify", "traits": {"plan": "pro"}},
}
action = some.tuples(
    some.sampled_from([*EVENTS, *OTHER_CALLS, "import", "refused", "replay", "plan", "again", "route", "sweep"]),
    some.integers(0, 4),  # who
    some.integers(0, 60),  # hours that pass before it
    some.integers(0, 500),  # hours that it comes late
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(actions=some.lists(action, min_size=3, max_size=40), on_time=some.sampled_from([0, 1, 2]))
async def test_late_out_of_order_and_double_events_and_time_leave_everybody_where_brute_force_finds_them(
    store: Store, router: Router, actions: Sequence[tuple[str, int, int, int]], on_time: int
) -> None:
    world = uuid4().hex
    now, sent = START, list[tuple[str, Event, datetime, str]]()
    for what, who, passes, late in actions:
        now += passes * HOUR
        user = f"{world}-{who}"
        if what in EVENTS:
            at = now - (late * HOUR if late % 3 >= on_time else timedelta(0))
            sent.append((user, EVENTS[what], at, uuid4().hex))
            await track(store, user, EVENTS[what], now, timestamp=at.isoformat(), messageId=sent[-1][3])
        elif what == "plan":
            await identify(store, user, {"plan": "pro" if late % 2 else "free"}, now)
        elif what == "again" and sent:
            again, event, at, message_id = sent[late % len(sent)]
            await track(store, again, event, now, timestamp=at.isoformat(), messageId=message_id)
        elif what in ("import", "refused"):
            size = 1 if what == "import" else "none"
            await call(store, "track", now, IMPORTED, userId=user, event=Bought.name, properties={"size": size})
        elif what == "replay":
            await replay_all(store)
        elif what in OTHER_CALLS:
            other = f"{world}-{late % 5}"
            names: dict[str, Any] = (
                {"previousId": other} if what == "alias" else {"anonymousId": other} if what == "sign in" else {}
            )
            await call(store, OTHER_CALLS[what]["type"], now, **OTHER_CALLS[what], **names, userId=user)
        elif what == "route":
            await route(router)
        elif what == "sweep":
            await sweep_all(store, now)
    for later in (timedelta(0), 2 * DAY, 7 * DAY, 40 * DAY):
        await route(router)
        await sweep_all(store, now + later)
        assert await kept(store, world) == await brute_force(store, now + later, world)


# One thing at a time


async def test_a_window_becomes_false_by_time_alone_to_the_microsecond(store: Store, router: Router) -> None:
    for day in range(3):
        await track(store, "ada", Bought(), START + day * DAY)
    await route(router)
    ends = START + 10 * DAY
    await sweep_all(store, ends - datetime.resolution)
    assert (await values(store, "ada"))["buyers"] == "in"
    await sweep_all(store, ends)
    assert (await values(store, "ada"))["buyers"] == "out"
    changes = [each for each in await told(store, "ada") if "buy" in each[0]]
    assert changes == [("crowd became buyer", START + 2 * DAY), ("crowd stopped buying", ends)]


async def test_a_worker_that_was_away_tells_each_change_once_and_with_its_own_moment(store: Store, router: Router) -> None:
    await track(store, "ada", Visited(), START)
    await track(store, "ada", Visited(), START + 40 * DAY)
    await route(router)
    await route(router)
    await sweep_all(store, START + 60 * DAY)
    await sweep_all(store, START + 60 * DAY)
    assert await told(store, "ada") == [
        ("crowd went quiet", START + 5 * DAY),
        ("crowd went dormant", START + 12 * DAY),
        ("crowd went quiet", START + 45 * DAY),
        ("crowd went dormant", START + 52 * DAY),
    ]


async def test_an_event_that_no_segment_mentions_evaluates_nothing(
    store: Store, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated: list[str] = []
    holds = Segment.holds

    def counted(self: Segment, *given: Any) -> bool:
        evaluated.append(self.name)
        return holds(self, *given)

    monkeypatch.setattr(Segment, "holds", counted)
    await track(store, "ada", Waved(), START)
    await route(router)
    assert sorted(evaluated) == ["big_or_gone", "buyers", "fading", "pros", "quiet"]  # once, for somebody new
    evaluated.clear()
    await track(store, "ada", Waved(), START + HOUR)
    await identify(store, "ada", {"colour": "red"}, START + HOUR)
    await route(router)
    assert evaluated == []
    await track(store, "ada", Complained(), START + HOUR)
    await identify(store, "ada", {"plan": "pro"}, START + HOUR)
    await route(router)
    assert evaluated == ["fading", "pros"]


async def test_a_person_who_does_nothing_new_is_written_once_a_window_and_not_at_each_event(store: Store, router: Router) -> None:
    async def turns() -> datetime | None:
        return await next_turn(store, "ada")

    await track(store, "ada", Visited(), START)
    await route(router)
    first = await turns()
    await track(store, "ada", Visited(), START + HOUR)
    await route(router)
    assert await turns() == first  # it will be looked at then, and found to be where it was


async def test_done_again_after_a_router_died_nothing_is_told_twice(store: Store) -> None:
    async def thanks(j: Journey, bought: Bought) -> None:
        pass

    journey()(thanks)
    try:
        for day in (0, 1, 2, 14):
            await track(store, "ada", Bought(), START + day * DAY)
        assert (found := await claim(store, "one", LIVE)) is not None
        assert found.works
        before = await told(store, "ada")
        async with store.write() as session:
            await session.exec(update(Person).values(claimed_until=None))  # its lease has run out
        assert (again := await claim(store, "another", LIVE)) is not None
        assert again.works
        assert await told(store, "ada") == before != []
    finally:
        JOURNEYS.pop(("thanks", 1))


async def test_apps_cannot_send_a_transition(store: Store) -> None:
    call = understand({"userId": "ada", "event": "crowd became buyer"}, "track", Clock(START))
    assert (call.status, call.error) == (
        "invalid",
        "crowd became buyer: Sojourn itself says what becomes of a person, or of a message; apps cannot send this event",
    )


# New and changed definitions


async def test_a_new_definition_is_filled_in_for_everybody_and_tells_nobody(store: Store, router: Router) -> None:
    with crowd(quiet):
        for user in ("ada", "bo"):
            for day in range(3):
                await track(store, user, Bought(), START + day * DAY)
        await route(router)
    with crowd(quiet, buyers):
        assert await fill_in(store) == 2
        assert await fill_in(store) == 0
        assert (await values(store, "ada")).keys() == {"lifecycle", "quiet", "buyers"}
        assert [name for name, _ in await told(store, "ada") if "buy" in name] == []


async def test_who_acts_before_the_fill_comes_to_them_enters_only_by_what_they_did(store: Store, router: Router) -> None:
    with crowd(quiet):
        for user, times in (("ada", 3), ("bo", 2)):
            for hour in range(times):
                await track(store, user, Bought(), START + hour * HOUR)
        await route(router)
    with crowd(quiet, buyers):
        for user in ("ada", "bo"):
            await track(store, user, Bought(), START + DAY)
        await route(router)
        assert (await values(store, "ada"))["buyers"] == (await values(store, "bo"))["buyers"] == "in"
        entered = {user: [name for name, _ in await told(store, user) if "buyer" in name] for user in ("ada", "bo")}
        assert entered == {"ada": [], "bo": ["crowd became buyer"]}


async def test_a_changed_definition_is_filled_in_again(store: Store, router: Router) -> None:
    await track(store, "ada", Bought(), START)
    await route(router)
    await fill_in(store)
    looser = Segment("looser", performed(Bought))
    with crowd(looser):
        object.__setattr__(looser, "name", "buyers")
        with crowd(looser):
            assert await fill_in(store) == 1
            assert (await values(store, "ada"))["buyers"] == "in"


# Several at once


async def test_two_routers_and_two_sweepers_at_once_tell_each_transition_once(store: Store, url: str) -> None:
    users = [uuid4().hex for _ in range(2 * PEOPLE_AT_ONCE)]
    for user in users:
        await track(store, user, Visited(), START)
        await track(store, user, Bought(size=2), START)
    stores = [store, Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY)]
    routers = [Router(each, cast(Client, None), Settings(_env_file=None), f"router-{n}") for n, each in enumerate(stores)]
    later = START + 6 * DAY
    await asyncio.gather(*(each.drain() for each in routers))
    await asyncio.gather(*(sweep_all(each, later) for each in stores))
    await sweep_all(store, later)
    await stores[1].close()

    alone = await told(store, users[0])
    assert "crowd went quiet" in [name for name, _ in alone]
    assert len(alone) == len({name for name, _ in alone})
    for user in users:
        assert await told(store, user) == alone


# What it costs


async def test_histories_and_who_is_due_or_was_judged_otherwise_are_found_by_their_indexes(store: Store) -> None:
    if not store.is_sqlite:
        pytest.skip("how PostgreSQL goes about it depends on how much there is")
    by_digest = "INDEX memberships_by_digest (segment=? AND digest"  # and not by the segment alone
    asked: tuple[tuple[Any, dict[str, Any], str], ...] = (
        (without_data, {"person": 1, "fresh": False, "names": '["a"]', "after": "2026-01-01"}, "INDEX events_by_moment"),
        (with_data, {"person": 1, "fresh": False, "names": '["a", "b"]', "after": "2026-01-01"}, "INDEX events_by_moment"),
        (who_is_due, {"now": "2026-01-01", "resting": "[]"}, "INDEX memberships_to_turn"),
        *((each, {"segment": "a", "digest": "d"}, by_digest) for each in judged_otherwise),
    )
    async with store.engine.connect() as connection:
        for query, params, index in asked:
            compiled = query.compile(dialect=sqlite.dialect(paramstyle="named"))
            plan = (await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"), {**compiled.params, **params})).all()
            assert [row[-1] for row in plan if index in row[-1]], plan
            assert not [row[-1] for row in plan if row[-1].startswith("SCAN") and "json_each" not in row[-1]], plan


# A played person


async def test_a_played_person_lives_by_their_own_clock(store: Store, router: Router) -> None:
    async def play(event: Event, at: datetime) -> None:
        clock = Clock(at, (at - datetime.now(UTC)).total_seconds())
        body = {"userId": "ada", "event": event.name, "properties": {}}
        await accept(store, [understand(body, "track", clock)], clock)
        await route(router)

    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    await play(Visited(), long_ago)
    await sweep_all(store, datetime.now(UTC))
    assert (await values(store, "ada"))["lifecycle"] == "new"
    assert await next_turn(store, "ada") == long_ago + LIVING.new_for
    await sweep(store, "ada", long_ago + 12 * DAY)
    assert (await values(store, "ada"))["lifecycle"] == "dormant"
    assert ("crowd went dormant", long_ago + 12 * DAY) in await told(store, "ada")


async def test_who_turns_out_to_be_one_person_is_judged_by_what_both_did(store: Store, router: Router) -> None:
    world = uuid4().hex
    await track(store, f"{world}-ada", Bought(), START)
    await track(store, f"{world}-ada", Bought(), START + HOUR)
    await track(store, f"{world}-lovelace", Bought(size=2), START + HOUR)
    await route(router)
    assert (await values(store, f"{world}-ada"))["buyers"] == "out"

    clock = Clock(START + 2 * HOUR)
    await accept(store, [understand({"userId": f"{world}-ada", "previousId": f"{world}-lovelace"}, "alias", clock)], clock)
    await route(router)
    became = await values(store, f"{world}-ada")
    assert (became["buyers"], became["big_or_gone"]) == ("in", "in")
    assert await kept(store, world) == await brute_force(store, START + 2 * HOUR, world)


async def test_what_an_imported_event_brings_about_starts_no_more_than_it_does_itself(store: Store, router: Router) -> None:
    imported, user = Manner(BACKLOG, starts=False), uuid4().hex
    clock = Clock(START)
    calls = [{"userId": user, "event": Bought.name, "properties": {}} for _ in range(3)]
    await accept(store, [understand(each, "track", clock) for each in calls], clock, imported)
    await route(router)
    async with store.read() as session:
        theirs = select(AcceptedEvent).join(Person).where(Person.user_id == user, AcceptedEvent.name == "crowd became buyer")
        (told,) = (await session.exec(theirs)).all()
    assert (told.lane, told.starts) == (BACKLOG, False)
