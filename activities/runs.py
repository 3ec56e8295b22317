"""What a run asks of the store beside sending: a variant for its person, and to be closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.ledger import answered, conclude, new_row
from store.closing import CUT_SHORT, conclude_messages
from store.many import among
from store.session import Store, announce
from store.tables import AcceptedEvent, Assignment, Delivery, Person, Run
from workflows.experiment import variant
from workflows.run import Receipt
from workflows.wire import ASSIGN, CLOSE, CONCLUDE, Assignation, Closing, Conclusion

runs = Run.__table__  # type: ignore[attr-defined]
events = AcceptedEvent.__table__  # type: ignore[attr-defined]

LOOKS = 3

# Reads, and takes the lock of, the person whose run it is.
owner = (
    select(Run.person_id, Person.user_id, Run.journey)
    .join(Person, col(Person.id) == Run.person_id)
    .where(Run.id == bindparam("run"))
    .with_for_update(of=Person)
)
close = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.ended_at.is_(None))
    .values(status=bindparam("how"), reason=bindparam("why"), ended_at=bindparam("at"), paused=False)
)
begun = select(runs.c.trigger_id).where(
    runs.c.person_id == bindparam("person"), runs.c.journey == bindparam("into"), runs.c.trigger_id.is_not(None)
)
consider_again = (  # beside the journeys that it is to be reconsidered for already
    update(events)
    .where(among(events.c.id, "late"), events.c.id.not_in(begun), events.c.starts)
    .values(reconsider=func.coalesce(events.c.reconsider + " ", "") + bindparam("into"))
)


@dataclass(frozen=True)
class Runs:
    """The rows of runs, as the runs themselves change them."""

    store: Store

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.close_run, self.conclude_message, self.assign_variant]

    @activity.defn(name=CLOSE)
    async def close_run(self, closing: Closing) -> None:
        """Close a run's row, once, conclude what it leaves unfinished, and have the triggers that came too late for it, and
        began no run yet, considered again.
        """
        async with self.store.write() as session:
            found = await _owner(session, closing.run_id)
            if found is None:
                return
            over = {"run": closing.run_id, "how": closing.status, "why": closing.reason, "at": closing.at}
            if (await session.exec(close, params=over)).rowcount:
                await conclude_messages(await session.connection(), closing.run_id, closing.at)
            # A run closes twice if an event reaches it in between: what that one brought is handed back too.
            if closing.reconsider:
                person_id, _, journey = found
                await session.exec(consider_again, params={"late": closing.reconsider, "person": person_id, "into": journey})
                await announce(await session.connection())

    @activity.defn(name=CONCLUDE)
    async def conclude_message(self, what: Conclusion) -> Receipt:
        """Record what became of a message without its gate, and return what holds: what the ledger had decided for good stands.

        An attempt that was begun and has not ended may have arrived, whatever the run knows.
        """
        dispatch, receipt = what.dispatch, what.receipt
        async with self.store.write() as session:
            if await _owner(session, dispatch.run_id) is None:
                return receipt
            run = await session.get_one(Run, dispatch.run_id)
            row = await session.get(Delivery, dispatch.key) or new_row(dispatch, run, what.at)
            if (holds := answered(row)) is not None:
                return replace(holds, message=dispatch.key)
            lease = row.leased_until
            if row.doubted or lease is not None:
                receipt = conclude(row, "unknown", CUT_SHORT, what.at)
                row.leased_until = lease  # its attempt, if it lives, says how it ended
            else:
                receipt = conclude(row, receipt.status, receipt.reason, what.at)
            session.add(row)
        return replace(receipt, message=dispatch.key)

    @activity.defn(name=ASSIGN)
    async def assign_variant(self, asked: Assignation) -> str:
        """Return the person's variant: the one they have, or, if they have none or it is no longer offered, one by weight."""
        async with self.store.write() as session:
            found = await _owner(session, asked.run_id)
            if found is None:
                raise ApplicationError(f"there is no run {asked.run_id}", type="NoRun", non_retryable=True)
            person_id, user_id, _ = found
            kept = await session.get(Assignment, (person_id, asked.experiment))
            if kept is not None and kept.variant in asked.weights:
                return kept.variant
            chosen = variant(asked.experiment, asked.weights, user_id)
            await session.merge(Assignment(person_id=person_id, experiment=asked.experiment, variant=chosen, at=asked.at))
            return chosen


async def _owner(session: AsyncSession, run_id: str) -> tuple[int, str, str] | None:
    """Return whose run it is, locked, by their row and id, and its journey; None if there is no such run.

    A run whose person was merged while we waited for them is another's in a statement that begins afterwards.
    """
    for _ in range(LOOKS):
        if (found := (await session.exec(owner, params={"run": run_id})).first()) is not None:
            return found
    return None
