"""Whose events are next? The router's claims: people with live events first, and what concerns nobody done on the spot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from sqlalchemy import bindparam, literal_column, or_, true, update
from sqlalchemy import select as core_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.reach import Glance, may_hear, triggered_by
from events.segments import take_note, touched
from events.standing import NOT_YET
from store.many import among
from store.session import Store, database_clock
from store.tables import BACKLOG, LIVE, AcceptedEvent, Membership, Person, Run
from workflows.segments import LIFECYCLE

LEASE = timedelta(seconds=30)
EVENTS_LOOKED_AT = 200  # of a round: whose are they?
EVENTS_EACH = 50  # of a person, in one round
CONCERNING = ("run", "exit", "merge")  # kinds that always concern a run, one that its row says is over too
PEOPLE_AT_ONCE = 32  # whose events act, side by side

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]

# With the constants in its text and not as parameters, so that both databases see that the partial indexes serve it.
to_route = or_(col(AcceptedEvent.status) == literal_column("'pending'"), col(AcceptedEvent.reconsider).is_not(None))
free = or_(col(Person.claimed_until).is_(None), col(Person.claimed_until) < database_clock())


Seen: TypeAlias = Any  # a row of `glance`, which is a Glance


def _whose_turn(lane: int) -> Any:
    first = select(AcceptedEvent.person_id).join(Person).where(to_route, free, col(AcceptedEvent.lane) == literal_column(str(lane)))
    return first.order_by(col(AcceptedEvent.id)).limit(EVENTS_LOOKED_AT)


# The statements of every round, made once: making one costs more than running it.
whose_turn = {lane: _whose_turn(lane) for lane in (LIVE, BACKLOG)}
still_free = select(Person.id, database_clock()).where(among(col(Person.id), "people"), free).with_for_update(skip_locked=True)
claim_them = update(people).where(among(people.c.id, "people")).values(claimed_by=bindparam("me"), claimed_until=bindparam("until"))
waiting_events = events.alias("waiting")
each_ones = (  # the first of each: nobody's thousands hold up the others of a round
    core_select(waiting_events.c.id)
    .where(
        waiting_events.c.person_id == people.c.id,
        or_(waiting_events.c.status == literal_column("'pending'"), waiting_events.c.reconsider.is_not(None)),
    )
    .order_by(waiting_events.c.id)
    .limit(EVENTS_EACH)
    .correlate(people)
)
glance = (
    events.c.id,
    events.c.person_id,
    events.c.kind,
    events.c.name,
    events.c.changed,
    events.c.run_id,
    events.c.status,
    events.c.reconsider,
    events.c.starts,
)
their_first = each_ones.lateral()
at_a_glance = {
    "postgresql": core_select(*glance)
    .select_from(people.join(their_first, true()).join(events, events.c.id == their_first.c.id))
    .where(among(people.c.id, "people"))
    .order_by(events.c.id),
    "sqlite": core_select(*glance)
    .select_from(people.join(events, events.c.id.in_(each_ones)))
    .where(among(people.c.id, "people"))
    .order_by(events.c.id),
}
in_full = select(AcceptedEvent).where(among(col(AcceptedEvent.id), "events")).order_by(col(AcceptedEvent.id))
their_runs = select(Run).where(among(col(Run.person_id), "people"), col(Run.ended_at).is_(None))
themselves = select(Person).where(among(col(Person.id), "people"))
have_been_judged = select(Membership.person_id).where(
    among(col(Membership.person_id), "people"),
    Membership.segment == literal_column(f"'{LIFECYCLE}'"),
    Membership.value != literal_column(f"'{NOT_YET}'"),
)
are_noted = update(events).where(among(events.c.id, "judged")).values(noted=True)
acted = update(events).where(among(events.c.id, "acted")).values(status="routed")
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

    What no open run listens to and no journey starts on is done with at once, in the same transaction, in which all of them are
    judged by the segments that their events may change. None if nobody waits.
    """
    async with store.read() as session:
        waiting = list(dict.fromkeys((await session.exec(whose_turn[lane])).all()))
    if not waiting:
        return None
    async with store.write(durable=False) as session:
        found = (await session.exec(still_free, params={"people": waiting})).all()
        if not found:
            return Claim(0, [])
        unclaimed = {person for person, _ in found if person is not None}
        seen, inside = await _theirs(session, unclaimed)
        acting = {person for person in seen if any(acts(event, inside[person]) for event in seen[person])}
        chosen = [person for person in waiting if person in acting][:PEOPLE_AT_ONCE]
        idle = seen.keys() - acting
        known = set((await session.exec(have_been_judged, params={"people": list(idle)})).all()) if idle else set()
        judged = {each: seen[each] for each in (*chosen, *idle) if each not in known or any(map(touched, seen[each]))}
        works = await _works(session, judged, inside) if judged else []
        noted = await take_note(session, [(work.person, work.events) for work in works], whole=EVENTS_EACH)
        await done_with(session, [event for person in idle for event in seen[person]])
        if still_to_route := [event.id for event in noted if event.person_id in acting]:
            await session.exec(are_noted, params={"judged": still_to_route})
        works = [work for work in works if work.person.id in acting]
        if chosen:
            await session.exec(claim_them, params={"people": chosen, "me": me, "until": found[0][1] + LEASE})
    return Claim(len(unclaimed) - len(acting), works)


def acts(event: Glance, open_runs: Iterable[Run]) -> bool:
    """Say whether an event may concern anybody: a run that is open, or a journey that it may start.

    One that we fail to judge does: the attempt to route it meets the same error, and is counted.
    """
    try:
        if event.kind in CONCERNING or starts(event):
            return True
        return event.status == "pending" and any(may_hear(run, event) for run in open_runs)
    except Exception:
        return True


def starts(event: Glance) -> bool:
    """Say whether there are journeys that this event starts."""
    return event.kind == "track" and event.run_id is None and event.starts and bool(triggered_by(event))


async def done_with(session: AsyncSession, done: Sequence[Glance]) -> None:
    """Record that these events have acted, as triggers that were reconsidered too."""
    if not done:
        return
    await session.exec(acted, params={"acted": [event.id for event in done]})
    for each in done:
        if each.reconsider is not None:
            await session.exec(considered, params={"event": each.id, "for": each.reconsider})


async def _theirs(session: AsyncSession, unclaimed: Iterable[int]) -> tuple[dict[int, list[Seen]], dict[int, list[Run]]]:
    """Read, at a glance, the events of these people in order, and their open runs."""
    theirs = {"people": list(unclaimed)}
    seen: dict[int, list[Seen]] = defaultdict(list)
    inside: dict[int, list[Run]] = defaultdict(list)
    connection = await session.connection()
    for event in await connection.execute(at_a_glance[connection.dialect.name], theirs):
        seen[event.person_id].append(event)
    for run in (await session.exec(their_runs, params=theirs)).all():
        inside[run.person_id].append(run)
    return seen, inside


async def _works(session: AsyncSession, seen: Mapping[int, list[Seen]], inside: Mapping[int, list[Run]]) -> list[Work]:
    """Read in full what there is to do for these people."""
    ids = [event.id for theirs in seen.values() for event in theirs]
    pending: dict[int, list[AcceptedEvent]] = defaultdict(list)
    for event in (await session.exec(in_full, params={"events": ids})).all():
        pending[event.person_id].append(event)
    claimed = (await session.exec(themselves, params={"people": list(seen)})).all()
    return [Work(person, pending[person.id or 0], inside.get(person.id or 0, [])) for person in claimed]
