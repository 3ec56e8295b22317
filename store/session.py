"""How the store is reached: one engine a process, read or write transactions, and a lock a person."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any

import sqlalchemy
from pydantic_core import from_json, to_json
from sqlalchemy import Connection, event, func, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from store import sqlite
from store.columns import Moment
from store.many import among
from store.notices import CHANNEL, Notices
from store.tables import Merge, Person

LOOK_SECONDS = 0.004
REST_SECONDS = 1.0  # of a connection to PostgreSQL, after which it may have died unheard
RESTS_SINCE = "sojourn_rests_since"
HOW: dict[str, Any] = {
    "hide_parameters": True,
    "json_serializer": lambda value: to_json(value).decode(),  # several times as fast as SQLAlchemy's default, and so is reading
    "json_deserializer": from_json,
}
AT_LATEST_SECONDS = 0.2  # two commits within one tick of the file system's clock may look like one


class Store:
    """The database, SQLite or PostgreSQL, by URL: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`.

    `erasure_key` keys the hashes of the names of those who were erased; each process that shares a database has the same.
    """

    def __init__(self, url: str, *, erasure_key: str, pool_size: int = 10) -> None:
        self.engine = _engine(url, pool_size).execution_options(sojourn_erasure_key=erasure_key)
        self._durable = self.engine.execution_options(sojourn_writes=True, sojourn_durable=True)
        self._brisk = self.engine.execution_options(sojourn_writes=True, sojourn_durable=False)
        self._turn = asyncio.Lock()
        self._notices = Notices(self.engine)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def write(self, *, durable: bool = True) -> AsyncIterator[AsyncSession]:
        """A transaction that writes: committed at the end of the block, rolled back if it raises.

        One that is not `durable` may be undone by a power failure, unless something durable was committed after it: that
        saves the wait for the disk where nothing is lost by doing the same again.
        """
        engine = self._durable if durable else self._brisk
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

    async def compact(self) -> None:
        """Leave nothing of what was deleted in an SQLite file or its log. Raises NotCompacted while others use the file.

        On PostgreSQL that is autovacuum's work, and the archive's retention.
        """
        file = self.engine.url.database
        if self.is_sqlite and file:
            async with self._turn:
                await sqlite.compact(file)

    def written(self) -> object:
        """Return what is another once anybody has committed, on PostgreSQL something that was announced."""
        database = self.engine.url.database
        return sqlite.written(database) if self.is_sqlite and database else self._notices.count

    async def written_since(self, before: object, seconds: float) -> None:
        """Return soon after `written` would not return `before` any more; at the latest after a while.

        On PostgreSQL that is when what was announced is committed, and a second without; while nothing is heard from the
        server, it is `seconds`.
        """
        if not self.is_sqlite:
            await self._notices.since(before, seconds)
            return
        for _ in range(int(AT_LATEST_SECONDS / LOOK_SECONDS)):
            if self.written() != before:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        await self._notices.close()
        await self.engine.dispose()


# In one order everywhere, so that two batches never wait for each other.
people = Person.__table__  # type: ignore[attr-defined]
merges = Merge.__table__  # type: ignore[attr-defined]
merged_into = sqlalchemy.select(merges.c.into_id).where(among(merges.c.absorbed_id, "people"))
their_locks = sqlalchemy.select(people.c.id).where(among(people.c.id, "people")).order_by(people.c.id).with_for_update()


async def lock(session: AsyncSession, person_ids: Sequence[int], locks: sqlalchemy.Select[Any] = their_locks) -> None:
    """Take turns with everybody else who accepts events for, or sends to, these people, up to the end of the transaction.

    Who was merged meanwhile is locked as who they are now. On SQLite a writing transaction has the whole file to itself already.
    `locks` is a statement that takes others beside these, and returns first whom it has locked.
    """
    connection = await session.connection()
    left = set() if connection.dialect.name == "sqlite" else set(person_ids)
    while left:
        gone = left - {row[0] for row in await connection.execute(locks, {"people": sorted(left)})}
        left = {row[0] for row in await connection.execute(merged_into, {"people": sorted(gone)})} if gone else set()


tell_all = select(func.pg_notify(CHANNEL, ""))


async def announce(connection: AsyncConnection) -> None:
    """Wake the routers once this transaction is committed. On SQLite the commit itself does."""
    if connection.dialect.name != "sqlite":
        await connection.execute(tell_all)


class database_clock(FunctionElement[datetime]):
    """The database's clock, which leases go by, as part of a statement."""

    type = Moment()
    inherit_cache = True


@compiles(database_clock)
def _clock(*_: Any, **__: Any) -> str:
    return "clock_timestamp()"


@compiles(database_clock, "sqlite")
def _sqlite_clock(*_: Any, **__: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


def _engine(url: str, pool_size: int) -> AsyncEngine:
    if not url.startswith("sqlite"):
        engine = create_async_engine(url, pool_size=pool_size, max_overflow=0, **HOW)
        event.listen(engine.sync_engine, "checkout", _see_that_it_lives)
        event.listen(engine.sync_engine, "checkin", _rest)
    else:
        engine = create_async_engine(make_url(url).set(drivername=sqlite.DRIVER), pool_size=pool_size, **HOW)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _see_that_it_lives(connection: Any, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
    """Have the pool make another connection in place of one that is known to be closed, or has rested and does not answer.

    SQLAlchemy's own `pool_pre_ping` asks each time, which costs three round trips a transaction.
    """
    rested = time.monotonic() - record.info.get(RESTS_SINCE, math.inf) > REST_SECONDS
    if connection.driver_connection.is_closed() or (rested and not _answers(connection)):
        raise InvalidatePoolError


def _answers(connection: Any) -> bool:
    try:
        connection.ping()
    except (connection.dbapi.Error, OSError):
        return False
    return True


def _rest(_: object, record: ConnectionPoolEntry) -> None:
    record.info[RESTS_SINCE] = time.monotonic()


def _begin(connection: Connection) -> None:
    """Begin by ourselves on SQLite, and say how durable it has to be."""
    options = connection.get_execution_options()
    writes, durable = options.get("sojourn_writes", False), options.get("sojourn_durable", True)
    if connection.dialect.name == "sqlite":
        assert isinstance(connection.connection.dbapi_connection, sqlite.Connection)
        sqlite.begin(connection.connection.dbapi_connection, writes=writes, durable=durable)
    elif writes and not durable:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
