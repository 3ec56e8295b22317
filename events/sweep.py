"""What time alone brings, and what a new definition does: memberships are looked at when they are due, and never all at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import bindparam, literal_column, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.accept import retrying
from events.claim import to_route
from events.for_ever import for_ever, persist, together_or_alone
from events.profiles import unless_there
from events.segments import digest_of, everything, fill, memberships, offset_of, tell_of, up_to_now
from store.many import among
from store.session import Store, lock
from store.tables import AcceptedEvent, Fill, Membership, Moment, Person

log = logging.getLogger(__name__)

PEOPLE_AT_ONCE = 100
EVERY = timedelta(seconds=1)
REST = timedelta(minutes=1)  # of somebody for whom time cannot pass, for an error of ours
BREATH_SECONDS = 0.05  # between two chunks of a fill, in which others write

fills = Fill.__table__  # type: ignore[attr-defined]

# In the words of the partial index.
who_is_due = (
    select(col(Membership.person_id))
    .where(
        col(Membership.turns_at).is_not(None),
        col(Membership.clock_offset) == literal_column("0"),
        col(Membership.turns_at) <= bindparam("now"),
        ~among(col(Membership.person_id), "resting"),
    )
    .order_by(col(Membership.turns_at))
    .limit(PEOPLE_AT_ONCE)
)
free_people = (
    select(Person)
    .where(among(col(Person.id), "people"))
    .order_by(col(Person.id))
    .with_for_update(skip_locked=True)
    .execution_options(populate_existing=True)
)
next_people = select(col(Person.id)).where(col(Person.id) > bindparam("after")).order_by(col(Person.id)).limit(PEOPLE_AT_ONCE)
busy = select(col(AcceptedEvent.person_id)).where(among(col(AcceptedEvent.person_id), "people"), to_route)


async def sweep_for_ever(store: Store) -> None:
    """Judge people by definitions that are new or changed, then whoever is due, again and again."""
    resting: dict[int, datetime] = {}

    async def sweep_all() -> None:
        while await sweep_due(store, datetime.now(UTC), resting):
            pass

    await persist("judging by new definitions", lambda: fill_in(store))
    await for_ever("sweeping", sweep_all, EVERY)


async def sweep_due(store: Store, now: datetime, resting: dict[int, datetime] | None = None) -> int:
    """Let time pass up to `now` for some of the people who are due, by the index. Returns how many were due.

    Several workers share the work on PostgreSQL: whom another holds is passed over. A played person is never due by the real
    clock. Who meets an error of ours rests for a while, in `resting`, and holds up nobody else.
    """
    resting = {} if resting is None else resting
    for person in [person for person, until in resting.items() if until <= now]:
        del resting[person]
    async with store.read() as session:
        due = sorted(set((await session.exec(who_is_due, params={"now": now, "resting": list(resting)})).all()))
    if not due:
        return 0
    for person, reason in (await together_or_alone(due, lambda people: _pass(store, people, now))).items():
        log.error("time cannot pass for person %s, who is tried again later: %s", person, reason)
        resting[person] = now + REST
    return len(due)


async def _pass(store: Store, due: Sequence[int], now: datetime) -> None:
    async with store.write(durable=False) as session:
        people = (await session.exec(free_people, params={"people": due})).all()
        rows = await memberships(session, people)
        for person in people:
            await tell_of(session, await up_to_now(session, person, rows.get(person.id or 0, {}), now))


async def sweep(store: Store, user_id: str, now: datetime) -> None:
    """Let time pass up to `now` for one person, played or not, by their own clock."""
    async with store.write() as session:
        person = (await session.exec(select(Person).where(Person.user_id == user_id))).first()
        if person is None or person.id is None:
            return
        await lock(session, [person.id])
        rows = (await memberships(session, [person])).get(person.id, {})
        played = any(row.clock_offset for row in rows.values())
        await tell_of(session, await up_to_now(session, person, rows, now, offset_of(now) if played else 0.0))


async def next_turn(store: Store, user_id: str) -> datetime | None:
    """Return when time alone may next change something about a person."""
    earliest = select(func.min(Membership.turns_at, type_=Moment)).join(Person)
    async with store.read() as session:
        return (await session.exec(earliest.where(Person.user_id == user_id))).one()


async def fill_in(store: Store) -> int:
    """Judge everybody by the definitions that are new or changed, in chunks; what has been done is not done again.

    That somebody belongs by the new definition is no event: nothing happened to them. Returns how many people were looked at.
    """
    if not (wanting := await retrying(lambda: _wanting(store))):
        return 0
    after, count = min(wanting.values()), 0
    while people := await _chunk(store, after):
        after, count = people[-1], count + len(people)
        for person, reason in (await together_or_alone(people, lambda some: _fill(store, some))).items():
            log.error("person %s is judged by new definitions only at their next event: %s", person, reason)
        async with store.write(durable=False) as session:
            await session.exec(update(fills).where(fills.c.segment.in_(wanting)).values(reached=after))
        await asyncio.sleep(BREATH_SECONDS)
    async with store.write() as session:
        await session.exec(update(fills).where(fills.c.segment.in_(wanting)).values(finished_at=datetime.now(UTC)))
    return count


async def _wanting(store: Store) -> dict[str, int]:
    """Return which definitions people have yet to be judged by, and the last person who was."""
    async with store.write() as session:
        known = {row.segment: row for row in (await session.exec(select(Fill))).all()}
        fresh = [{"segment": name, "digest": digest_of(name), "reached": 0} for name in everything() if name not in known]
        if fresh:
            await (await session.connection()).execute(unless_there(await session.connection(), fills, "segment"), fresh)
        for name in set(everything()) & known.keys():
            if known[name].digest != digest_of(name):
                known[name].digest, known[name].reached, known[name].finished_at = digest_of(name), 0, None
        unfinished = {name: row.reached for name, row in known.items() if row.finished_at is None and name in everything()}
    return {str(each["segment"]): 0 for each in fresh} | unfinished


async def _chunk(store: Store, after: int) -> list[int]:
    async with store.read() as session:
        return [each for each in (await session.exec(next_people, params={"after": after})).all() if each is not None]


async def _fill(store: Store, ids: Sequence[int]) -> None:
    """Judge these people, but for those whose events wait for the router: it judges them by the way."""
    async with store.write(durable=False) as session:
        await lock(session, ids)
        waiting = set((await session.exec(busy, params={"people": ids})).all())
        people = (await session.exec(select(Person).where(col(Person.id).in_(ids)))).all()
        rows = await memberships(session, people)
        for person in people:
            if person.id is not None and person.id not in waiting:
                await fill(session, person, rows.get(person.id, {}), await _their_now(session, person))


async def _their_now(session: AsyncSession, person: Person) -> datetime:
    """Return a person's clock: the real one, but for who is played."""
    latest = select(AcceptedEvent).where(AcceptedEvent.person_id == person.id).order_by(col(AcceptedEvent.id).desc()).limit(1)
    event = (await session.exec(latest)).first()
    return event.accepted_at if event is not None and event.clock_offset else datetime.now(UTC)
