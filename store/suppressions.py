"""The core of a suppression: who is waited for, and the row."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from store.hashing import hash_of
from store.session import database_clock
from store.tables import Person, Suppression

EMAIL, PHONE = "email:", "phone:"  # before a name that is an address
PREFIXES = {"email": EMAIL, "sms": PHONE}  # of channels that go to an address; on others, and on all, a person is suppressed

suppressions = Suppression.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]


def name_at(channel: str, address: str) -> str:
    """Return the name of an address, as we keep it, of a channel that goes to one."""
    return f"{PREFIXES[channel]}{address.lower()}"


async def suppress_name(
    connection: AsyncConnection, name: str, channel: str, cause: str, source: str, at: datetime | None = None
) -> bool:
    """Let no message begin to that name on that channel, in the caller's transaction; true if it was not suppressed yet.

    The first cause is kept. It is `at`, by the database's clock unless given. On PostgreSQL it may lose a race for the locks.
    """
    await lock_users(connection, name)
    made = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = {"address": hash_of(connection, name), "channel": channel, "cause": cause, "source": source, "at": at or database_clock()}
    statement = made(suppressions).values(row).on_conflict_do_nothing(index_elements=["address", "channel"])
    return (await connection.execute(statement.returning(suppressions.c.cause))).first() is not None


async def lock_users(connection: AsyncConnection, name: str) -> None:
    """Take turns with every message to whoever uses that name: in the order of `store.session.lock`."""
    if name.startswith(EMAIL):
        uses = func.lower(people.c.email) == func.lower(name.removeprefix(EMAIL))
    elif name.startswith(PHONE):
        uses = people.c.phone == name.removeprefix(PHONE)
    else:
        uses = people.c.user_id == name
    await connection.execute(select(people.c.id).where(uses).order_by(people.c.id).with_for_update())
