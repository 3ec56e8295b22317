"""Who would be in a segment? Judged from what is stored, before anything ships, changing nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlmodel import col, select

from events.segments import judge_now, judge_then
from events.standing import IN
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


async def audience(store: Store, segment: Segment, *, sample: int, at: datetime | None = None) -> Audience:
    """Judge everybody by a segment now, played people at their last event; or, given one, at that moment, by the traits of now.

    Who was not known at that moment is nobody then.
    """
    members, people, states, first = 0, 0, dict[str, int](), list[str]()
    async for user_id, value, state in _judged(store, segment, at):
        people += 1
        if value == IN:
            members += 1
            states[state] = states.get(state, 0) + 1
            first += [user_id] if len(first) < sample else []
    return Audience(segment.name, members, people, dict(sorted(states.items())), first)


async def _judged(store: Store, segment: Segment, at: datetime | None) -> AsyncIterator[tuple[str, str, str]]:
    after = 0
    while True:
        async with store.read() as session:
            everybody = select(Person).where(col(Person.id) > after)
            people = (await session.exec(everybody.order_by(col(Person.id)).limit(PEOPLE_AT_ONCE))).all()
            for person in people:
                names = [LIFECYCLE, segment.name]
                if at is None:
                    values = await judge_now(session, person, names, datetime.now(UTC))
                elif (then := await judge_then(session, person, names, at)) is not None:
                    values = then
                else:
                    continue
                yield person.user_id, values[segment.name], values[LIFECYCLE]
        if not people:
            return
        after = people[-1].id or after
