"""An operator, and the record of what they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from store.tables import Operation, Run

operations = Operation.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]

ASKED = "asked"  # of an order that the run has not answered yet: it may still act


@dataclass(frozen=True)
class Operator:
    """Who does something, why, by which key, and when."""

    actor: str
    reason: str
    key_name: str
    at: datetime

    def did(
        self,
        action: str,
        *,
        run_id: str | None = None,
        person_id: int | None = None,
        subject: str = "",
        step: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Operation:
        """Return the record of it, for the audit log."""
        return Operation(
            run_id=run_id,
            person_id=person_id,
            action=action,
            subject=subject,
            actor=self.actor,
            reason=self.reason,
            step=step,
            key_name=self.key_name,
            details=dict(details or {}),
            at=self.at,
        )


async def record(connection: AsyncConnection, done: Operation) -> None:
    """Add a record of what was done to a run, under the person whose it is now, in the caller's transaction."""
    theirs = select(runs.c.person_id).where(runs.c.id == done.run_id).scalar_subquery()
    await connection.execute(insert(operations).values({**done.model_dump(exclude={"id"}), "person_id": theirs}))
