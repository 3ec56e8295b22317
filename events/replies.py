"""Replies: whoever answers a message is answered by a person, and by no journey meanwhile."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import uuid4

from sqlalchemy import case, false, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.accept import retrying
from events.addresses import email_of, phone_of
from events.calls import Clock
from events.named import named
from events.operators import Operator
from events.outcomes import IN_DOUBT, Outcome, message_id, take_in
from events.wire import fit
from settings import Settings
from store.session import Store, database_clock
from store.tables import AcceptedEvent, Delivery, Notice, Person, Run
from workflows.definition import JOURNEYS, PAUSE
from workflows.marketing import is_marketing
from workflows.traits import Misfit

log = logging.getLogger(__name__)

REPLIED = "message.replied"  # what the team's endpoint is told, by type
BY = "sojourn"  # who pauses a run
LONGEST = 4000  # characters of a reply that are told

now = select(database_clock())
may_have_arrived = col(Delivery.status).in_(("sent", *IN_DOUBT))
surest_first = (case((col(Delivery.status) == "sent", 0), else_=1), col(Delivery.at).desc(), col(Delivery.key).desc())


async def replied(
    store: Store,
    settings: Settings,
    channel: str,
    address: str,
    text: str,
    id: str,
    at: datetime,
    *,
    in_reply_to: str = "",
    clock: Clock | None = None,
) -> Delivery | None:
    """Take in what somebody with that address answered, once: to `in_reply_to`, else to the last message sent to them there.

    From then on no message of their marketing runs begins but what is transactional, until somebody resumes them, and the team
    is to be told, if it has an endpoint. Returns the message; None if we have sent them none.
    """

    async def attempt() -> Delivery | None:
        async with store.write() as session:
            row = await _meant(session, channel, address, in_reply_to)
            if row is None:
                return None
            outcome = Outcome("replied", id, at, key=row.key)

            async def first(session: AsyncSession, row: Delivery, clock: Clock) -> None:
                paused = await _pause(session, row, clock)
                if settings.team_endpoint is not None:
                    session.add(await _notice(session, outcome, row, paused, text, clock))

            return await take_in(session, outcome, clock, first)

    row = await retrying(attempt)
    if row is None:
        log.info("a reply by %s answers no message of ours, and is left out", channel)
    elif settings.team_endpoint is None:
        _complain_that_nobody_hears()
    return row


async def _meant(session: AsyncSession, channel: str, address: str, in_reply_to: str) -> Delivery | None:
    """Return the message that is answered: the one that is named, or else the last that may have reached that address."""
    if in_reply_to and (meant := await named(session, channel, in_reply_to)) is not None:
        return meant
    theirs = select(Delivery).join(Person, col(Person.id) == Delivery.person_id).where(_has(channel, address))
    last = theirs.where(Delivery.channel == channel, may_have_arrived).order_by(*surest_first).limit(1)
    return (await session.exec(last)).first()


def _has(channel: str, address: str) -> Any:
    """Return the condition that a person has that address on that channel, however it is written."""
    try:
        match channel:
            case "email":
                return func.lower(col(Person.email)) == func.lower(email_of(fit(address)))
            case "sms":
                return col(Person.phone) == phone_of(fit(address))
    except Misfit:
        return false()
    return col(Person.user_id) == fit(address)


async def _pause(session: AsyncSession, row: Delivery, clock: Clock) -> list[str]:
    """Order the person's marketing runs to pause, by events that come before the reply's own; return which runs."""
    open_runs = select(Run).where(Run.person_id == row.person_id, col(Run.ended_at).is_(None)).order_by(Run.id)
    runs = [run for run in (await session.exec(open_runs)).all() if _markets(run)]
    by = Operator(BY, f"replied to {row.channel} {row.template}", "", clock.at)
    for run in runs:
        session.add(_order(run, by, clock))
        session.add(by.did("pause", run_id=run.id, person_id=run.person_id))
    await session.exec(update(Run).where(col(Run.id).in_([run.id for run in runs])).values(paused=True))
    await session.flush()
    return [run.id for run in runs]


def _markets(run: Run) -> bool:
    """Say whether a run's journey is marketing. One that is not in the code may be."""
    definition = JOURNEYS.get((run.journey, run.version))
    return definition is None or is_marketing(definition)


def _order(run: Run, by: Operator, clock: Clock) -> AcceptedEvent:
    return AcceptedEvent(
        person_id=run.person_id,
        message_id=f"pause/{uuid4().hex}",
        kind="pause",
        name=PAUSE,
        data={"actor": by.actor, "reason": by.reason},
        occurred_at=clock.at,
        accepted_at=clock.at,
        clock_offset=clock.offset,
        run_id=run.id,
    )


async def _notice(session: AsyncSession, outcome: Outcome, row: Delivery, paused: Sequence[str], text: str, clock: Clock) -> Notice:
    """Return what the team is to be told. Whose reply it is, is the row's own, for they may turn out to be somebody we know."""
    about = {"message": row.key, "run": row.run_id, "journey": row.journey, "template": row.template, "channel": row.channel}
    return Notice(
        key=f"msg_{hashlib.sha256(message_id(outcome).encode()).hexdigest()[:32]}",
        person_id=row.person_id,
        kind=REPLIED,
        data={**about, "paused": list(paused), "text": fit(text)[:LONGEST]},
        at=clock.at,
        due_at=(await session.exec(now)).one(),
    )


@cache
def _complain_that_nobody_hears() -> None:
    """Say so once: runs wait for somebody who is not told."""
    log.warning("people reply, and nobody of the team is told: set SOJOURN_TEAM_ENDPOINT to one of SOJOURN_ENDPOINTS")
