"""The ledger's rows: what they become, and what they mean to a run that asks again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, bindparam, case, func, or_, update
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.closing import end_after_run
from store.orders import release
from store.session import lock
from store.tables import Delivery, Run
from workflows.definition import RELEASE
from workflows.rules import Verdict
from workflows.run import Receipt
from workflows.wire import Dispatch

LEASE = timedelta(seconds=45)  # longer than an attempt may take, 30 s
LATE_RULES = ("expired", "frequency_cap", "quiet_hours", "holdout")  # what they refuse would otherwise have been sent
SUPPRESSING = ("suppressed", "no_address", "no_consent", "paused", *LATE_RULES)

RECEIPTS = {
    "sent": "sent",
    "suppressed": "suppressed",
    "exited": "exited",
    "failed": "failed",
    "unknown": "failed",
}


messages = Delivery.__table__  # type: ignore[attr-defined]
ended = (
    update(messages)
    .where(messages.c.key == bindparam("message"))
    .values(
        status=bindparam("status"),
        reason=bindparam("reason"),
        provider_id=bindparam("provider_id"),
        leased_until=None,
        retry_at=bindparam("retry_at"),
    )
)
doubted = or_(messages.c.doubted, bindparam("doubted", type_=Boolean()))
by_holder = (messages.c.attempts == bindparam("attempt"), messages.c.status == "intent")
since = func.coalesce(messages.c.doubted_at, messages.c.begun_at)
ended_by_holder = ended.where(*by_holder).values(doubted=doubted, doubted_at=case((doubted, since), else_=None))
doubted_by_holder = (
    update(messages).where(messages.c.key == bindparam("message"), *by_holder).values(doubted=True, doubted_at=since)
)


def new_row(dispatch: Dispatch, run: Run, now: datetime) -> Delivery:
    """Return the row of a message that has none yet."""
    return Delivery(
        key=dispatch.key,
        run_id=run.id,
        person_id=run.person_id,
        journey=run.journey,
        step=dispatch.step,
        channel=dispatch.channel,
        template=dispatch.template,
        topic=dispatch.topic,
        status="intent",
        at=now,
        experiment=dispatch.experiment,
        variant=dispatch.variant or None,
        transactional=dispatch.transactional,
    )


def answered(row: Delivery) -> Receipt | None:
    """Return what has been decided for good, as it was answered when it was; None if nothing has."""
    if row.status not in RECEIPTS:
        return None
    if row.status == "unknown" and row.reason in SUPPRESSING:
        return Receipt("suppressed", row.reason)
    return Receipt(RECEIPTS[row.status], row.reason)  # type: ignore[arg-type]


def refuse(row: Delivery, verdict: Verdict, now: datetime, *, in_doubt: bool) -> Receipt:
    """Record a refusal, or that the gate wants to be asked again; `in_doubt` if an earlier attempt may have arrived."""
    assert verdict.status != "send"
    final = verdict.status != "deferred"
    row.status = "unknown" if in_doubt and final else verdict.status
    row.reason, row.retry_at, row.leased_until, row.at = verdict.reason, verdict.retry_at, None, now
    row.saw = dict(verdict.saw)
    if verdict.status == "suppressed" and verdict.reason in LATE_RULES:
        expose(row, now)
    return Receipt(verdict.status, verdict.reason, verdict.retry_at)


def conclude(row: Delivery, status: str, reason: str, now: datetime) -> Receipt:
    """Record what cannot be sent, or has been."""
    row.status, row.reason, row.retry_at, row.leased_until, row.at, row.saw = status, reason, None, None, now, {}
    return Receipt(RECEIPTS[status], reason)  # type: ignore[arg-type]


def expose(row: Delivery, now: datetime) -> None:
    """Record that this person has come to where their variant makes a difference."""
    if row.experiment is not None:
        row.exposed_at = row.exposed_at or now


def begin(row: Delivery, now: datetime, clock: datetime, to: str) -> None:
    """Record the intent to send, leased by the database's clock to one attempt. `to` is a keyed hash of where to."""
    row.status, row.reason, row.retry_at, row.at, row.saw = "intent", "", None, now, {}
    row.attempts += 1
    row.begun_at, row.sent_to = clock, to
    row.leased_until = clock + LEASE


async def end(
    session: AsyncSession,
    key: str,
    attempt: int,
    status: str,
    reason: str = "",
    *,
    provider_id: str | None = None,
    doubted: bool = False,
    retry_at: datetime | None = None,
) -> Receipt | None:
    """Record how an attempt ended, `doubted` if nobody knows. Returns what is decided for good by now, None if nothing is.

    That it was sent holds whatever came between; the rest only while the attempt has the lease.
    """
    how = {"message": key, "status": status, "reason": reason, "provider_id": provider_id, "retry_at": retry_at}
    found = await session.exec(ended_by_holder, params={**how, "attempt": attempt, "doubted": doubted})
    if status == "sent":
        if not found.rowcount:
            await _sent_after_all(session, how)
        return Receipt("sent")
    if not found.rowcount:
        await end_after_run(await session.connection(), key, attempt, status, reason)
    row = (await session.exec(select(Delivery).where(Delivery.key == key))).first()
    return None if row is None else answered(row)


async def _sent_after_all(session: AsyncSession, how: Mapping[str, Any]) -> None:
    """Record that an attempt succeeded whose lease was over, whatever was decided by then; a run that waits for it hears of it."""
    mine = select(Delivery).where(Delivery.key == how["message"])
    if (row := (await session.exec(mine)).first()) is None:
        return
    await lock(session, [row.person_id])
    row = (await session.exec(mine.with_for_update().execution_options(populate_existing=True))).first()
    await session.exec(ended, params=how)
    if row is not None and row.status == "held" and row.retry_at is not None:
        await release(await session.connection(), row, RELEASE, row.at)


async def doubt(session: AsyncSession, key: str, attempt: int) -> None:
    """Record that nobody knows how an attempt ended. It keeps its lease: what the provider has taken may show a little later."""
    await session.exec(doubted_by_holder, params={"message": key, "attempt": attempt})
