"""An event that an error of ours stops: it is tried again in a moment, then less and less often, and at last it is dead."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, bindparam, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from events.lease import rest
from store.tables import AcceptedEvent, Run

log = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=0.2)  # the next ones double it
DIED = "its event is dead: "  # begins the reason of a run that failed before it had begun

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]

# No column that may be unreadable.
known = select(events.c.id, events.c.person_id, events.c.name, events.c.status, events.c.attempts)
that_one = known.where(events.c.id == bindparam("event"))
first_of_theirs = (
    known.where(events.c.person_id == bindparam("person"), or_(events.c.status == "pending", events.c.reconsider.is_not(None)))
    .order_by(events.c.id)
    .limit(1)
)
failed_once_more = (
    update(events)
    .where(events.c.id == bindparam("event"))
    .values(attempts=bindparam("times"), error=bindparam("why"), status=bindparam("now"))
)
is_reconsidered_no_more = update(events).where(events.c.id == bindparam("event")).values(reconsider=None)
never_begin = (
    update(runs)
    .where(runs.c.person_id == bindparam("person"), runs.c.trigger_id == bindparam("event"), runs.c.status == "starting")
    .values(status="failed", reason=bindparam("why"), ended_at=runs.c.started_at)
)


async def count(session: AsyncSession, event_id: int, error: str, by: str, most: int) -> None:
    """Count one more failed attempt at an event, and let its person rest. The last of `most` is its death, and its runs' end."""
    await _count(session, that_one, {"event": event_id}, error, by, most)


async def count_first(session: AsyncSession, person_id: int, error: str, by: str, most: int) -> None:
    """Count a failed attempt at the first event that waits of a person."""
    await _count(session, first_of_theirs, {"person": person_id}, error, by, most)


async def _count(session: AsyncSession, which: Select[Any], params: dict[str, int], error: str, by: str, most: int) -> None:
    event = (await (await session.connection()).execute(which, params)).first()
    if event is None:
        return
    times = event.attempts + 1
    dead = times >= most
    status = "dead" if dead else event.status
    await session.exec(failed_once_more, params={"event": event.id, "times": times, "why": error, "now": status})
    if dead:
        log.error("event %s (%s) is dead after %s attempts: %s", event.id, event.name, times, error)
        await session.exec(is_reconsidered_no_more, params={"event": event.id})
        await session.exec(never_begin, params={"person": event.person_id, "event": event.id, "why": f"{DIED}{error}"})
    await rest(session, event.person_id, by, timedelta() if dead else FIRST_RETRY * 2**event.attempts)
