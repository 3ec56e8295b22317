"""Whose events are next? The router's claims: people with live events first, and what concerns nobody done on the spot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, literal_column, or_, true, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.reach import hears, triggered_by
from store.session import Store, database_clock, several
from store.tables import BACKLOG, LIVE, AcceptedEvent, Person, Run

LEASE = timedelta(seconds=30)
EVENTS_LOOKED_AT = 200  # of a round: whose are they?
EVENTS_EACH = 50  # of a person, in one round
PEOPLE_AT_ONCE = 32  # whose events act, side by side

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]

# With the constants in its text and not as parameters, so that both databases see that the partial indexes serve it.
to_route = or_(col(AcceptedEvent.status) == literal_column("'pending'"), col(AcceptedEvent.reconsider).is_not(None))
free = or_(col(Person.claimed_until).is_(None), col(Person.claimed_until) < database_clock())


def _whose_turn(lane: int) -> Any:
    first = select(AcceptedEvent.person_id).join(Person).where(to_route, free, col(AcceptedEvent.lane) == literal_column(str(lane)))
    return first.order_by(col(AcceptedEvent.id)).limit(EVENTS_LOOKED_AT)


# The statements of every round, made once: making one costs more than running it.
whose_turn = {lane: _whose_turn(lane) for lane in (LIVE, BACKLOG)}
still_free = (
    select(Person.id, database_clock()).where(col(Person.id).in_(several("people")), free).with_for_update(skip_locked=True)
)
claim_them = (
    update(people).where(people.c.id.in_(several("people"))).values(claimed_by=bindparam("me"), claimed_until=bindparam("until"))
)
each_ones = (  # the first of each: nobody's thousands hold up the others of a round
    select(AcceptedEvent.id)
    .where(AcceptedEvent.person_id == Person.id, to_route)
    .order_by(col(AcceptedEvent.id))
    .limit(EVENTS_EACH)
)
an_event = aliased(AcceptedEvent)
their_first = each_ones.correlate(Person).lateral()
their_events = {
    "postgresql": select(AcceptedEvent)
    .select_from(Person)
    .join(their_first, true())
    .join(AcceptedEvent, col(AcceptedEvent.id) == their_first.c.id)
    .where(col(Person.id).in_(several("people"))),
    "sqlite": select(an_event)
    .select_from(Person)
    .join(an_event, col(an_event.id).in_(each_ones.correlate(Person)))
    .where(col(Person.id).in_(several("people"))),
}
their_runs = select(Run).where(col(Run.person_id).in_(several("people")), col(Run.ended_at).is_(None))
themselves = select(Person).where(col(Person.id).in_(several("people")))
acted = update(events).where(events.c.id.in_(several("acted"))).values(status="routed")
considered = (  # unless another journey has asked for it meanwhile: then it is considered again for both
    update(events).where(events.c.id == bindparam("event"), events.c.reconsider == bindparam("for")).values(reconsider=None)
)


@dataclass
class Work:
    """One person's share of a round: their events in order, and the runs that were open when it began."""

    person: Person
    events: list[AcceptedEvent]
    open: list[Run]
    started: list[Run] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # events that no longer fit their class, and why
    failed: dict[str, str] = field(default_factory=dict)  # runs that can never start, and why
    broken: tuple[AcceptedEvent, str] | None = None  # the event that an error of ours stopped at, and the error
    held: bool = False  # what is left of the events waits for a run to close


@dataclass(frozen=True)
class Claim:
    """What a round has found: how many people's events acted on nobody and are done with, and what there is to do."""

    done: int
    works: list[Work]


async def claim(store: Store, me: str, lane: int) -> Claim | None:
    """Lease the people with the oldest events of that lane that no other router works on, and read what there is to do.

    What no open run listens to and no journey starts on is done with at once, in the same transaction. None if nobody waits.
    """
    async with store.read() as session:
        waiting = list(dict.fromkeys((await session.exec(whose_turn[lane])).all()))
    if not waiting:
        return None
    async with store.write(durable=False) as session:
        found = (await session.exec(still_free, params={"people": waiting})).all()
        if not found:
            return Claim(0, [])
        unclaimed = {person for person, _ in found}
        pending, inside = await _theirs(session, unclaimed)
        acting = {person for person in pending if any(acts(event, inside[person]) for event in pending[person])}
        await done_with(session, [event for person in pending.keys() - acting for event in pending[person]])
        chosen = [person for person in waiting if person in acting][:PEOPLE_AT_ONCE]
        works = []
        if chosen:
            await session.exec(claim_them, params={"people": chosen, "me": me, "until": found[0][1] + LEASE})
            works = [
                Work(person, pending[person.id or 0], inside[person.id or 0])
                for person in (await session.exec(themselves, params={"people": chosen})).all()
            ]
    return Claim(len(unclaimed) - len(acting), works)


def acts(event: AcceptedEvent, open_runs: Iterable[Run]) -> bool:
    """Say whether an event may concern anybody: a run that is open, or a journey that it may start.

    One that we fail to judge does: the attempt to route it meets the same error, and is counted.
    """
    try:
        if event.kind == "run" or starts(event):
            return True
        return event.status == "pending" and any(hears(run, event) for run in open_runs)
    except Exception:
        return True


def starts(event: AcceptedEvent) -> bool:
    """Say whether there are journeys that this event starts."""
    return event.kind == "track" and event.run_id is None and event.starts and bool(triggered_by(event))


async def done_with(session: AsyncSession, done: Sequence[AcceptedEvent]) -> None:
    """Record that these events have acted, as triggers that were reconsidered too."""
    if not done:
        return
    await session.exec(acted, params={"acted": [event.id for event in done]})
    for each in done:
        if each.reconsider is not None:
            await session.exec(considered, params={"event": each.id, "for": each.reconsider})


async def _theirs(
    session: AsyncSession, unclaimed: Iterable[int | None]
) -> tuple[dict[int, list[AcceptedEvent]], dict[int, list[Run]]]:
    """Read the events of these people in order, and their open runs."""
    theirs = {"people": list(unclaimed)}
    pending: dict[int, list[AcceptedEvent]] = defaultdict(list)
    inside: dict[int, list[Run]] = defaultdict(list)
    found = (await session.exec(their_events[session.get_bind().dialect.name], params=theirs)).all()
    for event in sorted(found, key=lambda event: event.id or 0):
        pending[event.person_id].append(event)
    for run in (await session.exec(their_runs, params=theirs)).all():
        inside[run.person_id].append(run)
    return pending, inside
