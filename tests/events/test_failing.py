"""What our own code, or a team's, fails at ends nothing but itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlmodel import col, select
from temporalio.client import Client

from events.accept import accept
from events.calls import Clock, understand
from events.for_ever import for_ever, persist
from events.reach import arrival
from events.route import Router
from events.sweep import fill_in, sweep_due
from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent, Membership, Person
from tests.events.quiet import prices, route_all, statuses
from tests.language.words import Entered, Tapped
from tests.stage import Stage, only
from workflows.definition import Event
from workflows.segments import SEGMENTS, Expression, Facts, Segment, performed

UNLUCKY = 13


async def test_an_event_that_our_code_fails_at_is_dead_after_some_attempts_and_holds_up_nobody(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    another = uuid4().hex
    somebody = uuid4().hex
    await quiet_house.track(somebody, Entered())
    await quiet_house.router.drain()
    with monkeypatch.context() as broken:
        break_taps(broken)
        await quiet_house.track(somebody, Tapped(price=UNLUCKY))
        await quiet_house.track(somebody, Tapped(price=1))
        await quiet_house.track(another, Entered())
        await quiet_house.router.round()
        assert (await quiet_house.run(another)).status == "running"
        async with asyncio.timeout(60):
            await quiet_house.router.drain()

    dead, _ = await quiet_house.events(somebody, "tapped")
    assert (dead.status, dead.attempts) == ("dead", 2)
    assert dead.error.startswith("KeyError in unlucky, ")
    assert "secret" not in caplog.text + dead.error
    assert await prices(quiet_house, await quiet_house.run(somebody)) == [1]

    async with quiet_house.store.write() as session:
        await session.exec(update(AcceptedEvent).where(col(AcceptedEvent.id) == dead.id).values(status="pending", attempts=0))
    await quiet_house.router.drain()
    assert await prices(quiet_house, await quiet_house.run(somebody)) == [1, UNLUCKY]


async def test_order_holds_while_an_event_is_tried_again(quiet_house: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = uuid4().hex
    await quiet_house.track(somebody, Entered())
    await quiet_house.router.drain()
    with monkeypatch.context() as broken:
        break_taps(broken)
        await quiet_house.track(somebody, Tapped(price=UNLUCKY))
        await quiet_house.track(somebody, Tapped(price=1))
        await quiet_house.router.round()
        assert await quiet_house.router.round() == 0
    await quiet_house.router.drain()
    assert await prices(quiet_house, await quiet_house.run(somebody)) == [UNLUCKY, 1]


def break_taps(broken: pytest.MonkeyPatch) -> None:
    """Put a mistake into our code that one kind of event meets."""

    def unlucky(event: AcceptedEvent, user: Any) -> Any:
        if event.data.get("price") == UNLUCKY:
            raise KeyError("secret")
        return arrival(event, user)

    broken.setattr("events.route.arrival", unlucky)


# What cannot even be looked at


async def test_a_row_that_cannot_be_read_ends_nobodys_routing_and_is_dead_after_some_attempts(quiet_house: Stage) -> None:
    if not quiet_house.store.is_sqlite:
        pytest.skip("PostgreSQL takes no such row")
    somebody, another = uuid4().hex, uuid4().hex
    await quiet_house.track(somebody, Entered(via="first"))
    await quiet_house.track(somebody, Entered(via="second"))
    await quiet_house.track(somebody, Entered(via="third"))
    await quiet_house.track(another, Entered())
    await make_unreadable(quiet_house, "second")

    await quiet_house.router.round()
    assert (await quiet_house.run(another)).status == "running"
    async with asyncio.timeout(60):
        await quiet_house.router.drain()

    assert (await quiet_house.run(somebody)).status == "running"
    async with quiet_house.store.read() as session:
        found = (await session.exec(select(AcceptedEvent.status, AcceptedEvent.attempts).order_by(col(AcceptedEvent.id)))).all()
    assert found == [("routed", 0), ("dead", 2), ("routed", 0), ("routed", 0)]


async def make_unreadable(up: Stage, via: str) -> None:
    async with up.store.write() as session:
        await session.exec(text(f"UPDATE events SET data = '{{' WHERE data LIKE '%{via}%'"))  # type: ignore[call-overload]


BROKEN = "bad"


class Bought(Event, name="failing bought"):
    plan: str = ""


@dataclass(frozen=True, eq=False)
class Fragile(Expression):
    """A condition of a team's, with a mistake in it."""

    def holds(self, facts: Facts, now: datetime) -> bool:
        if any(data and data["plan"] == BROKEN for _, data in facts.events.get(Bought.name, ())):
            raise ZeroDivisionError
        return True


@pytest.fixture
def pros() -> Iterator[None]:
    """A segment, alone, whose judging meets a mistake of a team's."""
    before = dict(SEGMENTS)
    SEGMENTS.clear()
    Segment("failing_pros", Fragile() & performed(Bought, where={"plan": "pro"}, within=timedelta(days=1)))
    yield
    SEGMENTS.clear()
    SEGMENTS.update(before)


async def buy(used: Store, user: str, plan: str, at: datetime | None = None) -> None:
    clock = Clock(at or datetime.now(UTC))
    body = {"userId": user, "event": Bought.name, "properties": {"plan": plan}, "messageId": uuid4().hex}
    await accept(used, [understand(body, "track", clock)], clock)


async def pros_of(used: Store) -> set[str]:
    async with used.read() as session:
        inside = select(Person.user_id).join(Membership).where(Membership.segment == "failing_pros", Membership.value == "in")
        return set((await session.exec(inside)).all())


def router_of(used: Store) -> Router:
    return Router(used, cast(Client, None), Settings(routing_attempts=1, _env_file=None), "router")


@pytest.mark.usefixtures("pros")
async def test_a_mistake_of_a_teams_in_judging_somebody_ends_nobodys_routing(store: Store) -> None:
    await buy(store, "ada", "bad")
    await buy(store, "bob", "pro")
    router = router_of(store)
    await router.drain()
    assert await pros_of(store) == {"bob"}
    async with store.read() as session:
        found = (await session.exec(select(AcceptedEvent.status, AcceptedEvent.error).order_by(col(AcceptedEvent.id)))).all()
    assert [status for status, _ in found] == ["dead", "routed"]
    assert found[0][1].startswith("ZeroDivisionError in holds, ")


@pytest.mark.usefixtures("pros")
async def test_a_mistake_of_a_teams_in_judging_somebody_stops_time_for_nobody_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(UTC) - timedelta(hours=1)
    for user, plan in (("ada", "pro"), ("bob", "pro")):
        await buy(store, user, plan, began)
    await router_of(store).drain()
    assert await pros_of(store) == {"ada", "bob"}
    await buy(store, "ada", "bad", began + timedelta(minutes=1))  # is in her past, and was never judged
    async with store.write() as session:
        await session.exec(update(AcceptedEvent).values(status="routed"))

    now, resting = datetime.now(UTC) + timedelta(days=1), dict[int, datetime]()
    while await sweep_due(store, now, resting):
        pass

    assert await pros_of(store) == {"ada"}
    assert len(resting) == 1
    monkeypatch.setattr(f"{__name__}.BROKEN", "")
    while await sweep_due(store, now + timedelta(hours=1), resting):
        pass
    assert await pros_of(store) == set()


@pytest.mark.usefixtures("pros")
async def test_a_mistake_of_a_teams_in_judging_somebody_lets_a_new_definition_be_filled_in(store: Store) -> None:
    await buy(store, "ada", "bad")
    await buy(store, "bob", "pro")
    async with store.write() as session:
        await session.exec(update(AcceptedEvent).values(status="routed"))
    assert await fill_in(store) == 2
    assert await pros_of(store) == {"bob"}


# Loops


async def test_a_loop_goes_on_after_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    times = 0
    again = asyncio.Event()

    async def act() -> None:
        nonlocal times
        times += 1
        if times == 3:
            again.set()
        raise KeyError("secret")

    loop = asyncio.create_task(for_ever("counting", act, timedelta()))
    async with asyncio.timeout(60):
        await again.wait()
    loop.cancel()
    assert "counting goes on after an error of ours: KeyError in act, " in caplog.text
    assert "secret" not in caplog.text


async def test_what_has_to_be_done_is_done_again_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.for_ever.TROUBLE_SECONDS", 0)
    answers = [KeyError(), ConnectionError(), None]

    async def act() -> str:
        if (answer := answers.pop(0)) is not None:
            raise answer
        return "done"

    assert await persist("trying", act) == "done"


# What acted long ago, and is told once more


async def test_a_merge_brings_all_but_what_no_longer_fits_its_class(quiet_house: Stage) -> None:
    somebody, cookie = uuid4().hex, uuid4().hex
    entered = {"anonymousId": cookie, "event": Entered.name, "properties": {}}
    (await quiet_house.api.post("/v1/track", json=entered)).raise_for_status()
    await quiet_house.track(somebody, Tapped(price=1))
    await quiet_house.track(somebody, Tapped(price=2))
    await quiet_house.router.drain()
    await misfit(quiet_house, 1)

    (await quiet_house.api.post("/v1/identify", json={"userId": somebody, "anonymousId": cookie})).raise_for_status()
    await quiet_house.track(somebody, Tapped(price=3))
    await quiet_house.router.drain()

    assert await prices(quiet_house, await quiet_house.run(somebody)) == [2, 3]
    assert await statuses(quiet_house) == {"routed"}


async def test_a_run_that_catches_up_is_open_though_something_no_longer_fits_its_class(quiet_house: Stage) -> None:
    somebody = uuid4().hex
    with only([]):
        await quiet_house.track(somebody, Entered())
        await quiet_house.track(somebody, Tapped(price=1))
        await quiet_house.track(somebody, Tapped(price=2))
        await quiet_house.router.drain()
    await misfit(quiet_house, 1)
    async with quiet_house.store.write() as session:
        again = update(AcceptedEvent).where(col(AcceptedEvent.name) == Entered.name)
        await session.exec(again.values(reconsider="counts_taps"))
    await quiet_house.router.drain()

    run = await quiet_house.run(somebody)
    assert (run.status, run.reason) == ("running", "")
    assert await prices(quiet_house, run) == [2]


async def misfit(up: Stage, price: int) -> None:
    """Change what was stored of a tap, as if its class had been another."""
    async with up.store.write() as session:
        taps = (await session.exec(select(AcceptedEvent).where(AcceptedEvent.name == Tapped.name))).all()
        [tap] = [each for each in taps if each.data["price"] == price]
        tap.data = {"price": ["secret"]}
        session.add(tap)


# Runs whose event is dead


async def test_a_requested_run_whose_event_is_dead_has_failed_and_stands_in_nobodys_way(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = uuid4().hex
    with monkeypatch.context() as broken:
        break_all(broken)
        assert await request(quiet_house, somebody) == 201
        assert await request(quiet_house, somebody) == 409
        await quiet_house.router.drain()
    run = await quiet_house.run(somebody)
    assert run.status == "failed"
    assert run.reason.startswith("its event is dead: KeyError in unlucky, ")
    assert await request(quiet_house, somebody) == 201


async def test_a_run_whose_event_was_dead_begins_when_the_event_is_replayed(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, acted = uuid4().hex, uuid4().hex
    with monkeypatch.context() as broken:
        break_all(broken)
        await request(quiet_house, asked)
        await quiet_house.track(acted, Entered())
        await quiet_house.router.drain()
    assert {(await quiet_house.run(each)).status for each in (asked, acted)} == {"failed"}
    assert await statuses(quiet_house) == {"dead"}

    await replay_the_dead(quiet_house)

    for somebody in (asked, acted):
        [run] = await quiet_house.runs(somebody)
        assert (run.status, run.reason, run.ended_at) == ("running", "", None)


async def test_a_dead_request_is_not_replayed_for_somebody_who_has_entered_anew(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = uuid4().hex
    with monkeypatch.context() as broken:
        break_all(broken)
        await request(quiet_house, somebody)
        await quiet_house.router.drain()
    await request(quiet_house, somebody)
    await quiet_house.router.drain()
    await replay_the_dead(quiet_house)
    assert [run.status for run in await quiet_house.runs(somebody)] == ["failed", "running"]
    assert "dead" in await statuses(quiet_house)


async def request(up: Stage, user: str) -> int:
    answer = await up.api.post("/v1/journeys/counts_taps/runs", json={"user_id": user, "data": {}})
    return answer.status_code


async def replay_the_dead(up: Stage) -> None:
    who = {"X-Actor": "eve", "X-Reason": "the code is mended"}
    (await up.api.post("/v1/events/replay", json={"status": "dead"}, headers=who)).raise_for_status()
    await route_all(up)


def break_all(broken: pytest.MonkeyPatch) -> None:
    def unlucky(event: AcceptedEvent, user: Any) -> Any:
        raise KeyError(event.id)

    broken.setattr("events.route.arrival", unlucky)
