"""Keeping the rows of runs true to Temporal: what an operator ends, resets or deletes there is put right here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select
from temporalio.client import Client

from events.for_ever import for_ever
from events.histories import delete_execution
from events.operators import ASKED
from events.temporal import listed, look, seen, standing
from store.closing import conclude_messages, reopen_messages
from store.session import Store, lock
from store.tables import Operation, Run

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=20)
SETTLING = timedelta(seconds=5)  # younger runs may not be listed yet
ORPHANED = timedelta(minutes=1)  # workflows without a row are left alone before
CLOSING = timedelta(seconds=2)  # from the closing of a row to that of its workflow, with time to spare
IDS_AT_ONCE = 1000
ASKED_AT_ONCE = 20  # runs that do not say where they stand take their time

# What became of a run whose workflow was closed from outside, by Temporal's status.
ENDED = {
    "COMPLETED": ("completed", ""),
    "TERMINATED": ("terminated", "terminated in Temporal"),
    "CANCELED": ("cancelled", "cancelled in Temporal"),
    "FAILED": ("failed", "failed in Temporal"),
    "TIMED_OUT": ("failed", "timed out in Temporal"),
}
DELETED = ("terminated", "deleted in Temporal")


async def reconcile_for_ever(store: Store, client: Client, task_queue: str) -> None:
    """Put rows right again and again, so that none is wrong for a minute."""
    await for_ever("reconciling", lambda: _round(store, client, task_queue), EVERY)


async def _round(store: Store, client: Client, task_queue: str) -> None:
    await reconcile(store, client, task_queue)
    await settle_orders(store, client)


async def reconcile(store: Store, client: Client, task_queue: str) -> int:
    """Compare every open row with Temporal's open workflows, and put right those that differ. Returns how many.

    An open workflow without a row is nobody's: its person was erased while it was being started. It is ended and deleted.
    """
    running_there = f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"
    there = {each.run_id: each async for info in listed(client, running_there) if (each := seen(info)).run_id}
    now = datetime.now(UTC)
    async with store.read() as session:
        running = select(Run).where(col(Run.ended_at).is_(None), Run.status == "running", Run.requested_at < now - SETTLING)
        rows = (await session.exec(running)).all()
        others: list[Run] = []
        for some in _chunks(sorted(there.keys() - {run.id for run in rows})):
            others += (await session.exec(select(Run).where(col(Run.id).in_(some)))).all()
    ended = [run for run in others if run.ended_at is not None]
    if ended:  # most have only just closed their row, and close their workflow in a moment: what is still open then is not
        await asyncio.sleep(CLOSING.total_seconds())
    wrong = [*(run for run in rows if run.id not in there), *ended]
    for run in wrong:
        await put_right(store, client, run)
    known = {run.id for run in (*rows, *others)}
    nobodys = [each for each in there.values() if each.run_id not in known and each.started_at < now - ORPHANED]
    for each in nobodys:
        log.warning("run %s is open in Temporal and has no row: it is ended there, and deleted", each.run_id)
        await delete_execution(client, each.workflow_id, each.execution)
    return len(wrong) + len(nobodys)


async def settle_orders(store: Store, client: Client) -> None:
    """Have the rows of runs say whether they are paused, where an order to pause or resume was not answered in time."""
    unanswered = (col(Operation.details)["outcome"].as_string() == ASKED, col(Operation.action).in_(("pause", "resume")))
    async with store.read() as session:
        asked = select(Operation, Run).join(Run).where(*unanswered, col(Run.ended_at).is_(None)).order_by(col(Operation.id))
        found = (await session.exec(asked.limit(ASKED_AT_ONCE))).all()
    for order, run in found:
        if (said := await standing(client, run)) is None:
            continue  # it may still act
        async with store.write() as session:
            settled = update(Operation).where(col(Operation.id) == order.id, *unanswered).values(details={"outcome": "unknown"})
            if (await session.exec(settled)).rowcount:  # unless it was answered meanwhile
                await session.exec(update(Run).where(col(Run.id) == run.id).values(paused=said.paused is not None))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Split what a database takes only so much of in one statement."""
    return (ids[first : first + IDS_AT_ONCE] for first in range(0, len(ids), IDS_AT_ONCE))


async def put_right(store: Store, client: Client, run: Run) -> None:
    """Make the row of a run say what Temporal says of its workflow."""
    found = await look(client, run.workflow_id)
    if found is not None and found.run_id == run.id and found.is_open:
        if run.status == "merged":
            await client.get_workflow_handle(run.workflow_id).terminate(reason=run.reason)
        elif run.ended_at is not None:
            await _reopen(store, run)
        return
    status, reason = ENDED.get(found.status, DELETED) if found is not None and found.run_id == run.id else DELETED
    await end_row(store, run, status, reason, datetime.now(UTC))


async def end_row(store: Store, run: Run, status: str, reason: str, at: datetime) -> None:
    """End the row of a run that ends no more by itself, and conclude what it leaves unfinished."""
    async with store.write() as session:
        await lock(session, [run.person_id])
        end = update(Run).where(col(Run.id) == run.id, col(Run.ended_at).is_(None))
        if (await session.exec(end.values(status=status, reason=reason, ended_at=at, paused=False))).rowcount:
            await conclude_messages(await session.connection(), run.id, at)


async def _reopen(store: Store, run: Run) -> None:
    """A run that was reset in Temporal goes on; its row says so, unless the person has entered the journey anew."""
    async with store.write() as session:
        await lock(session, [run.person_id])
        same = (Run.person_id == run.person_id, Run.journey == run.journey, Run.key == run.key)
        if (await session.exec(select(Run.id).where(*same, col(Run.ended_at).is_(None)))).first() is None:
            again = update(Run).where(col(Run.id) == run.id, col(Run.ended_at).is_not(None))
            if (await session.exec(again.values(status="running", reason="reset in Temporal", ended_at=None))).rowcount:
                await reopen_messages(await session.connection(), run.id)
