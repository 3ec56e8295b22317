"""Whose events are next? The router's claims: people with live events first, and what concerns nobody done on the spot."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, TypeAlias

from sqlalchemy import bindparam, literal_column, or_, true, update
from sqlalchemy import select as core_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.lease import LEASE, claim_them, free
from events.reach import Glance, may_hear, triggered_by
from events.segments import take_note, touched
from events.standing import NOT_YET
from store.columns import Id
from store.many import among
from store.outage import fault, is_outage
from store.session import Store, database_clock
from store.tables import BACKLOG, LIVE, AcceptedEvent, Membership, Person, Run
from workflows.segments import LIFECYCLE

log = logging.getLogger(__name__)

INSIDE = -1  # no lane of events: all that waits of people who are in a journey
PEOPLE_LOOKED_AT = {LIVE: 200, INSIDE: 200, BACKLOG: 20}  # in a round: a backlog's are short, for what is live waits meanwhile
EVENTS_EACH = {LIVE: 50, INSIDE: 50, BACKLOG: 10}  # of a person, in one round: nobody's thousands hold up the others
CONCERNING = ("run", "exit", "merge", "pause", "release")  # kinds that always concern a run, one that its row says is over too
PEOPLE_AT_ONCE = 32  # whose events act, side by side

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]

# With the constants in its text and not as parameters, so that both databases see that the partial indexes serve it.
to_route = or_(col(AcceptedEvent.status) == literal_column("'pending'"), col(AcceptedEvent.reconsider).is_not(None))


Seen: TypeAlias = Any  # a row of `glance`, which is a Glance


def _next(lane: int, after: Any) -> Any:
    """Select the next person, by their row, of whom something waits. One look into an index, however much waits of whom."""
    if lane == INSIDE:
        theirs = core_select(events.c.id).where(events.c.person_id == col(Run.person_id), to_route).order_by(events.c.id)
        person = col(Run.person_id)
        first = core_select(person).where(
            col(Run.ended_at).is_(None), theirs.limit(1).scalar_subquery().is_not(None), person > after
        )
        return first.order_by(person).limit(1).scalar_subquery()
    person = col(AcceptedEvent.person_id)
    first = core_select(person).where(to_route, col(AcceptedEvent.lane) == literal_column(str(lane)), person > after)
    return first.order_by(person, events.c.id).limit(1).scalar_subquery()


def _whose_turn(lane: int) -> Any:
    first = core_select(_next(lane, bindparam("after", type_=Id)).label("person"), literal_column("1").label("place"))
    turn = first.cte("turn", recursive=True)
    others = core_select(_next(lane, turn.c.person), turn.c.place + 1)
    turn = turn.union_all(others.where(turn.c.person.is_not(None), turn.c.place < PEOPLE_LOOKED_AT[lane]))
    return core_select(people.c.id, free.label("is_free")).select_from(turn.join(people, people.c.id == turn.c.person))


# The statements of every round, made once: making one costs more than running it.
whose_turn = {lane: _whose_turn(lane) for lane in (LIVE, BACKLOG, INSIDE)}
still_free = select(Person.id, database_clock()).where(among(col(Person.id), "people"), free).with_for_update(skip_locked=True)
waiting_events = events.alias("waiting")
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


def _at_a_glance(at_most: int) -> dict[str, Any]:
    """Select so many events of each person, the first ones."""
    firsts = (
        core_select(waiting_events.c.id)
        .where(
            waiting_events.c.person_id == people.c.id,
            or_(waiting_events.c.status == literal_column("'pending'"), waiting_events.c.reconsider.is_not(None)),
        )
        .order_by(waiting_events.c.id)
        .limit(at_most)
        .correlate(people)
    )
    lateral = firsts.lateral()
    found_by = {
        "postgresql": people.join(lateral, true()).join(events, events.c.id == lateral.c.id),
        "sqlite": people.join(events, events.c.id.in_(firsts)),
    }
    theirs = core_select(*glance).where(among(people.c.id, "people")).order_by(events.c.id)
    return {dialect: theirs.select_from(found) for dialect, found in found_by.items()}


at_a_glance = {at_most: _at_a_glance(at_most) for at_most in {*EVENTS_EACH.values(), 1}}
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
    by: str  # whose claim it is
    claimed_at: float = field(default_factory=monotonic)  # or renewed
    started: list[Run] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # events that no longer fit their class, and why
    failed: dict[str, str] = field(default_factory=dict)  # runs that can never start, and why
    broken: tuple[AcceptedEvent, str] | None = None  # the event that an error of ours stopped at, and the error
    held: bool = False  # what is left of the events waits for a run to close


@dataclass(frozen=True)
class Claim:
    """What a round has found: how many people's events acted on nobody and are done with, and what there is to do.

    `by` is whose claim it is, and `last` the person with whom this round's turn ended: the next one's begins after them.
    `broken` has the people whose events could not even be looked at, for an error of ours, and that error.
    """

    by: str
    done: int = 0
    works: list[Work] = field(default_factory=list)
    last: int = 0
    broken: dict[int, str] = field(default_factory=dict)


async def claim(store: Store, by: str, lane: int, after: int = 0) -> Claim | None:
    """Lease people of whom something of that lane waits and whom no other router works on, and read what there is to do.

    They take turns, in the order of their rows: whoever comes after that person is next. What no open run listens to and no
    journey starts on is done with at once, in the same transaction, in which all of them are judged by the segments that
    their events may change. None if nobody waits. An error of ours ends nobody's turn but that of the person whose it is.
    """
    waiting, last = await _free_in_turn(store, lane, after)
    if not waiting:
        return None
    try:
        claimed = await _take(store, by, waiting, EVENTS_EACH[lane])
    except Exception as error:
        if is_outage(error):
            raise
        log.error("claiming %s people met an error of ours, so each is claimed alone: %s", len(waiting), fault(error))
        claimed = await _one_by_one(store, by, waiting, EVENTS_EACH[lane])
    return replace(claimed, last=claimed.last or last)


async def _free_in_turn(store: Store, lane: int, after: int) -> tuple[list[int], int]:
    """Return the next people whom no router works on, and after whom to go on: 0 once the first are next again."""
    async with store.read() as session:
        while True:
            looked_at = (await (await session.connection()).execute(whose_turn[lane], {"after": after})).all()
            last = max(person for person, _ in looked_at) if len(looked_at) == PEOPLE_LOOKED_AT[lane] else 0
            waiting = sorted(person for person, is_free in looked_at if is_free)
            if waiting or after == last == 0:
                return waiting, last
            after = last


async def _one_by_one(store: Store, by: str, waiting: Iterable[int], most: int) -> Claim:
    """Claim each alone; of whoever meets an error of ours again, the first event alone, for it may be a later one's."""
    done, works, broken, last = 0, list[Work](), dict[int, str](), 0
    for person in waiting:
        for at_most in (most, 1):
            try:
                claimed = await _take(store, by, [person], at_most)
            except Exception as error:
                if is_outage(error):
                    raise
                broken[person] = fault(error)
            else:
                broken.pop(person, None)
                done, works = done + claimed.done, works + claimed.works
                break
        if len(works) == PEOPLE_AT_ONCE:
            last = person
            break
    return Claim(by, done, works, last, broken)


async def _take(store: Store, by: str, waiting: Sequence[int], at_most: int) -> Claim:
    """Claim those of these people who are still free, for so many of their events each."""
    async with store.write(durable=False) as session:
        found = (await session.exec(still_free, params={"people": waiting})).all()
        if not found:
            return Claim(by)
        unclaimed = {person for person, _ in found if person is not None}
        seen, inside = await _theirs(session, unclaimed, at_most)
        acting = {person for person in seen if any(acts(event, inside[person]) for event in seen[person])}
        chosen = [person for person in waiting if person in acting][:PEOPLE_AT_ONCE]
        idle = seen.keys() - acting
        known = set((await session.exec(have_been_judged, params={"people": list(idle)})).all()) if idle else set()
        judged = {each: seen[each] for each in (*chosen, *idle) if each not in known or any(map(touched, seen[each]))}
        works = await _works(session, by, judged, inside) if judged else []
        noted = await take_note(session, [(work.person, work.events) for work in works], whole=at_most)
        await done_with(session, [event for person in idle for event in seen[person]])
        if still_to_route := [event.id for event in noted if event.person_id in acting]:
            await session.exec(are_noted, params={"judged": still_to_route})
        works = [work for work in works if work.person.id in acting]
        if chosen:
            await session.exec(claim_them, params={"people": chosen, "by": by, "until": found[0][1] + LEASE})
    return Claim(by, len(unclaimed) - len(acting), works, chosen[-1] if len(acting) > len(chosen) else 0)


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


async def _theirs(
    session: AsyncSession, unclaimed: Iterable[int], at_most: int
) -> tuple[dict[int, list[Seen]], dict[int, list[Run]]]:
    """Read, at a glance, so many events of each of these people in order, and their open runs."""
    theirs = {"people": list(unclaimed)}
    seen: dict[int, list[Seen]] = defaultdict(list)
    inside: dict[int, list[Run]] = defaultdict(list)
    connection = await session.connection()
    for event in await connection.execute(at_a_glance[at_most][connection.dialect.name], theirs):
        seen[event.person_id].append(event)
    for run in (await session.exec(their_runs, params=theirs)).all():
        inside[run.person_id].append(run)
    return seen, inside


async def _works(session: AsyncSession, by: str, seen: Mapping[int, list[Seen]], inside: Mapping[int, list[Run]]) -> list[Work]:
    """Read in full what there is to do for these people."""
    ids = [event.id for theirs in seen.values() for event in theirs]
    pending: dict[int, list[AcceptedEvent]] = defaultdict(list)
    for event in (await session.exec(in_full, params={"events": ids})).all():
        pending[event.person_id].append(event)
    claimed = (await session.exec(themselves, params={"people": list(seen)})).all()
    return [Work(person, pending[person.id or 0], inside.get(person.id or 0, []), by) for person in claimed]
