"""Forgetting the parts of a server that was killed: the next one would look for them, for a minute, before it worked."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from engine.errors import EngineError
from engine.process import LOOPBACK


def forget_members_of_file(database: Path) -> None:
    """Call it while nothing serves from `database`. Raises EngineError if that is not a database of ours."""
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database)) as connection, connection:
            if connection.execute("select 1 from sqlite_master where name = 'cluster_membership'").fetchone():
                connection.execute("delete from cluster_membership")
    except sqlite3.DatabaseError as error:
        raise EngineError(
            f"The Temporal server's runs in {database} cannot be read ({error}): "
            "move that file away, or choose another folder with --data-dir."
        ) from error


async def forget_members_of_postgres(url: str, database: str) -> None:
    """Only those on loopback, which is where a server of ours is; Temporal's own schema must be set up."""
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg", database=database))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("delete from cluster_membership where rpc_address = :here"), {"here": LOOPBACK})
    finally:
        await engine.dispose()
