"""PostgreSQL tells who waits that something was accepted; nobody has to ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest
from sqlalchemy import text

import store.notices
from events.accept import accept
from events.calls import Clock, understand
from settings import DEVELOPMENT_ERASURE_KEY
from store.notices import CHANNEL
from store.session import Store, announce
from tests.databases import PostgresDatabases

AN_HOUR = 3600.0
SOON = 10.0


@pytest.fixture
async def stores(postgresql: PostgresDatabases, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Store, Store]]:
    """Two processes' stores, the first of which listens, and asks only once an hour."""
    monkeypatch.setattr(store.notices, "AT_LATEST_SECONDS", AN_HOUR)
    url = await asyncio.to_thread(postgresql.migrated)
    waiting, other = Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY), Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY)
    assert await heard(waiting, waiting.written())  # that it listens now
    yield waiting, other
    await waiting.close()
    await other.close()


async def heard(waiting: Store, before: object) -> bool:
    """Say whether something is heard soon; nobody asks meanwhile."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            while waiting.written() == before:
                await waiting.written_since(before, 0.01)
    return waiting.written() != before


async def say_something(used: Store) -> None:
    body = {"userId": "somebody", "event": "seen", "messageId": uuid4().hex}
    await accept(used, [understand(body, "track", Clock.real())], Clock.real())


async def test_who_waits_is_woken_by_what_another_process_accepts(stores: tuple[Store, Store]) -> None:
    waiting, other = stores
    before = waiting.written()
    asleep = asyncio.create_task(heard(waiting, before))
    await asyncio.sleep(0)
    assert not asleep.done()
    await say_something(other)
    assert await asleep


async def test_who_waits_is_woken_by_what_came_while_nobody_listened(stores: tuple[Store, Store]) -> None:
    waiting, other = stores
    before = waiting.written()
    async with other.read() as session:
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%{CHANNEL}%'"
        assert (await session.exec(text(cut))).all() == [(True,)]  # type: ignore[call-overload]
    await say_something(other)
    assert await heard(waiting, before)


async def test_what_is_rolled_back_wakes_nobody(stores: tuple[Store, Store]) -> None:
    waiting, other = stores
    before = waiting.written()
    async with other.read() as session:  # which is rolled back
        await announce(await session.connection())
    await say_something(other)
    assert await heard(waiting, before)
    assert waiting.written() == before + 1  # type: ignore[operator]
