"""What a run asks of the store beside sending: a variant for its person, and to be closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError

from store.session import Store, lock
from store.tables import AcceptedEvent, Assignment, Person, Run
from workflows.experiment import variant
from workflows.wire import ASSIGN, CLOSE, Assignation, Closing


@dataclass(frozen=True)
class Runs:
    """The rows of runs, as the runs themselves change them."""

    store: Store

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.close_run, self.assign_variant]

    @activity.defn(name=CLOSE)
    async def close_run(self, closing: Closing) -> None:
        """Close a run's row, once, and have the triggers that came too late for it, and began no run yet, considered again."""
        async with self.store.write() as session:
            person = await self._lock_person(session, closing.run_id)
            run = await session.get(Run, closing.run_id)
            if person is None or run is None:
                return
            if run.ended_at is None:
                run.status, run.reason, run.ended_at, run.paused = closing.status, closing.reason, closing.at, False
            # A run closes twice if an event reaches it in between: what that one brought is handed back too.
            late = update(AcceptedEvent).where(col(AcceptedEvent.id).in_(closing.reconsider))
            begun = select(Run.trigger_id).where(Run.person_id == run.person_id, Run.journey == run.journey)
            fresh = late.where(col(AcceptedEvent.id).not_in(begun.where(col(Run.trigger_id).is_not(None))))
            await session.exec(fresh.values(reconsider=run.journey))

    @activity.defn(name=ASSIGN)
    async def assign_variant(self, asked: Assignation) -> str:
        """Return the person's variant: the one they have, or, if they have none or it is no longer offered, one by weight."""
        async with self.store.write() as session:
            person = await self._lock_person(session, asked.run_id)
            if person is None or person.id is None:
                raise ApplicationError(f"there is no run {asked.run_id}", type="NoRun", non_retryable=True)
            kept = await session.get(Assignment, (person.id, asked.experiment))
            if kept is not None and kept.variant in asked.weights:
                return kept.variant
            chosen = variant(asked.experiment, asked.weights, person.user_id)
            await session.merge(Assignment(person_id=person.id, experiment=asked.experiment, variant=chosen, at=asked.at))
            return chosen

    async def _lock_person(self, session: AsyncSession, run_id: str) -> Person | None:
        """Take the lock of the person whose run it is; None if there is no such run."""
        owner = select(Person).join(Run, col(Run.person_id) == Person.id).where(Run.id == run_id)
        person = (await session.exec(owner)).first()
        if person is not None and person.id is not None:
            await lock(session, [person.id])
        return person
