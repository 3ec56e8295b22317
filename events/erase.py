"""Erasing a person: every row at once, then every history in Temporal, however long it is away."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import case, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client
from temporalio.service import RPCError

from events.addresses import EMAIL, PHONE, names_of
from events.calls import ANONYMOUS
from events.for_ever import for_ever
from events.histories import delete_histories
from events.lookup import hold
from events.operators import Operator
from events.profiles import unless_there
from store.belongings import belongings
from store.documents import as_stored, fields
from store.hashing import hash_of
from store.impersonal import Erased, Erasure
from store.outage import NotCompacted
from store.session import Store, database_clock
from store.tables import AcceptedEvent, Device, Identity, Person, Run
from workflows.privacy import without

log = logging.getLogger(__name__)

runs = Run.__table__  # type: ignore[attr-defined]
events = AcceptedEvent.__table__  # type: ignore[attr-defined]
identities = Identity.__table__  # type: ignore[attr-defined]
erased = Erased.__table__  # type: ignore[attr-defined]
erasures = Erasure.__table__  # type: ignore[attr-defined]
devices = Device.__table__  # type: ignore[attr-defined]

EVERY = timedelta(seconds=5)
WAITS = (RPCError, RuntimeError, OSError, SQLAlchemyError, NotCompacted)  # what `finish` raises while it has to be done again
AT_ONCE = 100
PREFIXES = (ANONYMOUS, EMAIL, PHONE)

still_busy = case((erasures.c.busy_until > database_clock(), 1), else_=0)
left = select(erasures.c.id, erasures.c.workflow_ids, still_busy.label("busy")).order_by(erasures.c.id).limit(AT_ONCE)


async def erase(store: Store, name: str, operator: Operator) -> int | None:
    """Forget the person of that name, in one transaction under their lock: from its end on nobody is known by their names.

    Returns the erasure, of which `finish` has to delete the histories that Temporal has; None if nobody is known by that name.
    """
    async with store.write() as session:
        connection = await session.connection()
        person = await hold(session, name)
        if person is None or person.id is None:
            return None
        names = await _names(connection, person)
        said = [each for each in (*names, person.email, person.phone, *await _tokens(connection, person)) if each]
        ids = (await connection.scalars(select(runs.c.workflow_id).where(runs.c.person_id == person.id).distinct())).all()
        rows = {}
        for table, theirs in belongings(person.id):
            rows[table.name] = (await connection.execute(delete(table).where(theirs))).rowcount
        hashes = [hash_of(connection, name) for name in names]
        await connection.execute(unless_there(connection, erased, "hash"), [{"hash": each, "at": operator.at} for each in hashes])
        session.add(_blacked_out(operator, said).did("erase", subject=hashes[0], details={"rows": rows}))
        todo = {"hash": hashes[0], "workflow_ids": list(ids), "busy_until": person.claimed_until, "at": operator.at}
        erasure: int = (await connection.execute(insert(erasures).values(todo).returning(erasures.c.id))).scalar_one()
    log.info("somebody was erased; erasure %s deletes %s histories", erasure, len(ids))
    return erasure


async def finish(store: Store, client: Client, erasure: int | None = None) -> bool:
    """Go on with that erasure, or with all: true if Temporal has none of their histories any more, and the file no trace.

    Until then they are still to be done. Raises one of `WAITS` while Temporal or the store does not answer.
    """
    some = left if erasure is None else left.where(erasures.c.id == erasure)
    async with store.read() as session:
        found = (await (await session.connection()).execute(some)).all()
    done = [each.id for each in found if await delete_histories(client, each.workflow_ids) and not each.busy]
    if done:
        async with store.write() as session:  # the ids have the person's name, and go before the file is written anew
            await (await session.connection()).execute(update(erasures).where(erasures.c.id.in_(done)).values(workflow_ids=[]))
        await store.compact()
        async with store.write() as session:
            await (await session.connection()).execute(delete(erasures).where(erasures.c.id.in_(done)))
    return len(done) == len(found)


async def erase_for_ever(store: Store, client: Client) -> None:
    """Finish what erasures have left to do, again and again."""
    await for_ever("erasing", lambda: finish(store, client), EVERY)


async def _names(connection: AsyncConnection, person: Person) -> list[str]:
    """Return all that the person goes by, or went by as far as we still know, the canonical name first."""
    theirs = await connection.scalars(select(identities.c.name).where(identities.c.person_id == person.id))
    said = await connection.execute(
        select(as_stored(events.c.data), as_stored(events.c.context)).where(
            events.c.person_id == person.id, events.c.kind == "identify"
        )
    )
    read = [(fields(traits) or {}, fields(context) or {}) for traits, context in said]
    former = [name for traits, context in read for name in names_of(traits, context.get("locale"))]
    return list(dict.fromkeys([person.user_id, *theirs, *names_of({"email": person.email, "phone": person.phone}), *former]))


async def _tokens(connection: AsyncConnection, person: Person) -> Sequence[str]:
    return (await connection.scalars(select(devices.c.token).where(devices.c.person_id == person.id))).all()


def _blacked_out(operator: Operator, names: Sequence[str]) -> Operator:
    """The record of an erasure stays: who is erased is not to be read in it, not without `anon:` or `email:` before it either."""
    bare = [name.partition(":")[2] for name in names if name.startswith(PREFIXES)]
    return replace(operator, actor=without(operator.actor, (*names, *bare)), reason=without(operator.reason, (*names, *bare)))
