"""Accepting calls: stored for good, in one transaction under the locks of the people they are about."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from events.calls import Call, Clock
from events.joining import Join, joins
from events.meeting import meet
from events.profiles import Profile, keep, nobody
from events.segments import expect
from store.many import among, insert_rows
from store.session import Store, announce
from store.tables import LIVE, AcceptedEvent

log = logging.getLogger(__name__)

events = AcceptedEvent.__table__  # type: ignore[attr-defined]

already = select(events.c.message_id).where(among(events.c.message_id, "message_ids"))

T = TypeVar("T")

TEACHING = ("track", "identify", "page", "screen", "group")  # kinds of calls whose context is of their person
ATTEMPTS = 5
LOST_A_RACE = ("23505", "40P01")  # PostgreSQL: another batch took the same message id, or waited for us as we for it


@dataclass(frozen=True)
class Manner:
    """How calls are accepted: in which lane, whether they may start journeys, and what is written together with them."""

    lane: int = LIVE
    starts: bool = True
    durable: bool = True
    beside: Callable[[AsyncConnection, int], Awaitable[None]] | None = None  # is told how many are new


PLAINLY = Manner()


async def accept(store: Store, calls: Sequence[Call], clock: Clock, manner: Manner = PLAINLY) -> None:
    """Store these calls, and what they say of the people, all or none. When it returns, they are durable.

    A call whose message id was accepted before changes nothing, and one about an erased person, or an alias that names one, is
    not kept and meets nobody. `clock` says when they are accepted.
    """
    if calls or manner.beside:
        await retrying(lambda: _accept(store, calls, clock, manner))


async def retrying(attempt: Callable[[], Awaitable[T]]) -> T:
    """Make a transaction, and make it again if it lost a race with another: it then sees what that one did."""
    for _ in range(ATTEMPTS):
        try:
            return await attempt()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") not in LOST_A_RACE:
                raise
    return await attempt()


async def _accept(store: Store, calls: Sequence[Call], clock: Clock, manner: Manner) -> None:
    async with store.write(durable=manner.durable) as session:
        connection = await session.connection()
        fresh = await _fresh(connection, calls)
        said = [joins(call) for call in fresh]
        # Whom an alias is about it joins: if one of them was erased, the join is left out, and it meets nobody.
        named = {call.user_id for call, joined in zip(fresh, said, strict=True) if not any(join.firm for join in joined)}
        people = await meet(connection, named, clock, list(chain(*said)))
        erased = {name for name, person in people.items() if person.erased}
        kept = [call for call, joined in zip(fresh, said, strict=True) if erased.isdisjoint(_about(call, joined))]
        rows = [row(call, people[call.user_id], clock, manner) for call in kept]
        if rows:
            await insert_rows(connection, events, rows)
        routed = {each["person_id"] for each in rows if each["status"] == "pending"}
        await expect(connection, [each for each in _everybody(people) if each.new and each.id not in routed], clock)
        await keep(connection, _everybody(people))
        if rows:
            await announce(connection)
        if manner.beside:
            await manner.beside(connection, len(rows))


def _everybody(people: Mapping[str, Profile]) -> Collection[Profile]:
    """Return each of these people once, by whatever names they were asked for."""
    return {each.id: each for each in people.values() if not each.erased}.values()


def objections(call: Call) -> list[str]:
    """Say what would not be taken of a call: its own fault, what was odd about it, and what no profile takes."""
    notes = [each for each in (call.error, *call.notes) if each]
    _learn(nobody(call.user_id, call.occurred_at), call, call.occurred_at, notes)
    return notes


def row(call: Call, person: Profile, clock: Clock, manner: Manner) -> dict[str, Any]:
    """Let a call act on the person's profile, and return its event's row."""
    notes = list(call.notes)
    changed = _learn(person, call, min(call.occurred_at, clock.at), notes)
    if notes:
        log.warning("call %s: %s", call.message_id, "; ".join(notes))
    return {
        "person_id": person.id,
        "message_id": call.message_id,
        "kind": call.kind,
        "name": call.name,
        "data": call.data,
        "context": call.context,
        "occurred_at": call.occurred_at,
        "accepted_at": clock.at,
        "clock_offset": clock.offset,
        "changed": changed,
        "run_id": call.run_id,
        "status": _status(call, changed, person),
        "error": "; ".join(filter(None, (call.error, *notes))),
        "reconsider": None,
        "lane": manner.lane,
        "starts": manner.starts,
    }


def _learn(person: Profile, call: Call, at: datetime, notes: list[str]) -> dict[str, Any]:
    """Let a person's profile take in what a call teaches; return what changed."""
    if call.status == "invalid" or call.kind not in TEACHING:
        return {}
    return person.learn(_taught(call), call.context, at, notes)


def _taught(call: Call) -> Mapping[str, Any]:
    """Return the traits that a call states of its person: whose member they are is one, what their group is like is none."""
    match call.kind:
        case "identify":
            return call.data
        case "group":
            return {"group_id": call.data["groupId"]}
    return {}


def _status(call: Call, changed: Mapping[str, Any], person: Profile) -> str:
    """An identify that changed nothing has nobody to tell; whatever moved its person has, an unknown event too.

    The first that we hear of somebody is routed all the same: their segments begin with it.
    """
    if call.kind == "identify" and call.status == "pending":
        return "pending" if changed or person.new else "routed"
    return "pending" if changed and call.status in ("unknown", "routed") else call.status


def _about(call: Call, joined: Iterable[Join]) -> Iterator[str]:
    """Yield the names of whoever a call is about: of both, if it says that two are one for certain."""
    yield call.user_id
    yield from (name for join in joined if join.firm for name in join.others)


async def _fresh(connection: AsyncConnection, calls: Sequence[Call]) -> list[Call]:
    """Leave out the calls that were accepted before, and repetitions among these."""
    by_id: dict[str, Call] = {}
    for call in calls:
        by_id.setdefault(call.message_id, call)
    known = await connection.scalars(already, {"message_ids": list(by_id)})
    for message_id in known:
        del by_id[message_id]
    return list(by_id.values())
