"""Orders to one run, which reach it as its person's events do."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from store.session import announce
from store.tables import AcceptedEvent, Delivery

events = AcceptedEvent.__table__  # type: ignore[attr-defined]


async def release(connection: AsyncConnection, row: Delivery, name: str, at: datetime, offset: float = 0.0) -> None:
    """Have the run ask again, now, about the message that it waits with. `name` is what such an order is called.

    In the caller's transaction, which has the person's lock. `at` and `offset` are of the clock by which it is accepted.
    """
    order = AcceptedEvent(
        person_id=row.person_id,
        message_id=f"release/{uuid4().hex}",
        kind="release",
        name=name,
        data={"step": row.step, "after": 0},
        occurred_at=at,
        accepted_at=at,
        clock_offset=offset,
        run_id=row.run_id,
    )
    await connection.execute(insert(events).values(order.model_dump(exclude={"id"})))
    await announce(connection)
