"""What becomes of the messages of a run that is over: none is left as if it could still be sent."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, and_, bindparam, case, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from store.tables import Delivery, Run

UNFINISHED = ("deferred", "retrying", "intent")
CUT_SHORT = "unknown: the run ended in the middle of an attempt, which may have arrived"
REOPENED = "the run was reset in Temporal"

messages = Delivery.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]

why_it_ended = (
    select(func.coalesce(func.nullif(runs.c.reason, ""), literal("the run is ") + runs.c.status))
    .where(runs.c.id == messages.c.run_id)
    .scalar_subquery()
)
in_doubt = or_(messages.c.status == "intent", messages.c.doubted)
is_held = messages.c.status == "held"  # for an operator, whose word on it does not depend on the run
conclude = (
    update(messages)
    .where(messages.c.run_id == bindparam("run"), messages.c.status.in_((*UNFINISHED, "held")))
    .values(
        status=case((is_held, "held"), (in_doubt, "unknown"), else_="exited"),
        reason=case((is_held, messages.c.reason), (in_doubt, CUT_SHORT), else_=why_it_ended),
        retry_at=None,
        at=bindparam("now", type_=messages.c.at.type),
        saw={},
    )
)
reopen = (
    update(messages)
    .where(messages.c.run_id == bindparam("run"), messages.c.status == "exited")
    .values(status="retrying", reason=REOPENED)
)

# An attempt that was under way when its run ended has kept its lease: how it ends is told once more.
is_holders = and_(
    messages.c.key == bindparam("message"),
    messages.c.attempts == bindparam("attempt"),
    messages.c.status == "unknown",
    messages.c.leased_until.is_not(None),
)
told = bindparam("status", type_=String())
would_be_tried_again = told == "retrying"
end_late = (
    update(messages)
    .where(is_holders)
    .values(
        status=case((~would_be_tried_again, told), (messages.c.doubted, "unknown"), else_="exited"),
        reason=case(
            (~would_be_tried_again, bindparam("reason", type_=String())), (messages.c.doubted, CUT_SHORT), else_=why_it_ended
        ),
        leased_until=None,
    )
)


async def conclude_messages(connection: AsyncConnection, run_id: str, at: datetime) -> None:
    """Conclude what a run that has just been closed leaves unfinished, for the reason for which it ended.

    What may have arrived is `unknown`; an attempt that is still under way says later how it ended. The caller holds the
    person's lock, so that no other attempt begins meanwhile.
    """
    await connection.execute(conclude, {"run": run_id, "now": at})


async def reopen_messages(connection: AsyncConnection, run_id: str) -> None:
    """Have the gate asked again about what was not sent because its run was over: it is not over any more."""
    await connection.execute(reopen, {"run": run_id})


async def end_after_run(connection: AsyncConnection, key: str, attempt: int, status: str, reason: str) -> None:
    """Record how an attempt ended that was under way when its run was closed, if this is one."""
    await connection.execute(end_late, {"message": key, "attempt": attempt, "status": status, "reason": reason})
