"""Keeping memberships true: an event touches the segments that mention it, and each change is an event of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, literal_column
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.calls import Clock
from events.history import Change, History, traits_along
from events.profiles import Profile, unless_there
from events.reach import Glance
from events.standing import ANEW, NOT_YET, Noted, Standing, judged, look
from store.many import among, insert_rows
from store.tables import LIVE, AcceptedEvent, Membership, Person
from workflows.lifecycle import ACTIVE, NEW, RESURRECTED
from workflows.segments import LIFECYCLE, SEGMENTS, activity, lifecycle_digest

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
rows_of = Membership.__table__  # type: ignore[attr-defined]

their_memberships = select(Membership).where(among(col(Membership.person_id), "people"))
how_they_were_met = (
    select(AcceptedEvent.lane, AcceptedEvent.starts)
    .where(col(AcceptedEvent.person_id) == bindparam("person"))
    .order_by(col(AcceptedEvent.id))
    .limit(1)
)
still_to_come = (
    select(AcceptedEvent.kind, AcceptedEvent.changed)
    .where(col(AcceptedEvent.person_id) == bindparam("person"), col(AcceptedEvent.id) > bindparam("after"))
    .where(col(AcceptedEvent.status) == literal_column("'pending'"), ~col(AcceptedEvent.noted))
    .order_by(col(AcceptedEvent.id))
)


def everything() -> list[str]:
    """Return what people are judged by, in its order: their state first, then the segments by name."""
    return [LIFECYCLE, *sorted(SEGMENTS)]


def digests() -> dict[str, str]:
    """Return digests of what the lifecycle and the segments mean, in the order in which people are judged by them."""
    return {name: lifecycle_digest() if name == LIFECYCLE else SEGMENTS[name].digest for name in everything()}


def touched(event: Glance) -> set[str]:
    """Return what an event may change: the segments that mention it, its person's state, or a trait it has changed."""
    changed = set(event.changed)
    names = {name for name, segment in SEGMENTS.items() if not segment.traits.isdisjoint(changed)}
    if event.kind != "track" or event.run_id is not None:
        return names
    names |= {name for name, segment in SEGMENTS.items() if event.name in segment.windows}
    if event.name in activity():
        names |= {LIFECYCLE} | {name for name, segment in SEGMENTS.items() if segment.by_state}
    return names


async def take_note(
    session: AsyncSession, routed: Sequence[tuple[Person, Sequence[AcceptedEvent]]], *, whole: int
) -> list[AcceptedEvent]:
    """Judge these people by their fresh events, each in its turn, and add the events that tell of what has changed.

    Fresh is what is pending and not `noted`. Returns what they have been judged by: the caller, who holds the people's locks,
    marks it as noted or routed in the same transaction, so that it is judged once. Of whom there are `whole` events in hand,
    there may be more to come.
    """
    rows, meanings = await memberships(session, [person for person, _ in routed]), digests()
    told, judged = list[dict[str, Any]](), list[AcceptedEvent]()
    with session.no_autoflush:
        for person, pending in routed:
            fresh = [event for event in pending if event.status == "pending" and not event.noted]
            if fresh:
                standing = Standing(session, person, rows.get(person.id or 0, {}), meanings)
                if await _by_events(standing, fresh, more=len(pending) >= whole):
                    told, judged = told + standing.told, judged + fresh
    await tell_of(session, told)
    return judged


async def _by_events(standing: Standing, fresh: Sequence[AcceptedEvent], *, more: bool) -> bool:
    """Let each of these events act on the memberships in its turn, and time in between. False if none can change any."""
    first, last = fresh[0], fresh[-1]
    outdated, touching = standing.outdated(), [touched(event) for event in fresh]
    if not outdated and standing.due(last.accepted_at) is None:
        touching = _but_for_what_goes_on(standing, fresh, touching)
        if not any(touching):
            return False
    begins = first.accepted_at
    if standing.is_new:
        begins = min(begins, standing.met or begins)
        touching[0] |= outdated
    elif (due := standing.due(begins)) is not None:
        begins = due - datetime.resolution  # up to then time has passed for them
    turning = {row.segment for row in standing.turning(last.accepted_at)}
    await standing.read(outdated.union(turning, *touching), begins)
    later = await _still_to_come(standing, last) if more else []
    before, *along = traits_along(standing.person.traits, [*fresh, *later])
    standing.history.traits = before
    if not standing.is_new:
        standing.judge_anew(outdated, begins, Noted.by_time(first))
    elif begins < first.accepted_at:
        standing.judge(outdated, begins, Noted.by(first))
    for event, names, traits in zip(fresh, touching, along, strict=False):
        if not standing.is_new:
            standing.pass_until(event.accepted_at, Noted.by_time(event))
        standing.history.take(event, traits)
        standing.judge_by(names, event)
    return True


def _but_for_what_goes_on(standing: Standing, fresh: Sequence[AcceptedEvent], touching: list[set[str]]) -> list[set[str]]:
    """Leave out what these events touch only because they count for the state, if none of them can change that."""
    if not all(_goes_on_as_before(standing.rows[LIFECYCLE], event) for event in fresh):
        return touching
    return [names - _by_state_alone(event) for names, event in zip(touching, fresh, strict=True)]


async def _still_to_come(standing: Standing, last: AcceptedEvent) -> Sequence[Change]:
    connection = await standing.session.connection()
    return list(await connection.execute(still_to_come, {"person": standing.person.id, "after": last.id}))


def _goes_on_as_before(row: Membership, event: AcceptedEvent) -> bool:
    """Say whether an event cannot change a state: who is anything but silent, and acts once more since they are that, stays it.

    Nor does it bring a turn nearer. So the busy are not judged anew at each of their events.
    """
    return row.value in (NEW, ACTIVE, RESURRECTED) and row.since <= min(event.occurred_at, event.accepted_at)


def _by_state_alone(event: AcceptedEvent) -> set[str]:
    """Return what an event touches only because it counts for the state."""
    changed = set(event.changed)
    alone = (name for name, segment in SEGMENTS.items() if event.name not in segment.windows and segment.traits.isdisjoint(changed))
    return {LIFECYCLE, *alone}


async def up_to_now(standing: Standing, now: datetime, offset: float = 0.0) -> None:
    """Let time pass for a person up to `now`, that moment included. They have no fresh events: those would come first.

    In a played stream each change is noted when it comes; in real time, now.
    """
    standing.put_aside()
    beyond = now + datetime.resolution
    if (due := standing.due(beyond)) is None:
        return
    clock, outdated = Noted(None if offset else now, offset), standing.outdated()
    begins = due if standing.is_new else due - datetime.resolution
    await standing.read(outdated.union(row.segment for row in standing.turning(beyond)), begins)
    if standing.is_new:
        standing.judge(outdated, standing.not_before(outdated, begins), await _as_they_were_met(standing, clock))
    else:
        standing.judge_anew(outdated, begins, clock)
    standing.pass_until(beyond, clock)


async def _as_they_were_met(standing: Standing, clock: Noted) -> Noted:
    """Who was met by an import, by something that acts on nothing, starts no journey by being met."""
    first = (await standing.session.exec(how_they_were_met, params={"person": standing.person.id})).first()
    return clock if first is None else replace(clock, lane=first[0], starts=first[1] and first[0] == LIVE)


async def fill(standing: Standing, names: Collection[str], now: datetime) -> None:
    """Judge a person by these definitions, and all that are new or changed since they were last judged, and tell nobody."""
    standing.put_aside()
    if standing.met is not None:  # whoever looks at them first tells of it
        return
    names = standing.outdated().union(names)
    due = standing.due(now)
    begins = now if due is None else due - datetime.resolution
    await standing.read(names, begins)
    offset = next((row.clock_offset for row in standing.rows.values()), 0.0)
    standing.judge_anew(names, begins, Noted(now, offset))


async def expect(connection: AsyncConnection, people: Sequence[Profile], clock: Clock) -> None:
    """Have people who were just met looked at, though nothing that the router routes has come of them."""
    if people:
        row = {"segment": LIFECYCLE, "value": NOT_YET, "since": clock.at, "turns_at": clock.at, "digest": ANEW}
        more = {"changes": 0, "clock_offset": clock.offset}
        await insert_rows(connection, rows_of, [{"person_id": each.id, **row, **more} for each in people])


async def memberships(session: AsyncSession, people: Iterable[Person]) -> dict[int, dict[str, Membership]]:
    """Return these people's rows, by person and segment."""
    found: dict[int, dict[str, Membership]] = {}
    for row in (await session.exec(their_memberships, params={"people": [person.id for person in people]})).all():
        found.setdefault(row.person_id, {})[row.segment] = row
    return found


async def tell_of(session: AsyncSession, told: Sequence[dict[str, Any]]) -> None:
    """Add the events that tell of changes; what has been told is not told again."""
    if told:
        connection = await session.connection()
        await connection.execute(unless_there(connection, events, "message_id"), list(told))


async def judge_now(session: AsyncSession, person: Person, names: Collection[str], now: datetime) -> dict[str, str]:
    """Return a person's value in each of these segments at `now`, from what is stored, changing nothing.

    What has been accepted has happened, should its clock be a little ahead of that one.
    """
    history = History(person.created_at, person.traits)
    await look(session, history, person, names, now, fresh=True)
    facts, latest = history.facts(), max(now, history.latest)
    return {name: judged(name, facts, latest)[0] for name in names}


async def judge_then(session: AsyncSession, person: Person, names: Collection[str], then: datetime) -> dict[str, str] | None:
    """Return the same at a moment that may be past, by the traits of now; None if nobody knew of the person then."""
    history = History(person.created_at, person.traits)
    await look(session, history, person, names, then, fresh=True)
    facts = history.facts()
    return {name: judged(name, facts, then)[0] for name in names} if facts.since <= then else None


def offset_of(now: datetime) -> float:
    """Return how far a played clock is ahead of the real one, in seconds."""
    return (now - datetime.now(UTC)).total_seconds()
