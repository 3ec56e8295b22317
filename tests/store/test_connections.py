"""A connection to PostgreSQL that has died is replaced before anybody uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from threading import Thread

import pytest
from sqlalchemy import text

import store.session
from settings import DEVELOPMENT_ERASURE_KEY
from store.session import Store
from tests.databases import PostgresDatabases

OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
async def url(postgresql: PostgresDatabases) -> str:
    return await asyncio.to_thread(postgresql.migrated)


@pytest.fixture
async def used(url: str) -> AsyncIterator[Store]:
    """A store with one connection, which has been used."""
    used = Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY, pool_size=1)
    await who_serves(used)
    yield used
    await used.close()


async def who_serves(used: Store) -> int:
    async with used.read() as session:
        pid: int = (await session.exec(text("SELECT pg_backend_pid()"))).one()[0]  # type: ignore[call-overload]
    return pid


async def cut(url: str) -> list[bool]:
    """Have the server close everybody else's connections, and say of each whether it is gone."""
    other = Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY, pool_size=1)
    async with other.read() as session:
        gone = (await session.exec(text(f"SELECT pg_terminate_backend(pid, 10000) {OTHERS}"))).all()  # type: ignore[call-overload]
    await other.close()
    return [each for (each,) in gone]


async def test_one_that_is_known_to_be_closed_is_replaced(used: Store, url: str) -> None:
    before = await who_serves(used)
    assert await cut(url) == [True]
    assert await who_serves(used) != before


async def test_one_that_died_unheard_while_it_rested_is_replaced(used: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.session, "REST_SECONDS", 0.0)
    before = await who_serves(used)
    gone: list[bool] = []
    elsewhere = Thread(target=lambda: gone.extend(asyncio.run(cut(url))))
    elsewhere.start()
    elsewhere.join()  # this thread's loop stands still meanwhile, and so hears nothing
    assert gone == [True]
    assert await who_serves(used) != before
