"""How many runs would an import start? Said before it does, without writing anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from sqlmodel import col, select

from events.accept import already
from events.calls import Call
from store.many import among
from store.session import Store
from store.tables import Identity, Run
from workflows.definition import EVENTS, current, newest, refusal

AT_ONCE = 500

Entry = tuple[str, str, str]  # a person, a journey and a key

their_runs = (
    select(Identity.name, Run.journey, Run.key, Run.ended_at)
    .join(Identity, col(Identity.person_id) == Run.person_id)
    .where(among(col(Identity.name), "people"))
)


async def forecast(store: Store, calls: Iterable[Call], now: datetime) -> dict[str, int]:
    """Return how many runs of each journey would start at once if these calls were accepted now and started journeys.

    A person enters a journey (by key) once, unless they are in it already or may not enter again yet; what would follow
    when such a run ends is not counted. Two names that the file itself makes one person count as two. A call whose message id is
    known acts no more; and what becomes of people by an import starts nothing.
    """
    entering = set[Entry]()
    waiting = iter(calls)
    while batch := list(islice(waiting, AT_ONCE)):
        entering |= await _new_entries(store, batch)
    counted: Counter[str] = Counter()
    people = iter(sorted({person for person, _, _ in entering}))
    while some := list(islice(people, AT_ONCE)):
        entering -= await _refused(store, some, now)
    counted.update(journey for _, journey, _ in entering)
    return dict(sorted(counted.items()))


async def _new_entries(store: Store, calls: list[Call]) -> set[Entry]:
    async with store.read() as session:
        known = set(await (await session.connection()).scalars(already, {"message_ids": [call.message_id for call in calls]}))
    return {entry for call in calls if call.message_id not in known for entry in _entries(call)}


def _entries(call: Call) -> Iterator[Entry]:
    if call.kind == "track" and call.status == "pending":
        for each in newest():
            if call.name in each.trigger_names:
                yield call.user_id, each.name, each.key_of(EVENTS[call.name], call.data)


async def _refused(store: Store, people: list[str], now: datetime) -> set[Entry]:
    """Return which entries of these people would be refused by the runs they are in, or were in last."""
    ended: dict[Entry, datetime | None] = {}
    async with store.read() as session:
        for person, journey, key, at in (await session.exec(their_runs, params={"people": people})).all():
            before = ended.get((person, journey, key), at)
            ended[person, journey, key] = None if before is None or at is None else max(before, at)
    return {entry for entry, at in ended.items() if at is None or _is_refused(entry[1], at, now)}


def _is_refused(journey: str, last_ended: datetime, now: datetime) -> bool:
    definition = current(journey)
    return definition is not None and refusal(definition.again, last_ended, now) is not None
