"""Events that acted on nothing are judged again, against the classes of today."""

from __future__ import annotations

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from events.calls import judge
from events.operators import Operator
from store.session import announce, lock
from store.tables import AcceptedEvent, Person

REPLAYED = ("invalid", "unknown", "dead")


async def replay(session: AsyncSession, event_id: int, by: Operator) -> str:
    """Have an event routed (again) if it fits today; return why it does not, or ''.

    It acts as the event it was, in its place: a run that began after it does not hear of it. Who had it done is in the audit log.
    """
    event = await session.get(AcceptedEvent, event_id)
    assert event is not None
    await lock(session, [event.person_id])
    await session.refresh(event)
    person = await session.get(Person, event.person_id)
    if person is None or person.erased_at is not None:
        return "its person was erased"
    if reason := unfit(event):
        return reason
    again = update(AcceptedEvent).where(col(AcceptedEvent.id) == event_id)
    # What the router gave up has counted in segments ever since; the others are judged as they come.
    await session.exec(again.values(status="pending", attempts=0, error="", noted=event.status == "dead"))
    session.add(by.did("replay", person_id=event.person_id, subject=event.message_id))
    await announce(await session.connection())
    return ""


def unfit(event: AcceptedEvent) -> str:
    """Say why an event is not to be routed (again), or ''."""
    if event.status not in REPLAYED:
        return f"it is {event.status}; only {', '.join(REPLAYED)} events are judged again"
    if event.kind in ("track", "run"):
        return judge(event.name, event.data)[1]
    return "" if event.status == "dead" else event.error
