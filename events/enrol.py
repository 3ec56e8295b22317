"""May this person enter this journey now? Decided in one place, under their lock, by a unique row."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.tables import Person, Run
from workflows.definition import EVENTS, Definition, refusal


@dataclass(frozen=True)
class Refused:
    """Nobody was enrolled, and why. `run_id` is the open run that stands in the way, if one does."""

    reason: str
    run_id: str | None = None


before = select(Run).where(
    Run.person_id == bindparam("person"), Run.journey == bindparam("journey"), col(Run.key) == bindparam("key")
)


async def enrol(
    session: AsyncSession,
    definition: Definition[Any],
    person: Person,
    trigger: str,
    data: dict[str, Any],
    at: datetime,
    trigger_id: int | None = None,
) -> Run | Refused:
    """Add the row of a new run that begins at `at`, or say why not. The caller holds the person's lock.

    An event, `trigger_id`, starts one run of a journey: asked again, this answers with that one, whatever became of it.

    A trigger that was accepted before the person's last run had ended begins the new one where that one ended.
    """
    key = definition.key_of(EVENTS[trigger], data)
    runs = (await session.exec(before, params={"person": person.id, "journey": definition.name, "key": key})).all()
    if (begun := next((run for run in runs if run.trigger_id == trigger_id is not None), None)) is not None:
        return begun
    if (open_run := next((run for run in runs if run.ended_at is None), None)) is not None:
        return Refused(f"is in {definition.name!r} already, in run {open_run.id}", open_run.id)
    last_ended = max((run.ended_at for run in runs if run.ended_at), default=None)
    begins = max(at, last_ended or at)
    if (reason := refusal(definition.again, last_ended, begins)) is not None:
        return Refused(reason)
    assert person.id is not None
    run = Run(
        id=new_run_id(),
        person_id=person.id,
        journey=definition.name,
        version=definition.version,
        key=key,
        workflow_id=workflow_id(definition.name, person.user_id, key),
        trigger_id=trigger_id,
        trigger=trigger,
        started_at=begins,
        requested_at=datetime.now(UTC),
    )
    session.add(run)
    return run


def workflow_id(journey: str, user_id: str, key: str) -> str:
    """Return the id of a run's workflow, `onboarding/user-42` or `reminder/user-42/appointment-7`: one for each that is open.

    A slash within a part is written %2F, so that no two people, or keys, share an id.
    """
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in (journey, user_id, key) if part)


def new_run_id() -> str:
    """Mint an id that sorts by time: 12 hex digits of milliseconds, 16 of chance."""
    return f"r_{time.time_ns() // 1_000_000:012x}{os.urandom(8).hex()}"
