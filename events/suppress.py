"""Suppressions: nothing may go to an address any more, whoever uses it, or to a person, whatever the channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.accept import retrying
from events.addresses import name_of
from events.operators import Operator, operations
from store.hashing import hash_of
from store.session import Store
from store.suppressions import PREFIXES, lock_users, name_at, suppress_name
from store.tables import Identity, Operation, Person, Suppression
from workflows.privacy import without
from workflows.traits import Misfit

ALL = "*"

suppressions = Suppression.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]
identities = Identity.__table__  # type: ignore[attr-defined]

called = (
    select(people.c.user_id).join(identities, identities.c.person_id == people.c.id).where(identities.c.name == bindparam("name"))
)


async def suppress(
    store: Store, channel: str, address: str, cause: str, source: str, at: datetime, by: Operator | None = None
) -> bool:
    """Let no message begin to that address on that channel from here on; true if it was not suppressed yet.

    `address` is an e-mail address or an E.164 number; for channels that have no such thing, and for '*', all, a name of a
    person. The first cause is kept. `by` is the operator who says so, if one does: it goes into the audit log.
    """

    async def attempt() -> bool:
        async with store.write() as session:
            return await suppress_here(await session.connection(), channel, address, cause, source, at, by)

    return await retrying(attempt)


async def suppress_here(
    connection: AsyncConnection, channel: str, address: str, cause: str, source: str, at: datetime, by: Operator | None = None
) -> bool:
    """Do so in the caller's transaction, which takes the locks of all who use the address; it may lose a race (`retrying`)."""
    name = await _held(connection, channel, address)
    added = await suppress_name(connection, name, channel, cause, source, at)
    if added and by is not None:
        details = {"channel": channel, "cause": cause, "source": source}
        await _record(connection, by, name, "suppress", hash_of(connection, name), details)
    return added


async def lift(store: Store, channel: str, address: str, by: Operator | None = None, cause: str | None = None) -> bool:
    """Let messages go there again; true if it was suppressed. With a `cause`, only if it was for that one."""
    async with store.write() as session:
        return await lift_here(await session.connection(), channel, address, by, cause)


async def lift_here(
    connection: AsyncConnection, channel: str, address: str, by: Operator | None = None, cause: str | None = None
) -> bool:
    """Do so in the caller's transaction."""
    name = await name_here(connection, channel, address)
    hashed = hash_of(connection, name)
    theirs = delete(suppressions).where(suppressions.c.address == hashed, suppressions.c.channel == channel)
    if cause is not None:
        theirs = theirs.where(suppressions.c.cause == cause)
    was = (await connection.execute(theirs.returning(suppressions.c.cause, suppressions.c.source, suppressions.c.at))).first()
    if was is not None and by is not None:
        details = {"channel": channel, "cause": was.cause, "source": was.source, "since": was.at.isoformat()}
        await _record(connection, by, name, "lift", hashed, details)
    return was is not None


def whole(address: str) -> str:
    """Return an address that somebody gave as the store may keep it; '' if there is nothing of one in it."""
    return address.replace("\0", "").strip()


async def suppression(store: Store, channel: str, address: str) -> Mapping[str, Any] | None:
    """Return since when and why nothing goes to that address on that channel; None if it may."""
    async with store.read() as session:
        connection = await session.connection()
        found = await suppressed(connection, [await name_here(connection, channel, address)])
    return next((each for each in found if each["channel"] == channel), None)


async def suppressed(connection: AsyncConnection, names: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Return the suppressions of these names, the eldest first: channel, cause, source and since when."""
    hashes = [hash_of(connection, name) for name in names]
    said = select(suppressions.c.channel, suppressions.c.cause, suppressions.c.source, suppressions.c.at)
    theirs = said.where(suppressions.c.address.in_(hashes)).order_by(suppressions.c.at, suppressions.c.channel)
    return [dict(row) for row in (await connection.execute(theirs)).mappings()]


def names_of(person: Person) -> list[str]:
    """Return the names by which a suppression may know somebody."""
    addresses = (("email", person.email), ("sms", person.phone))
    return [person.user_id, *(suppressed_name(channel, address) for channel, address in addresses if address)]


def suppressed_name(channel: str, address: str) -> str:
    """Return the name under which the gate looks for a suppression; however an address is written, it is the same."""
    prefix = PREFIXES.get(channel)
    if prefix is None:
        return address
    bare = address.removeprefix(prefix).strip()
    try:
        return name_of(prefix, bare)
    except Misfit:
        return name_at(channel, bare)


async def name_here(connection: AsyncConnection, channel: str, address: str) -> str:
    """Return that name, where it is a person's the one that they are called by now, by whichever of theirs they are meant."""
    name = suppressed_name(channel, address)
    if channel in PREFIXES:
        return name
    return await connection.scalar(called, {"name": name}) or name


async def _held(connection: AsyncConnection, channel: str, address: str) -> str:
    """Return it with all who use it locked: who turns out to be somebody else meanwhile is locked as that."""
    name = ""
    while (now := await name_here(connection, channel, address)) != name:
        name = now
        await lock_users(connection, name)
    return name


async def _record(
    connection: AsyncConnection, by: Operator, name: str, action: str, hashed: str, details: Mapping[str, Any]
) -> None:
    """Add it to the audit log, which names nobody here: the record stays when whoever uses the address is erased."""
    said = (name, name.partition(":")[2] or name)
    discreet = replace(by, actor=without(by.actor, said), reason=without(by.reason, said))
    done: Operation = discreet.did(action, subject=hashed, details=details)
    await connection.execute(insert(operations).values(done.model_dump(exclude={"id"})))
