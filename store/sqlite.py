"""SQLite on the event loop itself: a thread is used only for what may wait, for another process or for the disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool
from sqlalchemy.util import await_only

from store.outage import NotCompacted

BUSY_MILLISECONDS = 30_000
COMPACTING_MILLISECONDS = 1_000  # nobody writes meanwhile
THREADS = ThreadPoolExecutor(32, "sqlite")  # of their own: who waits here for a lock may be waiting for what others do in theirs
DRIVER = "sqlite+sojourn"

T = TypeVar("T")


class Cursor(sqlite3.Cursor):
    """A cursor whose results may be read on the event loop, for they never wait."""

    async def _async_soft_close(self) -> None:
        """SQLAlchemy has an asynchronous driver's cursor close before its results are read; this one need not."""


class Connection(sqlite3.Connection):
    """A connection with such cursors, that knows how durable its commits are."""

    durable: bool | None = None

    def cursor(self, factory: Any = Cursor) -> Any:
        await_only(_at_once())  # SQLAlchemy takes a driver that awaits nothing for a mistake
        return super().cursor(factory)

    def make_durable(self, durable: bool) -> None:
        """Have commits wait for the disk, or not. Between two transactions."""
        if durable is not self.durable:
            self.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.durable = durable


class Dialect(SQLiteDialect_pysqlite):
    """Python's own sqlite3 under SQLAlchemy's asyncio.

    A statement answers from memory within some ten microseconds; handing it to a thread, as aiosqlite does, costs some
    hundred, four times a statement (`make bench` shows it).
    """

    driver = "sojourn"
    is_async = True
    has_terminate = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def connect(self, *args: Any, **options: Any) -> Any:
        return await_only(_apart(lambda: _open(*args)))

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        _at_once_or_apart(cursor.connection, lambda: cursor.execute(statement, parameters))

    def do_commit(self, dbapi_connection: Any) -> None:
        await_only(_apart(dbapi_connection.commit))


registry.register("sqlite.sojourn", __name__, Dialect.__name__)


def begin(connection: Connection, *, writes: bool, durable: bool) -> None:
    """Begin a transaction. One that writes takes the lock now, for two that took it late could not take turns.

    What is not durable survives the death of any process, and a power failure only once something durable follows it.
    """
    if not writes:
        connection.execute("BEGIN DEFERRED")
        return
    connection.make_durable(durable)
    _at_once_or_apart(connection, lambda: connection.execute("BEGIN IMMEDIATE"))


def _at_once_or_apart(connection: sqlite3.Connection, work: Callable[[], object]) -> None:
    """Do it on the loop if it need not wait, and else in a thread, which waits until the file is free."""
    try:
        work()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        await_only(_apart(lambda: _patiently(connection, work)))


def _patiently(connection: sqlite3.Connection, work: Callable[[], object]) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    try:
        work()
    finally:
        connection.execute("PRAGMA busy_timeout = 0")


def _open(file: str) -> Connection:
    connection = sqlite3.connect(file, 0, isolation_level=None, check_same_thread=False, factory=Connection)
    _patiently(connection, lambda: connection.execute("PRAGMA journal_mode = WAL"))
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


async def compact(file: str) -> None:
    """Write the file anew without what was deleted, and empty its log. Raises NotCompacted, soon, while others use it."""
    await _apart(lambda: _compact(file))


def _compact(file: str) -> None:
    try:
        with closing(sqlite3.connect(file, COMPACTING_MILLISECONDS / 1000, isolation_level=None)) as connection:
            _empty_log(connection)  # before the file is written, and not in vain
            connection.execute("VACUUM")
            _empty_log(connection)
    except sqlite3.OperationalError as error:
        raise NotCompacted(str(error)) from error


def _empty_log(connection: sqlite3.Connection) -> None:
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise NotCompacted("somebody reads the write-ahead log")


async def _at_once() -> None:
    """Wait for nothing."""


async def _apart(work: Callable[[], T]) -> T:
    """Do it in a thread; who is cancelled meanwhile still sees it through, for a connection does one thing at a time."""
    job = asyncio.get_running_loop().run_in_executor(THREADS, work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        await asyncio.wait([job])
        raise


def written(file: str) -> tuple[int, int]:
    """Return what differs once anybody has committed to the file: the time and size of its write-ahead log."""
    try:
        log = os.stat(f"{file}-wal")
    except FileNotFoundError:
        return (0, 0)
    return (log.st_mtime_ns, log.st_size)
