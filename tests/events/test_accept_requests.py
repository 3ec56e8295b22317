"""Runs that are asked for start once, and an operator's exit holds from the moment it is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from events.calls import Clock
from events.enrol import Refused
from events.erase import erase
from events.operators import Operator
from events.request import Misused, Requested, Unfit, request_exit, request_run
from store.session import Store
from store.tables import AcceptedEvent, Operation, Run
from tests.events.shop import SHOP

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = Clock(NOON)
BASKET_HELP, BY_BASKET, WIN_BACK = (SHOP[name, 1] for name in ("basket_help", "basket_by_basket", "win_back"))
DATA = {"basket": "b1", "colour": "red"}


async def runs(store: Store) -> Sequence[Run]:
    async with store.read() as session:
        return (await session.exec(select(Run).order_by(col(Run.id)))).all()


async def events(store: Store) -> Sequence[AcceptedEvent]:
    async with store.read() as session:
        return (await session.exec(select(AcceptedEvent).order_by(col(AcceptedEvent.id)))).all()


async def requested(store: Store, **options: Any) -> Run:
    outcome = await request_run(store, BASKET_HELP, "ada", DATA, CLOCK, **options)
    assert isinstance(outcome, Requested)
    return outcome.run


async def test_a_requested_run_is_stored_with_the_event_that_starts_it(store: Store) -> None:
    run = await requested(store)
    (event,) = await events(store)
    assert (event.kind, event.name, event.data, event.status) == ("run", "Basket Filled", DATA, "pending")
    assert (event.run_id, event.id) == (run.id, run.trigger_id)
    assert (run.status, run.workflow_id, run.trigger, run.started_at) == ("starting", "basket_help/ada", "Basket Filled", NOON)
    assert [each.id for each in await runs(store)] == [run.id]


async def test_fifty_simultaneous_requests_start_one_run(store: Store) -> None:
    outcomes = await asyncio.gather(*(request_run(store, BASKET_HELP, "ada", DATA, CLOCK) for _ in range(50)))
    (started,) = [each for each in outcomes if isinstance(each, Requested)]
    refused = [each for each in outcomes if isinstance(each, Refused)]
    assert (len(refused), {each.run_id for each in refused}) == (49, {started.run.id})
    assert len(await runs(store)) == len(await events(store)) == 1


async def test_fifty_simultaneous_requests_with_one_idempotency_key_get_one_answer(store: Store) -> None:
    started = await asyncio.gather(*(requested(store, idempotency_key="k1") for _ in range(50)))
    assert {each.id for each in started} == {each.id for each in await runs(store)}
    assert len(await runs(store)) == len(await events(store)) == 1


async def test_an_idempotency_key_stands_for_one_request(store: Store) -> None:
    run = await requested(store, idempotency_key="k1")
    for user, data, definition in (("bob", DATA, BASKET_HELP), ("ada", {"basket": "b2"}, BASKET_HELP), ("ada", DATA, BY_BASKET)):
        assert await request_run(store, definition, user, data, CLOCK, idempotency_key="k1") == Misused(run.id)
    assert len(await runs(store)) == 1


async def test_one_idempotency_key_for_two_people_at_once_starts_one_run(store: Store) -> None:
    people = [f"u{i}" for i in range(10)]
    outcomes = await asyncio.gather(*(request_run(store, BASKET_HELP, each, DATA, CLOCK, idempotency_key="k1") for each in people))
    assert sum(isinstance(each, Requested) for each in outcomes) == 1
    assert sum(isinstance(each, Misused) for each in outcomes) == 9
    assert len(await runs(store)) == 1


async def test_an_answer_is_repeated_even_when_the_run_is_over(store: Store) -> None:
    run = await requested(store, idempotency_key="k1")
    await end(store, run, NOON)
    assert (await requested(store, idempotency_key="k1")).id == run.id


async def test_who_was_in_an_once_only_journey_is_refused(store: Store) -> None:
    await end(store, await requested(store), NOON)
    assert await request_run(store, BASKET_HELP, "ada", DATA, CLOCK) == Refused("entered before, and this journey is entered once")


async def test_a_journey_may_be_entered_again_when_its_pause_is_over(store: Store) -> None:
    first = await request_run(store, WIN_BACK, "ada", {}, CLOCK)
    assert isinstance(first, Requested)
    await end(store, first.run, NOON + timedelta(days=1))
    early, late = (Clock(NOON + timedelta(days=count)) for count in (30, 31))
    assert await request_run(store, WIN_BACK, "ada", {}, early) == Refused("may enter again from 2026-04-02T12:00:00+00:00")
    assert isinstance(await request_run(store, WIN_BACK, "ada", {}, late), Requested)


async def test_runs_of_different_keys_go_side_by_side(store: Store) -> None:
    for basket, expected in (("b1", Requested), ("b2", Requested), ("b1", Refused)):
        assert isinstance(await request_run(store, BY_BASKET, "ada", {"basket": basket}, CLOCK), expected)
    assert [each.workflow_id for each in await runs(store)] == ["basket_by_basket/ada/b1", "basket_by_basket/ada/b2"]


@pytest.mark.parametrize(
    ("data", "event", "error"),
    [
        ({}, None, "data.basket: Field required"),
        ({"basket": "b1", "worth": "much"}, None, "data.worth: Input should be a valid integer"),
        ({"basket": "b1"}, "Order Placed", "event: 'basket_help' does not start on 'Order Placed'; it starts on 'Basket Filled'"),
    ],
)
async def test_data_that_does_not_fit_is_refused_by_field(
    store: Store, data: dict[str, Any], event: str | None, error: str
) -> None:
    with pytest.raises(Unfit, match=error):
        await request_run(store, BASKET_HELP, "ada", data, CLOCK, event=event)
    assert await events(store) == []


async def test_a_journey_that_several_events_start_is_told_which(store: Store) -> None:
    await request_run(store, BY_BASKET, "ada", {"basket": "b1"}, CLOCK, event="Order Placed")
    assert (await runs(store))[0].trigger == "Order Placed"


async def test_the_erased_enter_nothing(store: Store) -> None:
    await requested(store)
    await erase(store, "ada", Operator("eve", "asked by letter", "ops", NOON))
    assert await request_run(store, WIN_BACK, "ada", {}, CLOCK) == Refused("was erased, and enters no journey")


async def test_an_exit_is_an_event_of_that_run_and_is_recorded(store: Store) -> None:
    run = await requested(store)
    assert await request_exit(store, run, Operator("eve", "wrong person", "ops", NOON), CLOCK)
    event = (await events(store))[-1]
    assert (event.kind, event.name, event.run_id, event.status) == ("exit", "exit", run.id, "pending")
    assert event.data == {"actor": "eve", "reason": "wrong person"}
    async with store.read() as session:
        (done,) = (await session.exec(select(Operation))).all()
    assert (done.run_id, done.action, done.actor, done.reason, done.at) == (run.id, "exit", "eve", "wrong person", NOON)


async def test_a_run_that_is_over_cannot_be_ended(store: Store) -> None:
    run = await requested(store)
    await end(store, run, NOON)
    assert not await request_exit(store, run, Operator("eve", "wrong person", "ops", NOON), CLOCK)
    assert len(await events(store)) == 1


async def end(store: Store, run: Run, at: datetime) -> None:
    async with store.write() as session:
        row = (await session.exec(select(Run).where(Run.id == run.id))).one()
        row.status, row.ended_at = "completed", at
        session.add(row)
