"""Events that acted on nothing are judged again, against the classes of today."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, exists, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.calls import NO_OBJECT, judge, misfit
from events.operators import Operator
from events.profiles import keep, lock_by_name
from store.documents import as_stored, fields
from store.session import announce, lock
from store.tables import AcceptedEvent, Person, Run
from workflows.definition import EVENTS

runs = Run.__table__  # type: ignore[attr-defined]

open_run = runs.alias("open_run")
same_place = (open_run.c.person_id == runs.c.person_id, open_run.c.journey == runs.c.journey, open_run.c.key == runs.c.key)
begin_anew = (  # who never ran has ended when it began
    update(runs)
    .where(runs.c.person_id == bindparam("person"), runs.c.trigger_id == bindparam("event"), runs.c.status == "failed")
    .where(runs.c.ended_at == runs.c.started_at, ~exists().where(*same_place, open_run.c.ended_at.is_(None)))
    .values(status="starting", reason="", ended_at=None)
)

REPLAYED = ("invalid", "unknown", "dead")


async def replay(session: AsyncSession, event_id: int, by: Operator) -> str:
    """Have an event routed (again) if it fits today; return why it does not, or ''.

    It acts as the event it was, in its place: a run that began after it does not hear of it, and one that could not begin on
    it begins, unless its person has entered the journey anew. Who had it done is in the audit log.
    """
    documents = (as_stored(col(each)) for each in (AcceptedEvent.data, AcceptedEvent.context, AcceptedEvent.changed))
    stored = (await session.exec(select(*documents).where(AcceptedEvent.id == event_id))).one()
    if None in map(fields, stored):
        return "what is stored of it cannot be read"
    event = await session.get(AcceptedEvent, event_id)
    assert event is not None
    await lock(session, [event.person_id])
    await session.refresh(event)
    person = await session.get(Person, event.person_id)
    if person is None:
        return "its person was erased"
    if reason := unfit(event) or await _begin_anew(session, event):
        return reason
    # What the router gave up has counted in segments ever since; the others are judged as they come.
    values: dict[str, Any] = {"status": "pending", "attempts": 0, "error": "", "noted": event.status == "dead"}
    if event.status == "invalid":
        values |= await _learn(await session.connection(), person.user_id, event)
    await session.exec(update(AcceptedEvent).where(col(AcceptedEvent.id) == event_id).values(values))
    session.add(by.did("replay", person_id=event.person_id, subject=event.message_id))
    await announce(await session.connection())
    return ""


def unfit(event: AcceptedEvent) -> str:
    """Say why an event is not to be routed (again), or ''."""
    if event.status not in REPLAYED:
        return f"it is {event.status}; only {', '.join(REPLAYED)} events are judged again"
    if event.emptied:
        return "its properties are gone: it is older than events are kept with theirs"
    if event.error.startswith(NO_OBJECT):  # though its data is one now, in which what came is kept
        return NO_OBJECT
    if event.kind not in ("track", "run"):
        return "" if event.status == "dead" else event.error
    kind = EVENTS.get(event.name)
    if kind is not None and event.status == "dead":  # it was accepted once, be it a transition, which no app can send
        return misfit(kind, event.data)
    return judge(event.name, event.data)[1]


async def _learn(connection: AsyncConnection, user_id: str, event: AcceptedEvent) -> dict[str, Any]:
    """Let an event that was malformed say now where its person is, as of when it happened; return what that makes of its row."""
    profile = (await lock_by_name(connection, [user_id]))[user_id]
    notes: list[str] = []
    changed = profile.learn({}, event.context, min(event.occurred_at, event.accepted_at), notes)
    await keep(connection, [profile])
    return {"changed": changed, "error": "; ".join(notes)}


async def _begin_anew(session: AsyncSession, event: AcceptedEvent) -> str:
    """Have the runs that failed before they could begin on this event begin; say why the one that it asks for does not."""
    await session.exec(begin_anew, params={"event": event.id, "person": event.person_id})
    if event.kind != "run":
        return ""
    run = (await session.exec(select(Run).where(Run.id == event.run_id))).first()
    over = run is None or run.ended_at is not None
    return "its run is over, or its person has entered the journey anew" if over else ""
