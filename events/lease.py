"""Whom a router works on: a claim is one router's, lasts half a minute by the database's clock, and is renewed meanwhile."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import bindparam, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.columns import Id
from store.many import among
from store.session import Store, database_clock
from store.tables import Merge, Person

LEASE = timedelta(seconds=30)
RENEWED_AFTER = LEASE / 3

people = Person.__table__  # type: ignore[attr-defined]

free = or_(col(Person.claimed_until).is_(None), col(Person.claimed_until) < database_clock())
now = select(database_clock())

# Whoever was merged meanwhile took the claim on them along.
whom_they_became = select(Merge.into_id).where(among(col(Merge.absorbed_id), "people"))
whom_one_became = select(Merge.into_id).where(col(Merge.absorbed_id) == bindparam("person", type_=Id))
the_person = or_(people.c.id == bindparam("person", type_=Id), people.c.id.in_(whom_one_became))

claim_them = update(people).where(among(people.c.id, "people")).values(claimed_by=bindparam("by"), claimed_until=bindparam("until"))
renewal = update(people).where(the_person, people.c.claimed_by == bindparam("by")).values(claimed_until=bindparam("until"))
ours = select(people.c.id).where(the_person, people.c.claimed_by == bindparam("by"), people.c.claimed_until > database_clock())
release = (
    update(people)
    .where(or_(among(people.c.id, "people"), people.c.id.in_(whom_they_became)), people.c.claimed_by == bindparam("by"))
    .values(claimed_by=None, claimed_until=None)
)
resting = (
    update(people)
    .where(people.c.id == bindparam("person"), or_(people.c.claimed_by == bindparam("by"), free))
    .values(claimed_by=None, claimed_until=bindparam("until"))
)


async def renew(store: Store, person_id: int, by: str) -> bool:
    """Have a claim last its whole time again. False if it is ours no more: another router works on them, or they are gone."""
    async with store.write(durable=False) as session:
        until = (await session.exec(now)).one() + LEASE
        renewed = await session.exec(renewal, params={"person": person_id, "by": by, "until": until})
        return renewed.rowcount > 0


async def is_ours(store: Store, person_id: int, by: str) -> bool:
    """Say whether the person is still there, and the claim on them still ours."""
    async with store.read() as session:
        found = await (await session.connection()).execute(ours, {"person": person_id, "by": by})
        return found.first() is not None


async def let_go(session: AsyncSession, person_ids: list[int], by: str) -> None:
    """Leave these people to whoever comes next, as far as the claim on them is ours."""
    await session.exec(release, params={"people": person_ids, "by": by})


async def rest(session: AsyncSession, person_id: int, by: str, pause: timedelta) -> None:
    """Let a person go, and have everybody leave them alone for a while."""
    until = (await session.exec(now)).one() + pause
    await session.exec(resting, params={"person": person_id, "by": by, "until": until})
