"""Who is meant by a name that somebody gives us: any name of a person's, an address, or a device's token."""

from __future__ import annotations

from sqlalchemy import ColumnElement, false, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.addresses import EMAIL, PHONE, email_of, name_of, phone_of
from store.session import lock
from store.tables import Device, Identity, Person
from workflows.traits import Misfit

TOKEN = "token:"
AT_MOST = 10  # of several people are named


class Ambiguous(ValueError):
    """Several people have that address. Names them."""


class Unknown(ValueError):
    """Nobody has that address or token, and nobody is met by one."""


async def find(session: AsyncSession, name: str) -> Person | None:
    """Return the person of that name: a userId, `anon:…`, `email:…`, `phone:…` or `token:…`; None if it is nobody's.

    An address is whoever's name it is, and of everybody who has it on their profile, however it is written. Raises Ambiguous if
    that is several people.
    """
    name = name.replace("\0", "")
    if name.startswith((EMAIL, PHONE)):
        return await _find_by_address(session, name)
    named = select(Person).join(Identity).where(Identity.name == name)
    if (person := (await session.exec(named)).first()) is None and name.startswith(TOKEN):
        return (await session.exec(select(Person).join(Device).where(Device.token == name.removeprefix(TOKEN)))).first()
    return person


async def hold(session: AsyncSession, name: str) -> Person | None:
    """Return the person of that name, locked up to the end of the transaction; None if it is nobody's. Raises Ambiguous."""
    while (person := await find(session, name)) is not None and person.id is not None:
        await lock(session, [person.id])
        now = await find(session, name)
        if now is not None and now.id == person.id:
            await session.refresh(now)
            return now
    return None


async def _find_by_address(session: AsyncSession, name: str) -> Person | None:
    names, has_it = _address(name)
    named = select(Person).join(Identity).where(col(Identity.name).in_(names))
    having = select(Person).where(has_it).order_by(col(Person.id)).limit(AT_MOST)
    people = {each.id: each for found in (named, having) for each in (await session.exec(found)).all()}
    if len(people) > 1:
        raise Ambiguous(f"{name!r} is the address of several people: {', '.join(each.user_id for each in people.values())}")
    return next(iter(people.values()), None)


def _address(name: str) -> tuple[set[str], ColumnElement[bool]]:
    """Return the names that an address may be known by, and the condition that a profile has it."""
    prefix = EMAIL if name.startswith(EMAIL) else PHONE
    stated = name.removeprefix(prefix)
    try:
        if prefix == EMAIL:
            return {name, name_of(EMAIL, stated)}, func.lower(col(Person.email)) == func.lower(email_of(stated))
        return {name, name_of(PHONE, stated)}, col(Person.phone) == phone_of(stated)
    except Misfit:
        return {name}, false()
