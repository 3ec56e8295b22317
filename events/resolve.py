"""What an operator says became of a message that is in doubt, and waking the run that waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sqlmodel import col, select

from events.calls import Clock
from events.operators import Operator
from store.orders import release
from store.session import Store, lock
from store.tables import Delivery, Run
from workflows.definition import RELEASE

Fate = Literal["sent", "drop", "resend"]
FATES: tuple[Fate, ...] = get_args(Fate)
IN_DOUBT = ("held", "unknown")


@dataclass(frozen=True)
class Settled:
    """Why a message cannot be resolved like that (any more)."""

    why: str


async def resolve(store: Store, key: str, fate: Fate, by: Operator, clock: Clock) -> Delivery | Settled | None:
    """Let it hold that a message in doubt was sent, is given up, or is to be sent again through the gate; None if there is none.

    The run that waits for it hears of it at once. Of a message that was given up it can only be recorded that it was sent.
    """
    async with store.read() as session:
        known = await session.get(Delivery, key.replace("\0", ""))
    if known is None:
        return None
    async with store.write() as session:
        await lock(session, [known.person_id])
        found = select(Delivery, Run).join(Run, col(Run.id) == Delivery.run_id).where(Delivery.key == known.key).with_for_update()
        row, run = (await session.exec(found)).first() or (None, None)
        if row is None or run is None:
            return None
        if why := _objection(row, run, fate):
            return Settled(why)
        was, waits = row.status, row.retry_at
        _become(row, fate, by)
        session.add(row)
        details = {"as": fate, "was": was}
        session.add(by.did("resolve", run_id=run.id, person_id=run.person_id, step=row.step, subject=key, details=details))
        if waits is not None and run.ended_at is None:
            await release(await session.connection(), row, RELEASE, clock.at, clock.offset)
    return row


def _objection(row: Delivery, run: Run, fate: Fate) -> str:
    """Say what speaks against it; '' if nothing does."""
    if row.status not in IN_DOUBT:
        return f"message {row.key} is not in doubt: it is {row.status}"
    if row.status == "unknown" and fate != "sent":
        return f"message {row.key} was given up already; it can only be recorded that it was sent"
    if fate == "resend" and (run.ended_at is not None or row.retry_at is None):
        return f"the run no longer waits for message {row.key}, and sends it no more; say sent or drop"
    return ""


def _become(row: Delivery, fate: Fate, by: Operator) -> None:
    row.retry_at, row.leased_until = None, None
    match fate:
        case "sent":
            row.status, row.reason = "sent", ""
        case "drop":
            row.status, row.reason = "unknown", f"unknown: given up by {by.actor}: {by.reason}"
        case "resend":
            row.doubted_at = None  # whether it arrives twice has been decided
            row.status, row.reason = "retrying", f"to be sent again, by {by.actor}: {by.reason}"
