"""One person's memberships, kept as events are taken in and time passes, and the events that tell of each change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from events.history import History, read
from store.tables import LIVE, AcceptedEvent, Membership, Person
from workflows.definition import Event
from workflows.segments import LIFECYCLE, SEGMENTS, Facts, state_of, state_turns
from workflows.transitions import becoming, crossing

IN, OUT = "in", "out"
NOT_YET, ANEW = "", ""  # the value of who was met and has not been looked at, and the digest of what is to be judged anew


@dataclass(frozen=True)
class Noted:
    """When a change is taken note of: at `at`, or, without it, when it comes; and how far that clock is from the real one."""

    at: datetime | None
    offset: float
    lane: int = LIVE  # and of which lane the events are that tell of it, and whether they may start journeys: as their cause
    starts: bool = True

    @classmethod
    def by(cls, event: AcceptedEvent) -> Noted:
        """What an imported event brings about starts nothing: nobody can say beforehand how many runs that would be."""
        return cls(event.accepted_at, event.clock_offset, event.lane, event.starts and event.lane == LIVE)

    @classmethod
    def by_time(cls, event: AcceptedEvent) -> Noted:
        """What time has brought before an event is time's own, whatever that event is."""
        return cls(event.accepted_at, event.clock_offset)


@dataclass
class Standing:
    """One person's memberships in hand, under their lock, and the events that are to tell of the changes to them.

    They are those of the past that `history` holds. Each fresh event is taken in and judged in its turn, once, and time brings
    its own changes in between. So what an event brings about is a change from what was so without it, and nothing else.
    """

    session: AsyncSession
    person: Person
    rows: dict[str, Membership]
    digests: Mapping[str, str]
    told: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history = History(self.person.created_at, self.person.traits)

    @property
    def is_new(self) -> bool:
        """Nobody has looked at them yet: they have been in no state and no segment."""
        return LIFECYCLE not in self.rows or self.rows[LIFECYCLE].value == NOT_YET

    @property
    def met(self) -> datetime | None:
        """When somebody was met by what the router does not route, and has not been looked at since."""
        return self.rows[LIFECYCLE].since if LIFECYCLE in self.rows and self.is_new else None

    def outdated(self) -> set[str]:
        """Return what the person has not been judged by as it is defined today."""
        return {name for name, digest in self.digests.items() if name not in self.rows or self.rows[name].digest != digest}

    def due(self, before: datetime) -> datetime | None:
        """Return the earliest moment before that one at which time alone may have changed something."""
        return min((turn for row in self.turning(before) if (turn := row.turns_at) is not None), default=None)

    def turning(self, before: datetime) -> list[Membership]:
        """Return what time alone may have changed before that moment."""
        known = (row for name, row in self.rows.items() if name in self.digests)
        return [row for row in known if row.turns_at is not None and row.turns_at < before]

    def put_aside(self) -> None:
        """A segment that is not in the code is not kept true; should it come back, they are judged by it anew."""
        for name in self.rows.keys() - self.digests.keys():
            self.rows[name].turns_at, self.rows[name].digest = None, ANEW

    async def read(self, names: Collection[str], since: datetime) -> None:
        """Read the past that is needed to judge these segments from `since` on."""
        await look(self.session, self.history, self.person, names, since)

    def pass_until(self, before: datetime, clock: Noted) -> None:
        """Let every change that time alone brings before that moment come, in order."""
        while (turn := self.due(before)) is not None:
            self.judge({row.segment for row in self.turning(turn + datetime.resolution)}, turn, clock)

    def judge_anew(self, names: Collection[str], at: datetime, clock: Noted) -> None:
        """Judge by new definitions, or somebody who was two, and tell nobody: nothing has happened to them."""
        self.judge(names, self.not_before(names, at), clock, silent=True)

    def judge_by(self, names: Collection[str], event: AcceptedEvent) -> None:
        """Judge what an event that was just taken in may have changed."""
        if names:
            self.judge(names, self.not_before(names, event.accepted_at), Noted.by(event))

    def not_before(self, names: Collection[str], at: datetime) -> datetime:
        """Return a moment, or a later one if something is known of later: clocks differ, and people wait for their lock."""
        return max([at, self.history.latest, *(self.rows[name].since for name in names if name in self.rows)])

    def judge(self, names: Collection[str], at: datetime, clock: Noted, *, silent: bool = False) -> None:
        """Judge these segments at a moment by what is known; a change is told, unless it is to be silent."""
        facts = self.history.facts()
        for name in (each for each in self.digests if each in names):
            value, turns = judged(name, facts, at)
            if (row := self.rows.get(name)) is None:
                row = self.rows[name] = self._row(name, at, clock)
            self._record(row, value, at, clock, silent=silent)
            _turn(row, turns, at)

    def _row(self, name: str, at: datetime, clock: Noted) -> Membership:
        assert self.person.id is not None
        digest, offset = self.digests[name], clock.offset
        row = Membership(person_id=self.person.id, segment=name, value=NOT_YET, since=at, digest=digest, clock_offset=offset)
        self.session.add(row)
        return row

    def _record(self, row: Membership, value: str, at: datetime, clock: Noted, *, silent: bool) -> None:
        if (row.clock_offset == 0) != (clock.offset == 0):
            row.clock_offset = clock.offset
        if row.digest != self.digests[row.segment]:
            row.digest = self.digests[row.segment]
        if row.value == value:
            return
        previous, row.value, row.since, row.changes = row.value, value, at, row.changes + 1
        if not silent:
            self.told += [self._event(row, each, at, clock) for each in _transitions(row.segment, value, previous)]

    def _event(self, row: Membership, event: Event, at: datetime, clock: Noted) -> dict[str, Any]:
        return {
            "person_id": self.person.id,
            "message_id": f"segment/{self.person.id}/{row.segment}/{row.changes}/{event.name}",
            "kind": "track",
            "name": event.name,
            "data": event.model_dump(mode="json"),
            "context": {},
            "occurred_at": at,
            "accepted_at": max(clock.at or at, at),
            "clock_offset": clock.offset,
            "changed": {},
            "status": "pending",
            "error": "",
            "lane": clock.lane,
            "starts": clock.starts,
            "noted": True,  # no segment is made of transitions
        }


async def look(
    session: AsyncSession,
    history: History,
    person: Person,
    names: Collection[str],
    since: datetime,
    *,
    fresh: bool = False,
) -> None:
    """Read what is needed to judge these segments from `since` on."""
    segments = [SEGMENTS[name] for name in sorted(names) if name in SEGMENTS]
    by_state = LIFECYCLE in names or any(segment.by_state for segment in segments)
    assert person.id is not None
    await read(session, history, person.id, segments, by_state=by_state, since=since, fresh=fresh)


def judged(name: str, facts: Facts, at: datetime) -> tuple[str, datetime | None]:
    """Return a person's value in a segment, or their state, and when time alone may change it."""
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
