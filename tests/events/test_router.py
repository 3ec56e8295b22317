"""Routers share the work: what is live first, nobody twice, nobody out of order, and nothing held up by an event that is broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text, update
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from events.accept import Manner, accept
from events.calls import Call, Clock, understand
from events.claim import PEOPLE_AT_ONCE, whose_turn
from events.reach import arrival
from events.route import Router
from settings import DEVELOPMENT_ERASURE_KEY
from store.session import Store
from store.tables import BACKLOG, LIVE, AcceptedEvent, Run
from tests.language.both import JOURNEYS
from tests.language.words import Entered, Left, Tapped
from tests.stage import Stage, only, stage
from workflows.definition import ALWAYS, Event, journey
from workflows.journey import Journey

IMPORTED = Manner(BACKLOG, starts=False)
TAPS = 5
UNLUCKY = 13


@journey(again=ALWAYS, exits_on=Left)
async def counts_taps(j: Journey, entered: Entered) -> None:
    for _ in range(TAPS):
        await j.wait_for(Tapped, within=timedelta(days=3))


@pytest.fixture
async def quiet_house(temporal: Client, url: str) -> AsyncIterator[Stage]:
    """The house with nobody at work, on either database, and one journey."""
    with only([counts_taps]):
        async with stage(temporal, url, JOURNEYS, working=False, routing_attempts=2) as up:
            yield up


def call(user: str, event: Event) -> Call:
    body = {"userId": user, "event": event.name, "properties": event.model_dump(mode="json"), "messageId": uuid4().hex}
    return understand(body, "track", Clock.real())


async def send(up: Stage, calls: Sequence[Call], manner: Manner) -> None:
    await accept(up.store, calls, Clock.real(), manner)


async def prices(up: Stage, run: Run) -> list[int]:
    """Return the prices of the taps that have been signalled to a run, in their order there."""
    signals = [
        event.workflow_execution_signaled_event_attributes
        for event in await up.history(run)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    return [_price(json.loads(signal.input.payloads[0].data)) for signal in signals if signal.signal_name == "tapped"]


def _price(signal: dict[str, Any]) -> int:
    return int(next(value["data"]["price"] for value in signal.values() if isinstance(value, dict)))


async def test_several_routers_route_each_event_once_and_each_persons_in_order(quiet_house: Stage, url: str) -> None:
    people = [uuid4().hex for _ in range(60)]
    stores = [Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY) for _ in range(3)]
    routers = [Router(each, quiet_house.temporal, quiet_house.settings, f"router-{n}") for n, each in enumerate(stores)]

    async def work(router: Router) -> int:
        done = 0
        while not finished.is_set():
            done += await router.round()
            await asyncio.sleep(0)
        return done

    finished = asyncio.Event()
    working = [asyncio.create_task(work(router)) for router in routers]
    await send(quiet_house, [call(person, Entered()) for person in people], Manner())
    for price in range(TAPS):
        await send(quiet_house, [call(person, Tapped(price=price)) for person in people], Manner())
    await quiet_house.router.drain()
    finished.set()
    shares = await asyncio.gather(*working)
    for each in stores:
        await each.close()

    assert sum(share > 0 for share in shares) > 1
    for person in people:
        [run] = await quiet_house.runs(person)
        assert await prices(quiet_house, run) == list(range(TAPS))


async def test_what_is_live_is_served_before_an_import_that_came_first(quiet_house: Stage) -> None:
    live = uuid4().hex
    imported = [uuid4().hex for _ in range(2 * PEOPLE_AT_ONCE)]
    await send(quiet_house, [call(person, Entered()) for person in imported], Manner(BACKLOG))
    await quiet_house.track(live, Entered())

    await quiet_house.router.round()

    assert (await quiet_house.run(live)).status == "running"
    assert not [run for person in imported for run in await quiet_house.runs(person)]


async def test_what_was_imported_of_somebody_acts_before_what_they_do_now(quiet_house: Stage) -> None:
    somebody = uuid4().hex
    await send(quiet_house, [call(somebody, Entered(via="past"))], Manner(BACKLOG))
    await quiet_house.track(somebody, Tapped(price=1))
    await quiet_house.router.round()
    assert await prices(quiet_house, await quiet_house.run(somebody)) == [1]


async def test_an_import_starts_nothing_and_reaches_who_is_inside(quiet_house: Stage) -> None:
    outside = uuid4().hex
    inside = uuid4().hex
    await quiet_house.track(inside, Entered())
    await quiet_house.router.drain()
    await send(quiet_house, [call(outside, Entered()), call(inside, Left())], IMPORTED)

    await quiet_house.router.drain()

    assert not await quiet_house.runs(outside)
    assert await quiet_house.signals(await quiet_house.run(inside)) == ["left"]
    assert await statuses(quiet_house) == {"routed"}


async def test_an_event_that_no_open_run_of_the_person_listens_to_makes_no_call_to_temporal(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = uuid4().hex
    inside = uuid4().hex
    await quiet_house.track(inside, Entered())
    await quiet_house.router.drain()
    calls = counted_calls(quiet_house.temporal, monkeypatch)

    await quiet_house.track(outside, Tapped())
    await quiet_house.track(outside, Left())
    await send(quiet_house, [call(uuid4().hex, Tapped()) for _ in range(300)], IMPORTED)
    await quiet_house.router.drain()
    assert await statuses(quiet_house) == {"routed"}
    assert calls == []

    await quiet_house.track(inside, Tapped())
    await quiet_house.router.drain()
    assert calls == ["signal_workflow_execution"]


def counted_calls(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that every gRPC call of the client is added to from now on, by its name."""
    calls: list[str] = []
    kind = type(client.service_client)
    plainly = kind._rpc_call

    async def counting(self: Any, rpc: str, *arguments: Any, **options: Any) -> Any:
        calls.append(rpc)
        return await plainly(self, rpc, *arguments, **options)

    monkeypatch.setattr(kind, "_rpc_call", counting)
    return calls


async def statuses(up: Stage) -> set[str]:
    async with up.store.read() as session:
        return set((await session.exec(select(AcceptedEvent.status))).all())


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
        async with asyncio.timeout(10):
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


@pytest.mark.parametrize("lane", [LIVE, BACKLOG])
async def test_who_is_next_is_read_from_an_index_and_never_sorted(sqlite: Any, lane: int) -> None:
    plan = await explained(Store(sqlite.migrated(), erasure_key=DEVELOPMENT_ERASURE_KEY), lane)
    assert "events_to_route_first" in plan
    assert "TEMP B-TREE" not in plan


async def explained(used: Store, lane: int) -> str:
    statement = whose_turn[lane].compile(used.engine.sync_engine, compile_kwargs={"literal_binds": True})
    async with used.read() as session:
        plan = (await session.exec(text(f"EXPLAIN QUERY PLAN {statement}"))).all()  # type: ignore[call-overload]
    await used.close()
    return "\n".join(row[3] for row in plan)
