"""The store's own history as events of a backtest: put aside by person, as a file's calls are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, func, select

from backtest.parting import Known, keep, kept, put_aside
from backtest.records import KEPT, TOLD, Record, micros
from backtest.running import Aside, Watch
from connecting import open_store
from events.addresses import EMAIL, PHONE
from settings import Settings
from store.hashing import hash_of
from store.session import Store
from store.tables import AcceptedEvent, Consent, Person, Suppression
from workflows.happenings import ALL
from workflows.messages import CHANNELS

AT_ONCE = 500  # people
AFTER = 1 << 62  # the place of what is no call, among what is of one moment
PARTS = 64


def sort_store(settings: Settings, work: Path, watch: Watch) -> Aside:
    """Put aside what people of the store did and said. What an interrupted one has put aside stays so."""
    folder = work / "records"
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_sort(settings, folder, watch))


def how_far(settings: Settings) -> list[int]:
    """Return numbers that are others once more has happened in the store, or something of it was taken away."""
    return asyncio.run(_how_far(settings))


async def _how_far(settings: Settings) -> list[int]:
    store = open_store(settings)
    last = (
        func.max(AcceptedEvent.id),
        func.max(Consent.id),
        func.max(Person.id),
        func.count(col(Person.id)),
        func.count(col(Suppression.address)),
    )
    try:
        async with store.read() as session:
            return [(await session.exec(select(each))).one() or 0 for each in last]
    finally:
        await store.close()


async def _sort(settings: Settings, folder: Path, watch: Watch) -> Aside:
    store, known = open_store(settings), Known()
    try:
        async for number, people, last in batches(store):
            name = f"{number:06d}"
            if (before := kept(name, folder)) is not None:
                known += before
            else:
                known += await _put_aside(store, people, name, folder)
            watch("reading", people[-1].id or 0, last)
    finally:
        await store.close()
    return Aside(folder, PARTS, known)


async def batches(store: Store) -> AsyncIterator[tuple[int, list[Person], int]]:
    """Yield the people of the store, some at a time: which batch it is, who, and the last row of all."""
    async with store.read() as session:
        last = (await session.exec(select(func.max(Person.id)))).one() or 0
    number, after = 0, 0
    while True:
        async with store.read() as session:
            some = select(Person).where(col(Person.id) > after).order_by(col(Person.id)).limit(AT_ONCE)
            people = list((await session.exec(some)).all())
        if not people:
            return
        yield number, people, last
        number, after = number + 1, people[-1].id or 0


async def _put_aside(store: Store, people: list[Person], name: str, folder: Path) -> Known:
    found, records = Known(), list[Record]()
    called = {person.id: person.user_id for person in people}
    async with store.read() as session:
        between = (people[0].id, people[-1].id)
        done = select(AcceptedEvent).where(col(AcceptedEvent.person_id).between(*between)).order_by(col(AcceptedEvent.id))
        for event in (await session.exec(done)).all():
            found.lines += 1
            if event.kind in KEPT and not event.emptied and event.person_id in called:
                records.append(_of_event(called[event.person_id], event))
        said = select(Consent).where(col(Consent.person_id).between(*between)).order_by(col(Consent.id))
        records += _of_consents(called, list((await session.exec(said)).all()))
        records += await _of_suppressions(await session.connection(), people)
    for each in records:
        found.see(each)
    put_aside(records, name, PARTS, folder)
    return keep(found, name, folder)


def _of_event(user: str, event: AcceptedEvent) -> Record:
    """Return what matters of an accepted call: nothing happens after we hear of it."""
    context = {name: event.context[name] for name in TOLD if event.context.get(name)}
    at = micros(min(event.occurred_at, event.accepted_at))
    return user, at, event.id or 0, event.kind, event.name, dict(event.data), context, event.message_id


def _of_consents(called: dict[int | None, str], rows: list[Consent]) -> Iterator[Record]:
    asked = set[tuple[int, str]]()
    for row in rows:
        if row.person_id in called:
            confirms = row.granted and not row.pending and (row.person_id, row.topic) in asked
            if row.pending:
                asked.add((row.person_id, row.topic))
            channel = None if row.channel == ALL else row.channel
            data = {"topic": row.topic, "channel": channel, "granted": row.granted, "pending": row.pending, "confirms": confirms}
            yield called[row.person_id], micros(row.at), AFTER + (row.id or 0), "consent", row.topic, data, {}, f"consent {row.id}"


async def _of_suppressions(connection: AsyncConnection, people: list[Person]) -> list[Record]:
    """Return since when nothing may go to an address: of those that people have now, for others are known by no one."""
    owners: dict[str, str] = {}
    for person in people:
        names = (person.user_id, person.email and f"{EMAIL}{person.email.lower()}", person.phone and f"{PHONE}{person.phone}")
        owners.update({hash_of(connection, name): person.user_id for name in names if name})
    rows, found = await connection.execute(select(Suppression.__table__)), list[Record]()  # type: ignore[attr-defined]
    for row in rows:
        if (user := owners.get(row.address)) is not None:
            for channel in CHANNELS if row.channel == ALL else (row.channel,):
                data = {"channel": channel, "cause": row.cause}
                found.append(
                    (user, micros(row.at), AFTER, "suppression", channel, data, {}, f"suppression {row.address} {channel}")
                )
    return found
