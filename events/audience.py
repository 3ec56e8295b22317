"""Who would be in a segment? Judged from what is stored, before anything ships, changing nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import col, select

from events.segments import IN, judge_now
from store.session import Store
from store.tables import Person
from workflows.segments import LIFECYCLE, Segment

PEOPLE_AT_ONCE = 500


@dataclass(frozen=True)
class Audience:
    """How many of all people are in a segment, the first of them, and in which lifecycle states they are."""

    segment: str
    members: int
    people: int
    states: dict[str, int]
    sample: list[str]


async def audience(store: Store, segment: Segment, *, sample: int, now: datetime | None = None) -> Audience:
    """Judge everybody by a segment at `now`: the real time unless given, and for played people at least their last event's."""
    members, people, states, first = 0, 0, dict[str, int](), list[str]()
    async for user_id, value, state in _judged(store, segment, now or datetime.now(UTC)):
        people += 1
        if value == IN:
            members += 1
            states[state] = states.get(state, 0) + 1
            first += [user_id] if len(first) < sample else []
    return Audience(segment.name, members, people, dict(sorted(states.items())), first)


async def _judged(store: Store, segment: Segment, now: datetime) -> AsyncIterator[tuple[str, str, str]]:
    after = 0
    while True:
        async with store.read() as session:
            everybody = select(Person).where(col(Person.id) > after)
            people = (await session.exec(everybody.order_by(col(Person.id)).limit(PEOPLE_AT_ONCE))).all()
            for person in people:
                values = await judge_now(session, person, [LIFECYCLE, segment.name], now)
                yield person.user_id, values[segment.name], values[LIFECYCLE]
        if not people:
            return
        after = people[-1].id or after
