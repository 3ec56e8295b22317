"""A claim is one router's: renewed while the work goes on, let go when the router is stopped; without it no work goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlmodel import select

import events.route
from events import reconcile
from events.claim import claim
from events.erase import erase, finish
from events.operators import Operator
from events.temporal import describe, start, tell
from store.tables import Person
from tests.events.quiet import prices
from tests.language.words import Entered, Tapped
from tests.stage import Stage, eventually

BY = Operator("eve", "asked by letter", "k", datetime(2026, 3, 2, tzinfo=UTC))


async def claims(up: Stage) -> list[tuple[str | None, datetime | None]]:
    async with up.store.read() as session:
        return list((await session.exec(select(Person.claimed_by, Person.claimed_until))).all())


async def run_out(up: Stage) -> None:
    """Let half a minute pass for every claim."""
    async with up.store.write() as session:
        await session.exec(update(Person).values(claimed_until=datetime.now(UTC) - timedelta(seconds=1)))


async def test_a_router_that_is_stopped_lets_go_of_whom_it_works_on(quiet_house: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = uuid4().hex
    await quiet_house.track(somebody, Entered())
    is_starting = asyncio.Event()

    async def hang(*_: Any) -> bool:
        is_starting.set()
        await asyncio.Event().wait()
        return True

    with monkeypatch.context() as hanging:
        hanging.setattr(events.route, "start", hang)
        routing = asyncio.create_task(quiet_house.router.run())
        await is_starting.wait()
        assert [by is not None for by, _ in await claims(quiet_house)] == [True]
        routing.cancel()
        await asyncio.wait([routing])
    assert await claims(quiet_house) == [(None, None)]
    await quiet_house.router.round()
    assert (await quiet_house.run(somebody)).status == "running"


async def test_a_router_that_is_stopped_while_it_claims_lets_go_too(quiet_house: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await quiet_house.track(uuid4().hex, Entered())
    has_claimed, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(*asked: Any) -> Any:
        claimed = await claim(*asked)
        has_claimed.set()
        await goes_on.wait()
        return claimed

    monkeypatch.setattr(events.route, "claim", slowly)
    routing = asyncio.create_task(quiet_house.router.round())
    await has_claimed.wait()
    routing.cancel()
    goes_on.set()
    await asyncio.wait([routing])
    assert routing.cancelled()
    assert await claims(quiet_house) == [(None, None)]


async def test_a_claim_is_renewed_while_the_work_goes_on(quiet_house: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = uuid4().hex
    await quiet_house.track(somebody, Entered())
    await quiet_house.router.drain()
    for price in range(3):
        await quiet_house.track(somebody, Tapped(price=price))
    left = []

    async def slowly(*asked: Any) -> Any:
        ((_, until),) = await claims(quiet_house)
        assert until is not None
        left.append(until - datetime.now(UTC))
        async with quiet_house.store.write() as session:  # as if telling had taken 20 s
            await session.exec(update(Person).values(claimed_until=until - timedelta(seconds=20)))
        return await tell(*asked)

    monkeypatch.setattr(events.route, "tell", slowly)
    monkeypatch.setattr(events.route, "RENEWED_AFTER", timedelta(0))
    await quiet_house.router.round()
    assert len(left) == 3
    assert min(left) > timedelta(seconds=25)


async def test_a_router_whose_claim_another_has_taken_works_on_the_person_no_more(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = uuid4().hex
    await quiet_house.track(somebody, Entered())
    await quiet_house.router.drain()
    for price in range(3):
        await quiet_house.track(somebody, Tapped(price=price))

    async def slowly(*asked: Any) -> Any:
        async with quiet_house.store.write() as session:
            await session.exec(update(Person).values(claimed_by="another"))
        return await tell(*asked)

    monkeypatch.setattr(events.route, "tell", slowly)
    monkeypatch.setattr(events.route, "RENEWED_AFTER", timedelta(0))
    await quiet_house.router.round()
    assert await prices(quiet_house, await quiet_house.run(somebody)) == [0]
    assert [by for by, _ in await claims(quiet_house)] == ["another"]


async def test_a_router_that_comes_late_starts_nothing_of_an_erased_person(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = uuid4().hex
    await quiet_house.track(somebody, Entered())
    plainly = events.route.Router._enrol

    async def late(*asked: Any) -> Any:
        entered = await plainly(*asked)
        await erase(quiet_house.store, somebody, BY)
        return entered

    monkeypatch.setattr(events.route.Router, "_enrol", late)
    await quiet_house.router.round()
    assert await describe(quiet_house.temporal, f"counts_taps/{somebody}") is None


async def test_a_run_that_was_started_too_late_for_its_person_is_deleted(
    quiet_house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody, another = uuid4().hex, uuid4().hex
    await quiet_house.track(another, Entered())
    await quiet_house.router.drain()
    await quiet_house.track(somebody, Entered())

    async def late(*asked: Any) -> bool:
        """Start it longer after it was checked than a claim lasts."""
        await run_out(quiet_house)
        erasure = await erase(quiet_house.store, somebody, BY)
        await eventually(lambda: finish(quiet_house.store, quiet_house.temporal, erasure))
        return await start(*asked)

    monkeypatch.setattr(events.route, "start", late)
    await quiet_house.router.round()
    workflow = f"counts_taps/{somebody}"
    assert await describe(quiet_house.temporal, workflow) is not None
    await reconciled(quiet_house)
    assert await describe(quiet_house.temporal, workflow) is not None  # it is not a minute old

    monkeypatch.setattr(reconcile, "ORPHANED", timedelta(0))

    async def is_gone() -> bool:
        await reconciled(quiet_house)
        return await describe(quiet_house.temporal, workflow) is None

    await eventually(is_gone)
    assert await describe(quiet_house.temporal, f"counts_taps/{another}") is not None
    assert (await quiet_house.run(another)).status == "running"


async def reconciled(up: Stage) -> None:
    await reconcile.reconcile(up.store, up.temporal, up.settings.task_queue)
