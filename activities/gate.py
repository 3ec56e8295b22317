"""The facts the gate's rules look at, read under the person's lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy
from sqlalchemy import CompoundSelect, String, bindparam, literal, union_all
from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.whereabouts import country_of, zones_of
from settings import Settings
from store.hashing import hash_of
from store.many import among
from store.session import database_clock
from store.suppressions import name_at
from store.tables import AcceptedEvent, Assignment, Consent, Delivery, Device, Person, Run, Stop, Suppression
from workflows.definition import EVENTS, JOURNEYS
from workflows.policy import Policy
from workflows.rules import Facts, Past
from workflows.run import Order
from workflows.wire import Dispatch

happened = and_(
    col(AcceptedEvent.kind) == "track",
    among(col(AcceptedEvent.name), "exits"),
    col(AcceptedEvent.status).in_(("pending", "routed", "dead")),  # accepted, though our code may fail to route it
    or_(col(AcceptedEvent.run_id).is_(None), col(AcceptedEvent.run_id) == Run.id),
)
ordered = and_(col(AcceptedEvent.kind) == "exit", col(AcceptedEvent.run_id) == Run.id)
# A pause that has been ordered by an event which the run had not heard when it asked; once resumed, it is as if it had.
halted = and_(
    col(AcceptedEvent.kind) == "pause",
    col(AcceptedEvent.run_id) == Run.id,
    col(Run.paused),
    col(AcceptedEvent.id) > bindparam("obeyed"),
)
exits = select(AcceptedEvent).where(
    AcceptedEvent.person_id == Run.person_id,
    col(AcceptedEvent.id) > func.coalesce(Run.trigger_id, 0),
    or_(ordered, halted, happened),
)
said = (
    select(Consent.granted)
    .where(
        Consent.person_id == Run.person_id,
        col(Consent.topic).in_((bindparam("topic", type_=String()), "*")),
        col(Consent.channel).in_((bindparam("channel", type_=String()), "*")),
        col(Consent.pending).is_(False),
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

# What speaks against it, and is not the person's row: one statement, for it is asked of every message.
deliveries = Delivery.__table__  # type: ignore[attr-defined]
suppressions = Suppression.__table__  # type: ignore[attr-defined]
stops = Stop.__table__  # type: ignore[attr-defined]
assignments = Assignment.__table__  # type: ignore[attr-defined]
counted = or_(
    deliveries.c.status.in_(("sent", "intent", "unknown", "held")),
    and_(deliveries.c.doubted, deliveries.c.status.in_(("retrying", "deferred"))),  # an attempt may have arrived
    and_(deliveries.c.status == "suppressed", deliveries.c.reason == "holdout"),
)
against = sqlalchemy.select(
    literal("suppressed").label("what"), suppressions.c.cause, suppressions.c.channel, suppressions.c.at
).where(among(suppressions.c.address, "addresses"), suppressions.c.channel.in_((bindparam("channel", type_=String()), "*")))
thrown = sqlalchemy.select(literal("stop"), stops.c.scope, stops.c.name, stops.c.at).where(
    stops.c.released_at.is_(None),
    or_(
        stops.c.scope == "all",
        and_(stops.c.scope == "journey", stops.c.name == bindparam("journey")),
        and_(stops.c.scope == "channel", stops.c.name == bindparam("channel", type_=String())),
    ),
)
holdout_said = sqlalchemy.select(literal("holdout"), assignments.c.variant, assignments.c.experiment, assignments.c.at).where(
    assignments.c.person_id == bindparam("person"), assignments.c.experiment == bindparam("holdout")
)
had = sqlalchemy.select(literal("past"), deliveries.c.channel, deliveries.c.topic, deliveries.c.at).where(
    deliveries.c.person_id == bindparam("person"),
    deliveries.c.at > bindparam("since", type_=deliveries.c.at.type),
    deliveries.c.transactional.is_(False),
    deliveries.c.key != bindparam("message"),
    counted,
)
tokens = select(Device.token).where(Device.person_id == bindparam("person")).order_by(Device.token)


@dataclass(frozen=True)
class Case:
    """One message before the gate: its run, its person, where it would go, and its row in the ledger if it has one.

    `exited` says what ended the run, '' if it goes on; `paused` what holds it without its knowing, and `wholly`, what is
    transactional too; `granted` is the last word on
    consent, None if nothing was said; `clock` is the database's. `held_out` is what the holdout decided of them once, None if it
    has not been asked yet.
    """

    run: Run
    person: Person
    recipients: tuple[str, ...]
    row: Delivery | None
    exited: str
    granted: bool | None
    clock: datetime
    paused: str = ""
    wholly: bool = False
    suppressed: str = ""
    stopped: str = ""
    past: tuple[Past, ...] = ()
    held_out: bool | None = None


async def look(session: AsyncSession, dispatch: Dispatch, journey: str, policy: Policy, now: datetime) -> Case | None:
    """Read the case as it is now; None if the person was erased. The caller holds the locks to send to them."""
    leaving = {"run": dispatch.run_id, "exits": _exit_names(journey), "obeyed": dispatch.obeyed}
    asked = {**leaving, "message": dispatch.key, "topic": dispatch.topic, "channel": dispatch.channel}
    found = (await session.exec(all_at_once, params=asked)).first()
    if found is None:
        return None
    run, person, row, left, granted, clock = found
    exited, held, wholly = await _orders(session, run, leaving) if left else ("", "", False)
    case = Case(
        run,
        person,
        recipients=await _recipients(session, person, dispatch),
        row=row,
        exited=_ended(run) or exited,
        paused=held,
        wholly=wholly,
        granted=granted,
        clock=clock,
    )
    return await _with_concerns(session, case, dispatch, policy, now)


async def _with_concerns(session: AsyncSession, case: Case, dispatch: Dispatch, policy: Policy, now: datetime) -> Case:
    """Add what speaks against it beside the person's own words: suppressions, kill switches, what they have had, the holdout."""
    connection = await session.connection()
    capped = bool(policy.caps or case.person.fewer) and not dispatch.transactional
    asked = {
        "addresses": [hash_of(connection, name) for name in _names(case.person, dispatch.channel)],
        "channel": dispatch.channel,
        "journey": case.run.journey,
        "person": case.run.person_id,
        "holdout": holdout_of(policy),
        "since": now - policy.looks_back,
        "message": dispatch.key,
    }
    rows = (await connection.execute(concerns(held=policy.holdout is not None, capped=capped), asked)).all()
    found = {what: [each for each in rows if each[0] == what] for what in ("suppressed", "stop", "holdout", "past")}
    return replace(
        case,
        suppressed=next((cause for _, cause, _, _ in found["suppressed"]), ""),
        stopped=next((f"{scope} {name}".strip() for _, scope, name, _ in found["stop"]), ""),
        past=tuple(Past(at, channel, topic) for _, channel, topic, at in found["past"]),
        held_out=next((variant == "held_out" for _, variant, _, _ in found["holdout"]), None),
    )


@cache
def concerns(*, held: bool, capped: bool) -> CompoundSelect[Any]:
    """Return the statement that asks for what may speak against a message, with a holdout to ask for or caps that count."""
    return union_all(against, thrown, *((holdout_said,) if held else ()), *((had,) if capped else ()))


def holdout_of(policy: Policy) -> str:
    """Return the name under which it is kept who is held out, as of an experiment; '' without a holdout."""
    return f"holdout/{policy.holdout.name}" if policy.holdout is not None else ""


def facts(case: Case, dispatch: Dispatch, now: datetime, settings: Settings, policy: Policy) -> Facts:
    """Say what the rules may look at."""
    person, channel = case.person, dispatch.channel
    return Facts(
        now=now,
        expires=dispatch.expires,
        zones=zones_of(person, channel, settings),
        channel=channel,
        topic=dispatch.topic,
        policy=policy,
        person=person.user_id,
        country=country_of(person, channel),
        transactional=dispatch.transactional,
        waits=dispatch.waits,
        exited=case.exited,
        run_paused=case.paused,
        paused_wholly=case.wholly,
        suppressed=case.suppressed,
        reachable=bool(case.recipients),
        granted=case.granted,
        paused_until=person.paused_until,
        stopped=case.stopped,
        fewer=person.fewer,
        past=case.past,
        held_out=policy.holdout is not None
        and (policy.holdout.includes(person.user_id) if case.held_out is None else case.held_out),
    )


def _names(person: Person, channel: str) -> list[str]:
    """Return the names by which a suppression may know the person, or their address on that channel."""
    address = {"email": person.email, "sms": person.phone}.get(channel)
    return [person.user_id, *((name_at(channel, address),) if address else ())]


async def _recipients(session: AsyncSession, person: Person, dispatch: Dispatch) -> tuple[str, ...]:
    if dispatch.channel == "push":
        return tuple((await session.exec(tokens, params={"person": person.id})).all())
    known = {"email": person.email, "sms": person.phone, "in_app": person.user_id, "webhook": dispatch.endpoint}
    address = known[dispatch.channel]
    return (address,) if address else ()


def _exit_names(journey: str) -> list[str]:
    """Return the events that some version of a journey exits on."""
    return sorted({name for each in JOURNEYS.values() if each.name == journey for name in each.exit_names})


def _ended(run: Run) -> str:
    return (run.reason or f"the run is {run.status}") if run.ended_at is not None else ""


async def _orders(session: AsyncSession, run: Run, leaving: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Say what ended the run, and what holds it, '' for what does not, and whether wholly. The event log knows before the run."""
    held, wholly = "", False
    for event in (await session.exec(exit_events, params=leaving)).all():
        match event.kind:
            case "exit":
                return str(Order(event.data["actor"], event.data["reason"])), held, wholly
            case "pause":
                held = str(Order(event.data["actor"], event.data["reason"]))
                wholly = wholly or bool(event.data.get("wholly"))
            case _ if _concerns(run, event):
                return event.name, held, wholly
    return "", held, wholly


def _concerns(run: Run, event: AcceptedEvent) -> bool:
    definition, kind = JOURNEYS.get((run.journey, run.version)), EVENTS.get(event.name)
    if definition is None or kind is None or event.name not in definition.exit_names:
        return False
    return definition.concerns(kind, event.data, run.key)
