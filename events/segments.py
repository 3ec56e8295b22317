"""Keeping memberships true: an event touches the segments that mention it, and each change is an event of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.history import History, read
from events.profiles import unless_there
from events.reach import Glance
from store.many import among
from store.tables import LIVE, AcceptedEvent, Membership, Person
from workflows.definition import Event
from workflows.lifecycle import ACTIVE, NEW, RESURRECTED, in_force
from workflows.segments import LIFECYCLE, SEGMENTS, activity, state_of, state_turns
from workflows.transitions import becoming, crossing

IN, OUT = "in", "out"

events = AcceptedEvent.__table__  # type: ignore[attr-defined]

their_memberships = select(Membership).where(among(col(Membership.person_id), "people"))
an_earlier_event = (
    select(AcceptedEvent.id)
    .where(col(AcceptedEvent.person_id) == bindparam("person"), col(AcceptedEvent.id) < bindparam("event"))
    .where(col(AcceptedEvent.kind) == "track")
    .limit(1)
)


@dataclass
class Standing:
    """One person's memberships in hand, under their lock, and what the changes to them are to be told as."""

    session: AsyncSession
    person: Person
    rows: dict[str, Membership]
    history: History
    told: list[dict[str, Any]] = field(default_factory=list)

    def due(self, before: datetime, up_to: int | None = None) -> datetime | None:
        """Return the earliest moment before that one at which time alone may have changed something, as of that event."""
        known = set(everything())
        rows = (row for name, row in self.rows.items() if name in known and (up_to is None or row.up_to <= up_to))
        return min((row.turns_at for row in rows if row.turns_at is not None and row.turns_at < before), default=None)

    def pass_until(self, before: datetime, up_to: int | None, clock: Noted) -> None:
        """Let every change that time alone brings before that moment come, in order."""
        while (turn := self.due(before, up_to)) is not None:
            names = [name for name, row in self.rows.items() if row.turns_at is not None and row.turns_at <= turn]
            self.judge(names, turn, up_to, clock)

    def not_yet_judged_by(self, event: AcceptedEvent, names: Collection[str]) -> Collection[str]:
        """Leave out what has changed by this event already, or by what came after it."""
        return [name for name in names if name not in self.rows or self.rows[name].up_to < (event.id or 0)]

    def judge(self, names: Collection[str], at: datetime, up_to: int | None, clock: Noted, *, silent: bool = False) -> None:
        """Judge these segments at a moment, as of an event; a change is told, unless it is to be silent."""
        facts = self.history.facts(up_to)
        for name in (each for each in everything() if each in names):
            value, turns = _judged(name, facts, at)
            if (row := self.rows.get(name)) is None:
                row = self.rows[name] = self._row(name, at, clock)
            self._record(row, value, at, up_to, clock, silent=silent)
            _turn(row, turns, at)

    def _row(self, name: str, at: datetime, clock: Noted) -> Membership:
        assert self.person.id is not None
        offset = clock.offset
        row = Membership(person_id=self.person.id, segment=name, value="", since=at, digest=digest_of(name), clock_offset=offset)
        self.session.add(row)
        return row

    def _record(self, row: Membership, value: str, at: datetime, up_to: int | None, clock: Noted, *, silent: bool) -> None:
        if (row.clock_offset == 0) != (clock.offset == 0):
            row.clock_offset = clock.offset
        if row.digest != digest_of(row.segment):
            row.digest = digest_of(row.segment)
        if row.value == value:
            return
        previous, row.value, row.since, row.changes = row.value, value, at, row.changes + 1
        row.up_to = max(row.up_to, self.latest if up_to is None else up_to)
        if not silent:
            self.told += [self._event(row, each, at, clock) for each in _transitions(row.segment, value, previous)]

    @property
    def latest(self) -> int:
        """The number of the last event that is in hand."""
        return max((seq for happened in self.history.events.values() for _, seq, _ in happened), default=0)

    def _event(self, row: Membership, event: Event, at: datetime, clock: Noted) -> dict[str, Any]:
        return {
            "person_id": self.person.id,
            "message_id": f"segment/{self.person.id}/{row.segment}/{row.changes}/{event.name}",
            "kind": "track",
            "name": event.name,
            "data": event.model_dump(mode="json"),
            "context": {},
            "occurred_at": at,
            "accepted_at": clock.at or at,
            "clock_offset": clock.offset,
            "changed": [],
            "status": "pending",
            "error": "",
            "lane": clock.lane,
            "starts": clock.starts,
        }


@dataclass(frozen=True)
class Noted:
    """When a change is taken note of: at `at`, or, without it, when it comes; and how far that clock is from the real one."""

    at: datetime | None
    offset: float
    lane: int = LIVE  # and of which lane the events are that tell of it, and whether they may start journeys: as their cause
    starts: bool = True

    @classmethod
    def by(cls, event: AcceptedEvent) -> Noted:
        return cls(event.accepted_at, event.clock_offset, event.lane, event.starts)


def everything() -> list[str]:
    """Return what people are judged by, in its order: their state first, then the segments by name."""
    return [LIFECYCLE, *sorted(SEGMENTS)]


def digest_of(name: str) -> str:
    """Return a digest of what a segment, or the lifecycle, means."""
    return repr(in_force()) if name == LIFECYCLE else SEGMENTS[name].digest


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


async def take_note(session: AsyncSession, routed: Sequence[tuple[Person, Sequence[AcceptedEvent]]]) -> None:
    """Judge these people by their pending events, each in its turn, and add the events that tell of what has changed.

    The caller holds the people's locks, and does it in the transaction in which it takes the events in hand: done twice, it
    changes nothing the second time.
    """
    rows = await memberships(session, [person for person, _ in routed])
    told: list[dict[str, Any]] = []
    with session.no_autoflush:
        for person, pending in routed:
            fresh = [event for event in pending if event.status == "pending"]
            if fresh:
                told += await _by_events(session, person, rows.get(person.id or 0, {}), fresh)
    await tell_of(session, told)


async def _by_events(
    session: AsyncSession, person: Person, rows: dict[str, Membership], pending: Sequence[AcceptedEvent]
) -> list[dict[str, Any]]:
    first, last = pending[0], pending[-1]
    wrong = {name for name in everything() if name not in rows or rows[name].digest != digest_of(name)}
    standing = Standing(session, person, rows, History(person.created_at, person.traits))
    due = standing.due(last.accepted_at)
    touching = [touched(event) for event in pending]
    if due is None and not wrong and all(_goes_on_as_before(rows[LIFECYCLE], event) for event in pending):
        touching = [names - _by_state_alone(event) for names, event in zip(touching, pending, strict=True)]
    if not wrong and due is None and not any(touching):
        return []
    new = not rows and not await _has_earlier(session, person, first)
    if not new:
        names = wrong.union(*touching, _turning(rows, last.accepted_at))
        await look(standing, names, min(due or first.accepted_at, first.accepted_at), before=first.id)
    standing.history.take(pending)
    if not new and wrong:
        clock = Noted.by(first)
        standing.judge(wrong, first.accepted_at, (first.id or 1) - 1, clock, silent=True)
    for event, names in zip(pending, touching, strict=True):
        clock = Noted.by(event)
        standing.pass_until(event.accepted_at, (event.id or 1) - 1, clock)
        names = wrong if new and event is first else names
        standing.judge(standing.not_yet_judged_by(event, names), event.accepted_at, event.id, clock)
    return standing.told


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


async def look(standing: Standing, names: Collection[str], since: datetime, *, before: int | None = None) -> None:
    """Read what is needed to judge these segments from `since` on."""
    segments = [SEGMENTS[name] for name in sorted(names) if name in SEGMENTS]
    by_state = LIFECYCLE in names or any(segment.by_state for segment in segments)
    assert standing.person.id is not None
    person_id = standing.person.id
    await read(standing.session, standing.history, person_id, segments, by_state=by_state, since=since, before=before)


async def up_to_now(
    session: AsyncSession, person: Person, rows: dict[str, Membership], now: datetime, offset: float = 0.0
) -> list[dict[str, Any]]:
    """Let time pass for a person up to `now`, that moment included, and return the events that tell of what has changed.

    In a played stream each is noted when it comes; in real time, now.
    """
    for name in rows.keys() - set(everything()):
        rows[name].turns_at = None  # of a segment that is no longer in the code
    standing = Standing(session, person, rows, History(person.created_at, person.traits))
    beyond = now + datetime.resolution
    if (due := standing.due(beyond)) is None:
        return []
    await look(standing, _turning(rows, beyond), due)
    standing.pass_until(beyond, None, Noted(None if offset else now, offset))
    return standing.told


async def fill(session: AsyncSession, person: Person, rows: dict[str, Membership], now: datetime) -> None:
    """Judge a person by the definitions that are new or changed since they were last judged, and tell nobody."""
    wrong = {name for name in everything() if name not in rows or rows[name].digest != digest_of(name)}
    offset = next((row.clock_offset for row in rows.values()), 0.0)
    standing = Standing(session, person, rows, History(person.created_at, person.traits))
    await look(standing, wrong, now)
    standing.judge(wrong, now, None, Noted(now, offset), silent=True)


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
    standing = Standing(session, person, {}, History(person.created_at, person.traits))
    await look(standing, names, now)
    facts = standing.history.facts()
    latest = max([now, *(happened[-1][0] for happened in standing.history.events.values())])
    return {name: _judged(name, facts, latest)[0] for name in names}


async def _has_earlier(session: AsyncSession, person: Person, first: AcceptedEvent) -> bool:
    if person.created_at == first.accepted_at:  # it is what we met them by
        return False
    return (await session.exec(an_earlier_event, params={"person": person.id, "event": first.id})).first() is not None


def _turning(rows: dict[str, Membership], before: datetime) -> set[str]:
    return {name for name, row in rows.items() if row.turns_at is not None and row.turns_at < before}


def _judged(name: str, facts: Any, at: datetime) -> tuple[str, datetime | None]:
    if name == LIFECYCLE:
        return state_of(facts, at), state_turns(facts, at)
    segment = SEGMENTS[name]
    return IN if segment.holds(facts, at) else OUT, segment.turns(facts, at)


def _turn(row: Membership, turns: datetime | None, at: datetime) -> None:
    """Keep when to look again. One that is there already and comes too early does no harm, and saves writing it anew."""
    known = row.turns_at
    if turns != known and (known is None or known <= at or (turns is not None and turns < known)):
        row.turns_at = turns


def _transitions(name: str, value: str, previous: str) -> list[Event]:
    """Return the declared events that say so. Somebody new has been in no state and no segment."""
    if name == LIFECYCLE:
        return becoming(value, previous)
    return crossing(name, entered=value == IN) if value == IN or previous == IN else []


def offset_of(now: datetime) -> float:
    """Return how far a played clock is ahead of the real one, in seconds."""
    return (now - datetime.now(UTC)).total_seconds()
