"""Writing transactions on SQLite: what waits, and for whom."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from settings import DEVELOPMENT_ERASURE_KEY
from store.migrate import migrate
from store.session import Store
from store.tables import Person

A_WHILE = 0.1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    migrate(f"sqlite+aiosqlite:///{tmp_path / 'sojourn.db'}")
    return tmp_path / "sojourn.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite+aiosqlite:///{file}", erasure_key=DEVELOPMENT_ERASURE_KEY)
    yield store
    await store.close()


async def add(store: Store, user_id: str, *, durable: bool = True) -> None:
    async with store.write(durable=durable) as session:
        session.add(Person(user_id=user_id, created_at=datetime.now(UTC)))


async def everybody(store: Store) -> list[str]:
    async with store.read() as session:
        return list((await session.exec(select(Person.user_id).order_by(Person.user_id))).all())


async def test_a_writer_waits_for_another_process_while_the_loop_goes_on(store: Store, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(add(store, "ada"))
    done, _ = await asyncio.wait([writing], timeout=A_WHILE)
    assert not done
    assert await everybody(store) == []
    other.execute("COMMIT")
    await writing
    assert await everybody(store) == ["ada"]
    other.close()


async def test_who_gives_up_waiting_leaves_the_store_fit_for_the_next(store: Store, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(add(store, "ada"))
    await asyncio.wait([writing], timeout=A_WHILE)
    writing.cancel()
    other.execute("COMMIT")
    other.close()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await add(store, "grace")
    assert await everybody(store) == ["grace"]


@pytest.mark.parametrize("durable", [True, False])
async def test_only_what_must_be_durable_waits_for_the_disk(store: Store, durable: bool) -> None:
    await add(store, "before", durable=not durable)
    async with store.write(durable=durable) as session:
        connection = await (await session.connection()).get_raw_connection()
        assert connection.dbapi_connection is not None
        level = connection.dbapi_connection.execute("PRAGMA synchronous").fetchone()
    assert level == (2 if durable else 1,)  # https://www.sqlite.org/pragma.html#pragma_synchronous: FULL, NORMAL
