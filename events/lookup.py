"""Who is meant by a name that somebody gives us: any name of a person's, an address, or a device's token."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.addresses import EMAIL, PHONE
from store.session import lock
from store.tables import Device, Identity, Person

TOKEN = "token:"


class Ambiguous(ValueError):
    """Several people have that address. Names them."""


async def find(session: AsyncSession, name: str) -> Person | None:
    """Return the person of that name: a userId, `anon:…`, `email:…`, `phone:…` or `token:…`; None if it is nobody's.

    An address is a name of its own only of somebody known by nothing else; else it is looked for among the profiles. Raises
    Ambiguous if it is several people's.
    """
    name = name.replace("\0", "")
    named = select(Person).join(Identity).where(Identity.name == name)
    if (person := (await session.exec(named)).first()) is not None:
        return person
    if name.startswith(TOKEN):
        return (await session.exec(select(Person).join(Device).where(Device.token == name.removeprefix(TOKEN)))).first()
    for prefix, column in ((EMAIL, Person.email), (PHONE, Person.phone)):
        if name.startswith(prefix):
            having = select(Person).where(col(column) == name.removeprefix(prefix)).order_by(col(Person.id)).limit(10)
            return _only((await session.exec(having)).all(), name)
    return None


async def hold(session: AsyncSession, name: str) -> Person | None:
    """Return the person of that name, locked up to the end of the transaction; None if it is nobody's. Raises Ambiguous."""
    while (person := await find(session, name)) is not None and person.id is not None:
        await lock(session, [person.id])
        now = await find(session, name)
        if now is not None and now.id == person.id:
            await session.refresh(now)
            return now
    return None


def _only(people: Sequence[Person], name: str) -> Person | None:
    if len(people) > 1:
        raise Ambiguous(f"{name!r} is the address of several people: {', '.join(each.user_id for each in people)}")
    return people[0] if people else None
