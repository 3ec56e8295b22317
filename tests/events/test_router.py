"""Routers share the work: what is live first, nobody twice, nobody out of order, and nobody held up by another's thousands."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from temporalio.client import Client

from events.accept import Manner
from events.claim import PEOPLE_AT_ONCE, whose_turn
from events.route import Router
from settings import DEVELOPMENT_ERASURE_KEY
from store.session import Store
from store.tables import BACKLOG, LIVE
from tests.events.quiet import TAPS, call, prices, route_all, send, statuses
from tests.language.words import Entered, Left, Tapped
from tests.stage import Stage

IMPORTED = Manner(BACKLOG, starts=False)


async def test_several_routers_route_each_event_once_and_each_persons_in_order(quiet_house: Stage, url: str) -> None:
    stores = [Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY) for _ in range(3)]
    routers = [Router(each, quiet_house.temporal, quiet_house.settings, f"router-{n}") for n, each in enumerate(stores)]
    shares = dict.fromkeys((router.name for router in routers), 0)
    people: list[str] = []

    async def work(router: Router) -> None:
        while True:
            shares[router.name] += await router.round()
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as working:
        at_work = [working.create_task(work(router)) for router in routers]
        while not people or sum(share > 0 for share in shares.values()) < 2:  # which of them wins a round is chance
            newcomers = [uuid4().hex for _ in range(30)]
            people += newcomers
            await send(quiet_house, [call(person, Entered()) for person in newcomers], Manner())
            for price in range(TAPS):
                await send(quiet_house, [call(person, Tapped(price=price)) for person in newcomers], Manner())
            while "pending" in await statuses(quiet_house):
                await asyncio.sleep(0)
        for each in at_work:
            each.cancel()
    for store in stores:
        await store.close()

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

    await route_all(quiet_house)

    assert not await quiet_house.runs(outside)
    assert await quiet_house.signals(await quiet_house.run(inside)) == ["left"]
    assert await statuses(quiet_house) == {"routed"}


async def test_draining_routes_what_was_imported_of_who_is_inside_and_leaves_the_rest_of_an_import(quiet_house: Stage) -> None:
    inside = uuid4().hex
    await quiet_house.track(inside, Entered())
    await quiet_house.router.drain()
    await send(quiet_house, [call(uuid4().hex, Tapped()) for _ in range(300)], IMPORTED)
    await send(quiet_house, [call(inside, Tapped(price=7))], IMPORTED)
    await quiet_house.track(inside, Tapped(price=8))

    await quiet_house.router.drain()

    assert await prices(quiet_house, await quiet_house.run(inside)) == [7, 8]
    assert await statuses(quiet_house) == {"pending", "routed"}
    await route_all(quiet_house)
    assert await statuses(quiet_house) == {"routed"}


async def test_one_persons_burst_holds_up_nobody(quiet_house: Stage) -> None:
    busy, other = uuid4().hex, uuid4().hex
    await quiet_house.track(busy, Entered())
    await quiet_house.router.drain()
    await send(quiet_house, [call(busy, Tapped(price=price)) for price in range(600)], Manner())
    await quiet_house.track(other, Entered())

    await quiet_house.router.round()

    assert (await quiet_house.run(other)).status == "running"


async def test_everybody_has_their_turn_though_more_wait_than_a_round_takes(quiet_house: Stage) -> None:
    early = [uuid4().hex for _ in range(PEOPLE_AT_ONCE)]
    late = [uuid4().hex for _ in range(PEOPLE_AT_ONCE)]
    for _ in range(3):  # each of the early ones has more than a round takes
        await send(quiet_house, [call(person, Left()) for person in early for _ in range(20)], Manner())
    await send(quiet_house, [call(person, Entered()) for person in [*early, *late]], Manner())
    for _ in range(4):
        await quiet_house.router.round()
    assert all([await quiet_house.runs(person) for person in [*early, *late]])


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
    await route_all(quiet_house)
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


@pytest.mark.parametrize("lane", [LIVE, BACKLOG])
async def test_what_a_round_costs_depends_neither_on_the_backlog_nor_on_anybodys_events(sqlite: Any, lane: int) -> None:
    plan = await explained(Store(sqlite.migrated(), erasure_key=DEVELOPMENT_ERASURE_KEY), lane)
    assert plan.count("SEARCH events USING INDEX events_by_turn (lane=? AND person_id>?)") == 2  # the first, and each next one
    assert "TEMP B-TREE" not in plan
    assert not [line for line in plan.splitlines() if line.startswith(("SCAN events", "SCAN people"))]


async def explained(used: Store, lane: int) -> str:
    statement = whose_turn[lane].params(after=0).compile(used.engine.sync_engine, compile_kwargs={"literal_binds": True})
    async with used.read() as session:
        plan = (await session.exec(text(f"EXPLAIN QUERY PLAN {statement}"))).all()  # type: ignore[call-overload]
    await used.close()
    return "\n".join(row[3] for row in plan)
