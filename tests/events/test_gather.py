"""Calls that come at one time share a transaction, and nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlmodel import col, select

from events.calls import Call, Clock, understand
from events.gather import TOGETHER, Gathering
from store.session import Store
from store.tables import AcceptedEvent

CLOCK = Clock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


def call(number: int, user: str = "") -> Call:
    body = {"userId": user or f"user-{number}", "event": "Basket Filled", "properties": {"basket": f"b{number}"}}
    return understand({**body, "messageId": f"m{number}"}, "track", CLOCK)


async def stored(store: Store) -> Sequence[str]:
    async with store.read() as session:
        return (await session.exec(select(AcceptedEvent.message_id).order_by(col(AcceptedEvent.id)))).all()


class Commits:
    """Counts the transactions that are committed."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        sqlalchemy_event.listen(store.engine.sync_engine, "commit", self._count)

    def _count(self, _: object) -> None:
        self.count += 1


async def test_calls_that_wait_together_are_stored_together(store: Store) -> None:
    commits, gathering = Commits(store), Gathering(store)
    await asyncio.gather(*(gathering.accept([call(number)], CLOCK) for number in range(100)))
    assert len(await stored(store)) == 100
    assert commits.count <= 8


async def test_more_than_fit_one_transaction_are_stored_too(store: Store) -> None:
    gathering = Gathering(store)
    await asyncio.gather(*(gathering.accept([call(number, "ada")], CLOCK) for number in range(TOGETHER + 5)))
    assert len(await stored(store)) == TOGETHER + 5


async def test_a_call_is_durable_when_it_returns(store: Store) -> None:
    gathering = Gathering(store)

    async def accept_and_look(number: int) -> bool:
        await gathering.accept([call(number)], CLOCK)
        return f"m{number}" in await stored(store)

    assert all(await asyncio.gather(*(accept_and_look(number) for number in range(8))))


async def test_a_call_that_cannot_be_stored_fails_alone(store: Store) -> None:
    gathering = Gathering(store)
    broken = call(3)._replace(data={"what": object()})
    calls = [broken if number == 3 else call(number) for number in range(6)]
    results = await asyncio.gather(*(gathering.accept([each], CLOCK) for each in calls), return_exceptions=True)
    assert [result is None for result in results] == [True, True, True, False, True, True]
    assert sorted(await stored(store)) == ["m0", "m1", "m2", "m4", "m5"]


async def test_a_call_that_is_too_large_for_the_database_fails_alone(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has no such limit")
    gathering = Gathering(store)
    chance = random.Random(1)
    endless = call(3)._replace(message_id="".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(4000)))  # no index takes it
    calls = [endless if number == 3 else call(number) for number in range(6)]
    results = await asyncio.gather(*(gathering.accept([each], CLOCK) for each in calls), return_exceptions=True)
    assert [result is None for result in results] == [True, True, True, False, True, True]


async def test_a_batch_is_stored_whole_or_not_at_all_whoever_shares_its_transaction(store: Store) -> None:
    gathering = Gathering(store)
    batches = [[call(10 * batch + each) for each in range(3)] for batch in range(4)]
    batches[2][1] = batches[2][1]._replace(data={"what": object()})
    results = await asyncio.gather(*(gathering.accept(each, CLOCK) for each in batches), return_exceptions=True)
    assert [result is None for result in results] == [True, True, False, True]
    assert sorted(await stored(store)) == ["m0", "m1", "m10", "m11", "m12", "m2", "m30", "m31", "m32"]


async def test_who_goes_away_takes_nobody_with_them(store: Store) -> None:
    gathering = Gathering(store)
    waiting = [asyncio.create_task(gathering.accept([call(number)], CLOCK)) for number in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True, False, False]
    await gathering.close()
    await gathering.accept([call(9)], CLOCK)
    assert {"m0", "m2", "m3", "m9"} <= set(await stored(store))


async def test_calls_of_a_played_stream_keep_their_own_clock(store: Store) -> None:
    gathering = Gathering(store)
    played = Clock(CLOCK.at - timedelta(days=3000), -1000.0)
    await asyncio.gather(*(gathering.accept([call(number)], played if number % 2 else CLOCK) for number in range(4)))
    async with store.read() as session:
        rows = (await session.exec(select(AcceptedEvent.message_id, AcceptedEvent.clock_offset))).all()
    assert dict(rows) == {"m0": 0, "m1": -1000.0, "m2": 0, "m3": -1000.0}


async def test_closing_waits_for_what_is_being_stored(store: Store) -> None:
    gathering = Gathering(store)
    waiting = asyncio.create_task(gathering.accept([call(1)], CLOCK))
    await asyncio.sleep(0)
    await gathering.close()
    assert await stored(store) == ["m1"]
    await waiting


@pytest.mark.parametrize("times", [2, 20])
async def test_a_message_that_comes_many_times_at_once_is_stored_once(store: Store, times: int) -> None:
    gathering = Gathering(store)
    await asyncio.gather(*(gathering.accept([call(1)], CLOCK) for _ in range(times)))
    assert await stored(store) == ["m1"]
