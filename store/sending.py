"""The locks under which a message begins: the person's, and one that whoever throws a kill switch takes alone."""

from __future__ import annotations

import sqlalchemy
from sqlmodel import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.session import lock, their_locks

STOPS = 0x53_54_4F_50  # PostgreSQL's advisory lock of all kill switches: a number that is nobody else's

person = their_locks.subquery("person")  # which is locked first: PostgreSQL does not mix a locking subquery with what is around it
persons_beside_others = sqlalchemy.select(person.c.id, func.pg_advisory_xact_lock_shared(STOPS))
alone = select(func.pg_advisory_xact_lock(STOPS))


async def lock_to_send(session: AsyncSession, person_id: int) -> None:
    """Take turns with who accepts this person's events, and with who throws a kill switch, up to the end of the transaction.

    What is read in a later statement holds until then. On SQLite a writing transaction has the whole file to itself already.
    """
    await lock(session, [person_id], persons_beside_others)


async def lock_stops(session: AsyncSession) -> None:
    """Wait for the messages that are just beginning, and let none begin up to the end of the transaction."""
    if session.get_bind().dialect.name != "sqlite":
        await session.exec(alone)
