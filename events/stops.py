"""Kill switches: thrown, released, and what becomes of the messages that wait because of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Literal, get_args

from sqlalchemy import Select, and_, bindparam, exists, func, literal_column, or_, select, update
from sqlmodel import col
from sqlmodel import select as select_rows
from sqlmodel.ext.asyncio.session import AsyncSession

from events.accept import retrying
from events.calls import Clock
from events.for_ever import for_ever
from events.operators import Operator
from store.many import among, insert_rows
from store.outage import fault, is_outage
from store.sending import lock_stops
from store.session import Store, announce, database_clock, lock
from store.tables import LIVE, AcceptedEvent, Delivery, Person, Run, Stop
from workflows.clock import share
from workflows.definition import JOURNEYS, RELEASE
from workflows.messages import CHANNELS

log = logging.getLogger(__name__)

Stoppable = Literal["all", "journey", "channel"]
Choice = Literal["send", "retime", "skip"]
STOPPABLE: tuple[Stoppable, ...] = get_args(Stoppable)
CHOICES: tuple[Choice, ...] = get_args(Choice)

MESSAGES_AT_ONCE = 200
KNOWN_AT_ONCE = 10_000
EVERY = timedelta(seconds=1)
BREATH_SECONDS = 0.02  # between two batches, in which others write

messages = Delivery.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]
events = AcceptedEvent.__table__  # type: ignore[attr-defined]
stops = Stop.__table__  # type: ignore[attr-defined]
others = stops.alias("others")

now = select_rows(database_clock())
thrown = select_rows(Stop).where(Stop.scope == bindparam("scope"), Stop.name == bindparam("name"), col(Stop.released_at).is_(None))
latest = select_rows(Stop).order_by(col(Stop.released_at).is_not(None), col(Stop.id).desc())
unfinished = select_rows(Stop).where(col(Stop.released_at).is_not(None), col(Stop.finished_at).is_(None)).order_by(col(Stop.id))
finish = update(stops).where(stops.c.id == bindparam("stop")).values(finished_at=bindparam("moment"))


def _covers(which: Any) -> Any:
    return or_(
        which.c.scope == "all",
        and_(which.c.scope == "journey", which.c.name == messages.c.journey),
        and_(which.c.scope == "channel", which.c.name == messages.c.channel),
    )


# What waits because of a kill switch, in the words of the partial index.
waits = (
    messages.c.status == literal_column("'deferred'"),
    messages.c.reason == literal_column("'kill_switch'"),
    runs.c.ended_at.is_(None),
)
held_by_another = exists().where(others.c.id != stops.c.id, others.c.released_at.is_(None), _covers(others))
its_messages = (*waits, stops.c.id == bindparam("stop"), _covers(stops), ~held_by_another)
with_runs = messages.join(runs, runs.c.id == messages.c.run_id)
found_waiting = (
    select(messages.c.key, messages.c.person_id)
    .select_from(with_runs.join(stops, _covers(stops)))
    .where(*its_messages)
    .order_by(messages.c.person_id, messages.c.key)
    .limit(KNOWN_AT_ONCE)
)
still_waiting = (
    select(messages, people.c.user_id, func.coalesce(events.c.clock_offset, 0.0).label("clock_offset"))
    .select_from(
        with_runs.join(stops, _covers(stops))
        .join(people, people.c.id == messages.c.person_id)
        .outerjoin(events, events.c.id == runs.c.trigger_id)
    )
    .where(among(messages.c.key, "keys"), *its_messages)
    .order_by(messages.c.person_id, messages.c.key)
)
how_many: Select[Any] = (
    select(stops.c.id, func.count().label("messages"))
    .select_from(with_runs.join(stops, _covers(stops)))
    .where(*waits, or_(stops.c.released_at.is_(None), stops.c.finished_at.is_(None)))
    .group_by(stops.c.id)
)
becomes = (
    update(messages)
    .where(messages.c.key == bindparam("message"))
    .values(
        status=bindparam("now"),
        reason=bindparam("cause"),
        retry_at=bindparam("again"),
        saw=bindparam("facts"),
        at=func.coalesce(bindparam("decided", type_=messages.c.at.type), messages.c.at),
    )
)


class NoSuch(ValueError):
    """There is no journey or channel of that name, or nothing is stopped there."""


def words(stop: Stop) -> str:
    """Return what a switch stops, in words: `all`, `journey NAME`, `channel NAME`."""
    return f"{stop.scope} {stop.name}".strip()


def see_that_there_is(scope: Stoppable, name: str) -> None:
    """Raise NoSuch, with what was probably meant, for a journey or a channel that there is not."""
    known = {"all": [""], "channel": list(CHANNELS), "journey": sorted({each.name for each in JOURNEYS.values()})}[scope]
    if name not in known:
        near = get_close_matches(name, known, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known) or 'none'}"
        raise NoSuch(f"there is no {scope} {name!r}; {meant}")


async def throw(store: Store, scope: Stoppable, name: str, by: Operator) -> Stop:
    """Let no message begin that this covers, from the moment this returns until it is released.

    One that is thrown already stays as it is. Raises NoSuch for a journey or a channel that there is not.
    """
    see_that_there_is(scope, name)
    async with store.write() as session:
        await lock_stops(session)
        stop = await _thrown(session, scope, name)
        again = stop is not None
        if stop is None:
            at = (await session.exec(now)).one()
            stop = Stop(scope=scope, name=name, actor=by.actor, reason=by.reason, at=at)
            session.add(stop)
        session.add(by.did("stop", subject=words(stop), details={"again": again}))
    return stop


async def release(
    store: Store, scope: Stoppable, name: str, choice: Choice, by: Operator, clock: Clock, over: timedelta = timedelta(0)
) -> Stop:
    """Let messages begin again that this covered, and say what becomes of those that were due meanwhile.

    `send`: they ask the gate again now. `retime`: so they do within `over`, each person at their own share of it. `skip`: they
    are suppressed. That is begun here, and the workers go on with it. Raises NoSuch if nothing is stopped there.
    """
    async with store.write() as session:
        await lock_stops(session)  # whoever has seen the switch thrown has written down by now that they wait
        stop = await _thrown(session, scope, name)
        if stop is None:
            raise NoSuch(f"{f'{scope} {name}'.strip()!r} is not stopped; GET /v1/stops lists what is")
        stop.released_at, stop.released_by = (await session.exec(now)).one(), by.actor
        stop.choice, stop.over = choice, over.total_seconds()
        session.add(stop)
        session.add(by.did("release", subject=words(stop), details={"choice": choice, "over": stop.over}))
    await carry_out(store, stop, clock, at_most=MESSAGES_AT_ONCE)
    return stop


async def listed(store: Store, limit: int = 100) -> list[tuple[Stop, int]]:
    """Return the switches, those that are thrown first, then the latest; with how many messages wait because of each."""
    async with store.read() as session:
        found = (await session.exec(latest.limit(limit))).all()
        counts = await _waiting(session)
    return [(stop, counts.get(stop.id or 0, 0)) for stop in found]


async def open_stops(session: AsyncSession) -> Sequence[Stop]:
    """Return the switches that are thrown, the latest first."""
    return (await session.exec(latest.where(col(Stop.released_at).is_(None)))).all()


async def waiting(store: Store, stop: Stop) -> int:
    """Return how many messages wait because of it."""
    async with store.read() as session:
        return (await _waiting(session)).get(stop.id or 0, 0)


async def release_for_ever(store: Store) -> None:
    """Go on with what has been released, again and again."""
    await for_ever("releasing", lambda: go_on(store), EVERY)


async def go_on(store: Store) -> None:
    """Do what is left to do of every release. What died in the middle of one is gone on with where it was."""
    async with store.read() as session:
        left = (await session.exec(unfinished)).all()
    for stop in left:
        await carry_out(store, stop, Clock.real())


async def carry_out(store: Store, stop: Stop, clock: Clock, at_most: int | None = None) -> None:
    """Let the messages that waited because of a released switch, and of no other, go on as was chosen; `at_most` so many.

    Several may be at it at once. What another switch has stopped meanwhile waits for its release.
    """
    failed = set[str]()
    while True:
        async with store.read() as session:
            found = (await (await session.connection()).execute(found_waiting, {"stop": stop.id})).all()
        left = [each for each in found if each.key not in failed]
        if not left:
            break
        for first in range(0, len(left[:at_most]), MESSAGES_AT_ONCE):
            failed |= await _together_or_alone(store, stop, left[first : first + MESSAGES_AT_ONCE], clock)
            await asyncio.sleep(BREATH_SECONDS)
        if at_most is not None and len(found) >= at_most:
            return
    if not failed:
        async with store.write() as session:
            await session.exec(finish, params={"stop": stop.id, "moment": datetime.now(UTC)})


async def _together_or_alone(store: Store, stop: Stop, batch: Sequence[Any], clock: Clock) -> set[str]:
    """Release these messages; after an error of ours, each alone, so that one holds up no other. Returns those that failed."""
    try:
        await retrying(lambda: _go_on(store, stop, batch, clock))
    except Exception as error:
        if is_outage(error):
            raise
        if len(batch) == 1:
            log.error("message %s is not released: %s", batch[0].key, fault(error))
            return {batch[0].key}
        return {key for each in batch for key in await _together_or_alone(store, stop, [each], clock)}
    return set()


async def _go_on(store: Store, stop: Stop, batch: Sequence[Any], clock: Clock) -> None:
    async with store.write() as session:
        await lock(session, sorted({each.person_id for each in batch}))
        connection = await session.connection()
        asked = {"stop": stop.id, "keys": [each.key for each in batch]}
        rows = (await connection.execute(still_waiting, asked)).mappings().all()
        if rows:
            await connection.execute(becomes, [_released(row, stop, clock) for row in rows])
            await insert_rows(connection, events, [_order(row, stop, clock) for row in rows])
            await announce(connection)


def _released(row: Mapping[Any, Any], stop: Stop, clock: Clock) -> dict[str, Any]:
    """Return what becomes of a message's row. Once it is not `kill_switch` that it is deferred for, it is released."""
    at, skipped = _reads(row, clock), stop.choice == "skip"
    given_up = "unknown" if row["doubted"] else "suppressed"  # an attempt from before may have arrived
    return {
        "message": row["key"],
        "now": given_up if skipped else "deferred",
        "cause": "kill_switch" if skipped else "released",
        "again": None if skipped else at + _after(row, stop),
        "facts": {"stopped": words(stop), "choice": stop.choice},
        "decided": at if skipped else None,
    }


def _order(row: Mapping[Any, Any], stop: Stop, clock: Clock) -> dict[str, Any]:
    """Return the event that tells the message's run. It is of no interest to the person's segments: `noted`."""
    at = _reads(row, clock)
    return {
        "person_id": row["person_id"],
        "message_id": f"release/{stop.id}/{row['key']}",
        "kind": "release",
        "name": RELEASE,
        "data": {"step": row["step"], "after": _after(row, stop).total_seconds()},
        "context": {},
        "occurred_at": at,
        "accepted_at": at,
        "clock_offset": clock.offset or row["clock_offset"],
        "changed": {},
        "run_id": row["run_id"],
        "status": "pending",
        "error": "",
        "reconsider": None,
        "lane": LIVE,
        "starts": False,
        "noted": True,
    }


def _after(row: Mapping[Any, Any], stop: Stop) -> timedelta:
    return timedelta(seconds=stop.over * share(row["user_id"])) if stop.choice == "retime" else timedelta(0)


def _reads(row: Mapping[Any, Any], clock: Clock) -> datetime:
    """Return what the run's clock reads, as far as we know: that of a played one is ahead of, or behind, the real one."""
    at = clock.at if clock.offset else clock.at + timedelta(seconds=row["clock_offset"])
    decided: datetime = row["at"]
    return max(at, decided)


async def _thrown(session: AsyncSession, scope: Stoppable, name: str) -> Stop | None:
    found: Stop | None = (await session.exec(thrown, params={"scope": scope, "name": name})).first()
    return found


async def _waiting(session: AsyncSession) -> dict[int, int]:
    connection = await session.connection()
    return {each.id: each.messages for each in (await connection.execute(how_many)).all()}
