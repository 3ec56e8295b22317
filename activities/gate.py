"""The facts the gate's rules look at, read under the person's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import and_, col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.occasion import zone_of
from settings import Settings
from store.tables import AcceptedEvent, Consent, Delivery, Device, Person, Run
from workflows.definition import EVENTS, JOURNEYS
from workflows.rules import Facts
from workflows.run import Order
from workflows.wire import Dispatch


@dataclass(frozen=True)
class Case:
    """One message before the gate: its run, its person, where it would go, and its row in the ledger if it has one."""

    run: Run
    person: Person
    recipients: tuple[str, ...]
    row: Delivery | None


async def look(session: AsyncSession, dispatch: Dispatch) -> Case:
    """Read the case as it is now. The caller holds the person's lock."""
    wanted = select(Run, Person, Delivery).join(Person, col(Person.id) == Run.person_id)
    wanted = wanted.outerjoin(Delivery, col(Delivery.key) == dispatch.key).where(Run.id == dispatch.run_id)
    run, person, row = (await session.exec(wanted)).one()
    return Case(run, person, await _recipients(session, person, dispatch.channel), row)


async def facts(session: AsyncSession, case: Case, dispatch: Dispatch, now: datetime, settings: Settings) -> Facts:
    """Gather what the rules may look at. The caller holds the person's lock."""
    return Facts(
        now=now,
        expires=dispatch.expires,
        zone=zone_of(case.person, settings),
        channel=dispatch.channel,
        topic=dispatch.topic,
        exited=await _exited(session, case.run),
        erased=case.person.erased_at is not None,
        reachable=bool(case.recipients),
        opted_out=await _opted_out(session, case.person, dispatch),
        policy=settings.policy,
    )


async def _recipients(session: AsyncSession, person: Person, channel: str) -> tuple[str, ...]:
    if channel == "push":
        tokens = select(Device.token).where(Device.person_id == person.id).order_by(Device.token)
        return tuple((await session.exec(tokens)).all())
    address = {"email": person.email, "sms": person.phone, "in_app": person.user_id}[channel]
    return (address,) if address else ()


async def _exited(session: AsyncSession, run: Run) -> str:
    """Say what ended the run, '' if it goes on. The event log knows before the run does."""
    if run.ended_at is not None:
        return run.reason or f"the run is {run.status}"
    for event in await _exit_events(session, run):
        if event.kind == "exit":
            return str(Order(event.data["actor"], event.data["reason"]))
        if _concerns(run, event):
            return event.name
    return ""


async def _exit_events(session: AsyncSession, run: Run) -> Sequence[AcceptedEvent]:
    definition = JOURNEYS.get((run.journey, run.version))
    event = AcceptedEvent
    ordered = and_(event.kind == "exit", event.run_id == run.id)
    happened = and_(
        event.kind == "track",
        col(event.name).in_(definition.exit_names if definition else ()),
        col(event.status).in_(("pending", "routed")),
        or_(col(event.run_id).is_(None), event.run_id == run.id),
    )
    after_trigger = col(event.id) > (run.trigger_id or 0)
    mine = select(event).where(event.person_id == run.person_id, after_trigger, or_(ordered, happened))
    return (await session.exec(mine.order_by(col(event.id)))).all()


def _concerns(run: Run, event: AcceptedEvent) -> bool:
    definition, kind = JOURNEYS[run.journey, run.version], EVENTS.get(event.name)
    return kind is not None and definition.concerns(kind, event.data, run.key)


async def _opted_out(session: AsyncSession, person: Person, dispatch: Dispatch) -> bool:
    said = select(Consent.granted).where(
        Consent.person_id == person.id, Consent.topic == dispatch.topic, col(Consent.channel).in_((dispatch.channel, "*"))
    )
    return (await session.exec(said.order_by(col(Consent.id).desc()).limit(1))).first() is False
