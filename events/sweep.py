"""What time alone brings, and what a new definition does: memberships are looked at when they are due, and never all at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

from sqlalchemy import bindparam, exists, literal_column, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.accept import retrying
from events.claim import are_noted, to_route
from events.for_ever import for_ever, persist, together_or_alone
from events.profiles import unless_there
from events.segments import digests, fill, memberships, offset_of, take_note, tell_of, up_to_now
from events.standing import ANEW, NOT_YET, Standing
from store.columns import Moment
from store.impersonal import Fill
from store.many import among
from store.session import Store, lock
from store.tables import AcceptedEvent, Membership, Person

log = logging.getLogger(__name__)

PEOPLE_AT_ONCE = 100
EVERY = timedelta(seconds=1)
REST = timedelta(minutes=1)  # of somebody for whom time cannot pass, for an error of ours
MENDED_EVERY = timedelta(minutes=10)
BREATH_SECONDS = 0.05  # between two chunks of a fill, in which others write

fills = Fill.__table__  # type: ignore[attr-defined]

# What the router has yet to judge somebody by comes first, and with its own word on what it may start: they are left to it.
fresh = (to_route, col(AcceptedEvent.status) == literal_column("'pending'"), ~col(AcceptedEvent.noted))
# In the words of the partial index.
who_is_due = (
    select(col(Membership.person_id))
    .where(~exists().where(col(AcceptedEvent.person_id) == col(Membership.person_id), *fresh))
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
busy = select(col(AcceptedEvent.person_id)).where(among(col(AcceptedEvent.person_id), "people"), *fresh)
theirs_in_order = (
    select(AcceptedEvent)
    .where(col(AcceptedEvent.person_id) == bindparam("person"), *fresh)
    .order_by(col(AcceptedEvent.id))
    .execution_options(populate_existing=True)
)

# Who was judged by another definition: below and above it, for no index serves what is merely different.
of_segment = (col(Membership.segment) == bindparam("segment"), col(Membership.value) != literal_column(f"'{NOT_YET}'"))
judged_otherwise = [
    select(col(Membership.person_id)).where(*of_segment, differs)
    for differs in (col(Membership.digest) < bindparam("digest"), col(Membership.digest) > bindparam("digest"))
]


async def sweep_for_ever(store: Store) -> None:
    """Judge people by definitions that are new or changed, then whoever is due, again and again."""
    resting: dict[int, datetime] = {}
    mended = datetime.now(UTC)

    async def sweep_all() -> None:
        nonlocal mended
        while await sweep_due(store, datetime.now(UTC), resting):
            pass
        if datetime.now(UTC) - mended > MENDED_EVERY:
            await mend(store)
            mended = datetime.now(UTC)

    await persist("judging by new definitions", lambda: fill_in(store))
    await for_ever("sweeping", sweep_all, EVERY)


async def sweep_due(store: Store, now: datetime, resting: dict[int, datetime] | None = None) -> int:
    """Let time pass up to `now` for some of the people who are due, by the index. Returns how many there were.

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
    passed = set[int]()
    for person, reason in (await together_or_alone(due, lambda people: _pass(store, people, now, passed))).items():
        log.error("time cannot pass for person %s, who is tried again later: %s", person, reason)
        resting[person] = now + REST
        passed.add(person)
    return len(passed)


async def _pass(store: Store, due: Sequence[int], now: datetime, passed: set[int]) -> None:
    async with store.write(durable=False) as session:
        found = (await session.exec(free_people, params={"people": due})).all()
        waiting = set((await session.exec(busy, params={"people": due})).all())
        people = [person for person in found if person.id not in waiting]
        for standing in await _standings(session, people):
            await up_to_now(standing, now)
            await tell_of(session, standing.told)
    passed.update(person.id or 0 for person in people)


async def sweep(store: Store, user_id: str, now: datetime) -> None:
    """Let time pass up to `now` for one person, played or not, by their own clock."""
    async with store.write() as session:
        person = (await session.exec(select(Person).where(Person.user_id == user_id))).first()
        if person is None or person.id is None:
            return
        await lock(session, [person.id])
        await session.refresh(person)
        fresh_ones = (await session.exec(theirs_in_order, params={"person": person.id})).all()
        noted = await take_note(session, [(person, fresh_ones)], whole=len(fresh_ones) + 1)
        await session.exec(are_noted, params={"judged": [event.id for event in noted]})
        (standing,) = await _standings(session, [person])
        played = any(row.clock_offset for row in standing.rows.values())
        await up_to_now(standing, now, offset_of(now) if played else 0.0)
        await tell_of(session, standing.told)


async def next_turn(store: Store, user_id: str) -> datetime | None:
    """Return when time alone may next change something about a person."""
    earliest = select(func.min(Membership.turns_at, type_=Moment)).join(Person)
    async with store.read() as session:
        return (await session.exec(earliest.where(Person.user_id == user_id))).one()


async def fill_in(store: Store) -> int:
    """Judge everybody by the definitions that are new or changed, in chunks; what has been done is not done again.

    That somebody belongs by the new definition is no event: nothing happened to them. Returns how many people were looked at.
    """
    wanting, count = await retrying(lambda: _wanting(store)), 0
    if wanting:
        after = min(wanting.values())
        while people := await _chunk(store, after):
            after, count = people[-1], count + len(people)
            await _fill(store, people, wanting)
            async with store.write(durable=False) as session:
                await session.exec(update(fills).where(fills.c.segment.in_(wanting)).values(reached=after))
            await asyncio.sleep(BREATH_SECONDS)
        async with store.write() as session:
            await session.exec(update(fills).where(fills.c.segment.in_(wanting)).values(finished_at=datetime.now(UTC)))
    return count + await mend(store)


async def mend(store: Store) -> int:
    """Judge anew whom a worker of an older deployment has judged after the fill. Returns how many people were looked at.

    A worker whose own definitions are not the last that were filled in leaves it alone.
    """
    async with store.read() as session:
        last = {row.segment: row.digest for row in (await session.exec(select(Fill))).all()}
        mine = [(name, digest) for name, digest in digests().items() if last.get(name) == digest]
        found = [
            (await session.exec(each, params={"segment": name, "digest": digest})).all()
            for name, digest in mine
            for each in judged_otherwise
        ]
    people = sorted(set(chain(*found)))
    for first in range(0, len(people), PEOPLE_AT_ONCE):
        await _fill(store, people[first : first + PEOPLE_AT_ONCE], ())
        await asyncio.sleep(BREATH_SECONDS)
    return len(people)


async def _wanting(store: Store) -> dict[str, int]:
    """Return which definitions people have yet to be judged by, and the last person who was.

    What is no longer in the code is wanting too, once: should it come back, everybody is judged by it anew.
    """
    current = digests()
    async with store.write() as session:
        known = {row.segment: row for row in (await session.exec(select(Fill))).all()}
        fresh = [{"segment": name, "digest": digest, "reached": 0} for name, digest in current.items() if name not in known]
        if fresh:
            await (await session.connection()).execute(unless_there(await session.connection(), fills, "segment"), fresh)
        for name, row in known.items():
            if row.digest != (digest := current.get(name, ANEW)):
                row.digest, row.reached, row.finished_at = digest, 0, None
        unfinished = {name: row.reached for name, row in known.items() if row.finished_at is None}
    return {str(each["segment"]): 0 for each in fresh} | unfinished


async def _chunk(store: Store, after: int) -> list[int]:
    async with store.read() as session:
        return [each for each in (await session.exec(next_people, params={"after": after})).all() if each is not None]


async def _fill(store: Store, ids: Sequence[int], names: Collection[str]) -> None:
    for person, reason in (await together_or_alone(ids, lambda some: _fill_all(store, some, names))).items():
        log.error("person %s is judged by new definitions only at their next event: %s", person, reason)


async def _fill_all(store: Store, ids: Sequence[int], names: Collection[str]) -> None:
    """Judge these people, but for those whose events wait for the router: it judges them by the way."""
    async with store.write(durable=False) as session:
        await lock(session, ids)
        waiting = set((await session.exec(busy, params={"people": ids})).all())
        people = (await session.exec(select(Person).where(col(Person.id).in_(ids)))).all()
        for standing in await _standings(session, [person for person in people if person.id not in waiting]):
            await fill(standing, names, await _their_now(session, standing.person))


async def _standings(session: AsyncSession, people: Sequence[Person]) -> list[Standing]:
    rows, meanings = await memberships(session, people), digests()
    return [Standing(session, person, rows.get(person.id or 0, {}), meanings) for person in people]


async def _their_now(session: AsyncSession, person: Person) -> datetime:
    """Return a person's clock: the real one, but for who is played."""
    clock = select(AcceptedEvent.accepted_at, AcceptedEvent.clock_offset).where(AcceptedEvent.person_id == person.id)
    latest = (await session.exec(clock.order_by(col(AcceptedEvent.id).desc()).limit(1))).first()
    return latest[0] if latest is not None and latest[1] else datetime.now(UTC)
