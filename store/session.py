"""How the store is reached: one engine a process, read or write transactions, and a lock a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, event, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from store import sqlite
from store.tables import Moment, Person

BUSY_SECONDS = 30
LOOK_SECONDS = 0.004
AT_LATEST_SECONDS = 0.2  # two commits within one tick of the file system's clock may look like one


class Store:
    """The database, SQLite or PostgreSQL, by URL: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine = _engine(url, pool_size)
        self._turn = asyncio.Lock()

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that writes: committed at the end of the block, rolled back if it raises."""
        engine = self.engine.execution_options(sojourn_begin="IMMEDIATE")
        async with self._in_turn(), AsyncSession(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def _in_turn(self) -> AbstractAsyncContextManager[object]:
        """SQLite has one writer at a time: within a process they queue here, fairly, and not by polling the file."""
        return self._turn if self.is_sqlite else nullcontext()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that only reads, from one snapshot."""
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    def written(self) -> object:
        """Return what is another once anybody has committed; on PostgreSQL nothing tells, and it never is."""
        database = self.engine.url.database
        return sqlite.written(database) if self.is_sqlite and database else None

    async def written_since(self, before: object, seconds: float) -> None:
        """Return soon after something has been committed since `written` returned `before`; at the latest after a while.

        Where nothing tells, that is after so many seconds.
        """
        if before is None:
            await asyncio.sleep(seconds)
            return
        for _ in range(int(AT_LATEST_SECONDS / LOOK_SECONDS)):
            if self.written() != before:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        await self.engine.dispose()


async def lock(session: AsyncSession, person_ids: Sequence[int]) -> None:
    """Take turns with everybody else who accepts events for, or sends to, these people, up to the end of the transaction.

    On SQLite a writing transaction has the whole file to itself already.
    """
    if session.get_bind().dialect.name != "sqlite":
        await session.exec(  # in one order everywhere, so that two batches never wait for each other
            select(Person.id).where(Person.id.in_(person_ids)).order_by(Person.id).with_for_update()  # type: ignore[call-overload, union-attr]
        )


async def database_now(session: AsyncSession) -> datetime:
    """Return the database's clock, which leases go by."""
    if session.get_bind().dialect.name == "sqlite":
        clock: Any = literal_column("strftime('%Y-%m-%d %H:%M:%f000', 'now')", type_=Moment())
    else:
        clock = func.clock_timestamp(type_=Moment())
    now: datetime = (await session.exec(select(clock))).scalar_one()  # type: ignore[call-overload]
    return now


def _engine(url: str, pool_size: int) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True, hide_parameters=True)
    how = {"timeout": BUSY_SECONDS, "isolation_level": None, "async_creator_fn": sqlite.connect}
    engine = create_async_engine(url, connect_args=how, pool_size=pool_size, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", f"busy_timeout = {BUSY_SECONDS * 1000}", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin by ourselves: the driver would take the write lock late, where two writers can no longer take turns."""
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sojourn_begin', 'DEFERRED')}")
