"""Runs that are asked for, and what operators do to them: accepted under the person's lock, with Temporal up or down."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import bindparam, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.accept import retrying
from events.calls import Clock, misfit
from events.enrol import Refused, enrol
from events.meeting import meet_one
from events.operators import Operator
from store.session import Store, announce, lock
from store.tables import AcceptedEvent, Run
from workflows.definition import EXIT, PAUSE, Definition, Event

set_paused = update(Run).where(col(Run.id) == bindparam("run"), col(Run.ended_at).is_(None)).values(paused=bindparam("now_paused"))
unheard_pause = select(AcceptedEvent.id).where(
    AcceptedEvent.person_id == select(Run.person_id).where(Run.id == bindparam("run")).scalar_subquery(),
    AcceptedEvent.run_id == bindparam("run"),
    AcceptedEvent.kind == "pause",
    AcceptedEvent.status == "pending",
)


@dataclass(frozen=True)
class Requested:
    """A run that will start. `again` says that this very request was made before, and started it then."""

    run: Run
    again: bool = False


@dataclass(frozen=True)
class Misused:
    """The idempotency key came with another request before."""

    run_id: str


class Unfit(ValueError):
    """The data is not what starts the journey. Names the field."""


def fitting(definition: Definition[Any], data: Mapping[str, Any], event: str | None) -> type[Event]:
    """Return which of the journey's triggers the data is: the one called `event`, or else the first that it fits.

    Raises Unfit with the field that does not fit.
    """
    triggers = [each for each in definition.triggers if event in (None, each.name)]
    if not triggers:
        known = ", ".join(repr(each.name) for each in definition.triggers)
        raise Unfit(f"event: {definition.name!r} does not start on {event!r}; it starts on {known}")
    errors = {each: misfit(each, data) for each in triggers}
    if (kind := next((each for each, error in errors.items() if not error), None)) is None:
        raise Unfit(f"data.{errors[triggers[0]]}")
    return kind


async def request_run(
    store: Store,
    definition: Definition[Any],
    user_id: str,
    data: Mapping[str, Any],
    clock: Clock,
    *,
    event: str | None = None,
    idempotency_key: str | None = None,
    by: Operator | None = None,
) -> Requested | Refused | Misused:
    """Let a person enter a journey: the run's row and its trigger are durable on return, and the router starts it.

    Data beyond the trigger's fields is stored, and stays out. Raises Unfit for data that does not start this journey, Unknown
    and Ambiguous for an address that is not one person's. The same idempotency key with the same request answers with the run
    that it started the first time. Who asked, `by`, is recorded.
    """
    trigger = fitting(definition, data, event).name
    digest = _digest(definition.name, user_id, data, trigger)

    async def attempt() -> Requested | Refused | Misused:
        async with store.write() as session:
            person = await meet_one(session, user_id, clock)
            if idempotency_key is not None and (earlier := await _earlier(session, idempotency_key)) is not None:
                return Requested(earlier, again=True) if earlier.request == digest else Misused(earlier.id)
            if person is None:
                return Refused("was erased, and enters no journey")
            run = await enrol(session, definition, person, trigger, dict(data), clock.at)
            if isinstance(run, Run):
                run.idempotency_key, run.request = idempotency_key, digest
                run.trigger_id = await _add(session, run, "run", trigger, data, clock)
                if by is not None:
                    session.add(by.did("run", run_id=run.id, person_id=person.id, subject=definition.name))
            return run if isinstance(run, Refused) else Requested(run)

    return await retrying(attempt)


async def request_exit(store: Store, run: Run, by: Operator, clock: Clock) -> bool:
    """End a run by an operator's order: from here on the gate lets none of its messages begin. False if it has ended already."""
    async with store.write() as session:
        await lock(session, [run.person_id])
        current = (await session.exec(select(Run).where(Run.id == run.id))).first()
        if current is None or current.ended_at is not None:
            return False
        session.add(by.did("exit", run_id=current.id, person_id=current.person_id))
        await _add(session, current, "exit", EXIT, {"actor": by.actor, "reason": by.reason}, clock)
    return True


async def hold(session: AsyncSession, run: Run, by: Operator, clock: Clock) -> None:
    """Let none of a run's messages begin, not even at a further attempt, from the commit of the caller's transaction on.

    Its workflow is told of the pause by an order of its own; this is the gate's word of it, which no router has to bring.
    """
    await lock(session, [run.person_id])
    current = (await session.exec(select(Run).where(Run.id == run.id, col(Run.ended_at).is_(None)))).first()
    if current is not None:
        await _add(session, current, "pause", PAUSE, {"actor": by.actor, "reason": by.reason, "wholly": True}, clock, "routed")
        await session.exec(set_paused, params={"run": run.id, "now_paused": True})


async def let_go(session: AsyncSession, run: Run) -> None:
    """Let a run's messages begin again, but for a pause that its workflow has yet to be told of."""
    unheard = (await session.exec(unheard_pause, params={"run": run.id})).first()
    await session.exec(set_paused, params={"run": run.id, "now_paused": unheard is not None})


async def _earlier(session: AsyncSession, idempotency_key: str) -> Run | None:
    return (await session.exec(select(Run).where(Run.idempotency_key == idempotency_key))).first()


async def _add(
    session: AsyncSession, run: Run, kind: str, name: str, data: Mapping[str, Any], clock: Clock, status: str = "pending"
) -> int:
    """Add an event that concerns this run only, and return its place in the order of acceptance."""
    event = AcceptedEvent(
        person_id=run.person_id,
        message_id=f"{kind}/{uuid4().hex}",
        kind=kind,
        name=name,
        data=dict(data),
        occurred_at=clock.at,
        accepted_at=clock.at,
        clock_offset=clock.offset,
        run_id=run.id,
        status=status,
    )
    session.add(event)
    await session.flush()
    await announce(await session.connection())
    assert event.id is not None
    return event.id


def _digest(*request: Any) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
