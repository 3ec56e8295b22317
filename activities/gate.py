"""The facts the gate's rules look at, read under the person's lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import String, bindparam
from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.occasion import zone_of
from settings import Settings
from store.many import among
from store.session import database_clock
from store.tables import AcceptedEvent, Consent, Delivery, Device, Person, Run
from workflows.definition import EVENTS, JOURNEYS
from workflows.rules import Facts
from workflows.run import Order
from workflows.wire import Dispatch

happened = and_(
    col(AcceptedEvent.kind) == "track",
    among(col(AcceptedEvent.name), "exits"),
    col(AcceptedEvent.status).in_(("pending", "routed")),
    or_(col(AcceptedEvent.run_id).is_(None), col(AcceptedEvent.run_id) == Run.id),
)
ordered = and_(col(AcceptedEvent.kind) == "exit", col(AcceptedEvent.run_id) == Run.id)
exits = select(AcceptedEvent).where(
    AcceptedEvent.person_id == Run.person_id,
    col(AcceptedEvent.id) > func.coalesce(Run.trigger_id, 0),
    or_(ordered, happened),
)
said = (
    select(Consent.granted)
    .where(
        Consent.person_id == Run.person_id,
        Consent.topic == bindparam("topic"),
        col(Consent.channel).in_((bindparam("channel", type_=String()), "*")),
    )
    .order_by(col(Consent.id).desc())
    .limit(1)
)
all_at_once: Any = (
    sqlalchemy.select(  # SQLModel's own takes four things at most
        Run,
        Person,
        Delivery,
        exits.correlate(Run).exists(),
        said.correlate(Run).scalar_subquery(),
        database_clock(),
    )
    .join(Person, col(Person.id) == Run.person_id)
    .outerjoin(Delivery, col(Delivery.key) == bindparam("message"))
    .where(col(Run.id) == bindparam("run"))
)
exit_events = exits.where(Run.id == bindparam("run")).order_by(col(AcceptedEvent.id))
tokens = select(Device.token).where(Device.person_id == bindparam("person")).order_by(Device.token)


@dataclass(frozen=True)
class Case:
    """One message before the gate: its run, its person, where it would go, and its row in the ledger if it has one.

    `exited` says what ended the run, '' if it goes on; `clock` is the database's.
    """

    run: Run
    person: Person
    recipients: tuple[str, ...]
    row: Delivery | None
    exited: str
    opted_out: bool
    clock: datetime


async def look(session: AsyncSession, dispatch: Dispatch, journey: str) -> Case | None:
    """Read the case as it is now; None if the person was erased. The caller holds the person's lock."""
    leaving = {"run": dispatch.run_id, "exits": _exit_names(journey)}
    asked = {**leaving, "message": dispatch.key, "topic": dispatch.topic, "channel": dispatch.channel}
    found = (await session.exec(all_at_once, params=asked)).first()
    if found is None:
        return None
    run, person, row, left, granted, clock = found
    return Case(
        run,
        person,
        recipients=await _recipients(session, person, dispatch.channel),
        row=row,
        exited=_ended(run) or (await _exited(session, run, leaving) if left else ""),
        opted_out=granted is False,
        clock=clock,
    )


def facts(case: Case, dispatch: Dispatch, now: datetime, settings: Settings) -> Facts:
    """Say what the rules may look at."""
    return Facts(
        now=now,
        expires=dispatch.expires,
        zone=zone_of(case.person, settings),
        channel=dispatch.channel,
        topic=dispatch.topic,
        exited=case.exited,
        reachable=bool(case.recipients),
        opted_out=case.opted_out,
        policy=settings.policy,
    )


async def _recipients(session: AsyncSession, person: Person, channel: str) -> tuple[str, ...]:
    if channel == "push":
        return tuple((await session.exec(tokens, params={"person": person.id})).all())
    address = {"email": person.email, "sms": person.phone, "in_app": person.user_id}[channel]
    return (address,) if address else ()


def _exit_names(journey: str) -> list[str]:
    """Return the events that some version of a journey exits on."""
    return sorted({name for each in JOURNEYS.values() if each.name == journey for name in each.exit_names})


def _ended(run: Run) -> str:
    return (run.reason or f"the run is {run.status}") if run.ended_at is not None else ""


async def _exited(session: AsyncSession, run: Run, leaving: Mapping[str, Any]) -> str:
    """Say what ended the run, '' if it goes on. The event log knows before the run does."""
    for event in (await session.exec(exit_events, params=leaving)).all():
        if event.kind == "exit":
            return str(Order(event.data["actor"], event.data["reason"]))
        if _concerns(run, event):
            return event.name
    return ""


def _concerns(run: Run, event: AcceptedEvent) -> bool:
    definition, kind = JOURNEYS.get((run.journey, run.version)), EVENTS.get(event.name)
    if definition is None or kind is None or event.name not in definition.exit_names:
        return False
    return definition.concerns(kind, event.data, run.key)
