"""Bringing a database to this version's tables."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text

from store.session import Store

MIGRATIONS = Path(__file__).parent / "migrations"
NOBODY_IS_MET = ""  # here, so that no erasure key is needed
LOCK = 0x50_4A_52_4E  # PostgreSQL's advisory lock that migrations take turns on: a number that is nobody else's


def migrate(url: str) -> None:
    """Bring the database of that URL to the newest tables, making an SQLite file with its folder if there is none.

    Processes that start at once take turns; whoever comes second finds nothing to do. Call it outside an event loop.
    """
    asyncio.run(_migrate(url))


async def _migrate(url: str) -> None:
    file = make_url(url).database
    if url.startswith("sqlite") and file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    store = Store(url, erasure_key=NOBODY_IS_MET)
    try:
        async with store.write() as session:
            if not store.is_sqlite:  # there, a writing transaction has the file to itself
                await session.exec(text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=LOCK))  # type: ignore[call-overload]
            await (await session.connection()).run_sync(_upgrade)
    finally:
        await store.close()


def _upgrade(connection: Connection) -> None:
    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """Return what Alembic needs to know to work on that connection, inside its transaction."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


async def _draft(url: str, message: str) -> None:
    """Write a migration from what the tables say now and the database of that URL does not."""
    store = Store(url, erasure_key=NOBODY_IS_MET)
    async with store.engine.connect() as connection:
        await connection.run_sync(lambda each: command.revision(configuration(each), message, autogenerate=True))
    await store.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m store.migrate URL MESSAGE, where URL names a database migrated so far")
    migrate(sys.argv[1])
    asyncio.run(_draft(sys.argv[1], sys.argv[2]))
