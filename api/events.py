"""What was accepted, for operators: what acted on nothing and why, and once more from the start."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select as core_select
from sqlmodel import col, select

from api.access import ADMIN, InOperator, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import MOST_ID, Cursor, Limit
from events.claim import to_route
from events.operators import Operator
from events.replay import replay
from store.documents import as_stored, fields
from store.session import Store
from store.tables import AcceptedEvent, Identity, Person

router = APIRouter(route_class=BoundedRoute, tags=["Events"], dependencies=ADMIN)

Status = Literal["pending", "routed", "unknown", "invalid", "dead", "unrouted"]
MessageId = Annotated[str, Path(description="The call's `messageId`.", examples=["5f0c9d1e"])]


class EventView(BaseModel):
    """A call as it is kept. `error` says why it acted on nothing, or what was odd. `data` is null where nobody can read it."""

    id: int
    message_id: str
    user_id: str
    kind: str
    name: str
    data: dict[str, Any] | None
    status: str
    error: str
    attempts: int
    occurred_at: datetime
    accepted_at: datetime


# Of what a row has as JSON, only what is shown, and as it is stored: one that nobody can read hides no other.
columns = [getattr(AcceptedEvent, name) for name in EventView.model_fields if name not in ("user_id", "data")]
listing = core_select(*columns, col(Person.user_id), as_stored(AcceptedEvent.data).label("data"))


class Events(BaseModel):
    """The newest first; `next` is where the next page begins."""

    events: list[EventView]
    next: int | None


class ReplayOrder(BaseModel):
    """Which events: oldest first, those after `after`, at most `limit`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"status": "unknown", "name": "Trial Ended"}})

    status: Literal["invalid", "unknown", "dead"]
    name: str | None = Field(None, max_length=1000)
    after: int = Field(0, ge=0, le=MOST_ID)
    limit: int = Field(100, ge=1, le=1000)


class Replayed(BaseModel):
    replayed: int


class Refusal(BaseModel):
    message_id: str
    reason: str


class ReplayedMany(Replayed):
    """`next` is the `after` of the next order, if there may be more."""

    refused: list[Refusal]
    next: int | None


@router.get("/v1/events", summary="List what was accepted")
async def accepted(
    store: InStore,
    status: Status | None = None,
    user: str | None = None,
    name: str | None = None,
    before: Cursor = None,
    limit: Limit = 100,
) -> Events:
    """List calls, the newest first. `unrouted` ones are those that wait for the router; `user` is any name of a person."""
    found = listing.join(Person, col(Person.id) == col(AcceptedEvent.person_id))
    if status is not None:
        found = found.where(to_route if status == "unrouted" else col(AcceptedEvent.status) == status)
    if user is not None:
        found = found.join(Identity, col(Identity.person_id) == col(Person.id)).where(col(Identity.name) == _plain(user))
    if name is not None:
        found = found.where(col(AcceptedEvent.name) == _plain(name))
    if before is not None:
        found = found.where(col(AcceptedEvent.id) < before)
    async with store.read() as session:
        rows = (await (await session.connection()).execute(found.order_by(col(AcceptedEvent.id).desc()).limit(limit))).mappings()
        views = [EventView(**{**row, "data": fields(row["data"]), "error": row["error"] or _unread(row["data"])}) for row in rows]
    return Events(events=views, next=views[-1].id if len(views) == limit else None)


@router.post("/v1/events/replay", summary="Have events judged again")
async def replay_many(order: ReplayOrder, store: InStore, operator: InOperator) -> ReplayedMany:
    """Judge events of one status again, oldest first, each by itself: what fits today's classes is routed."""
    chosen = select(AcceptedEvent.id, AcceptedEvent.message_id).where(
        AcceptedEvent.status == order.status, col(AcceptedEvent.id) > order.after
    )
    if order.name is not None:
        chosen = chosen.where(AcceptedEvent.name == _plain(order.name))
    async with store.read() as session:
        rows = (await session.exec(chosen.order_by(col(AcceptedEvent.id)).limit(order.limit))).all()
    refused = []
    for event_id, message_id in rows:
        if reason := await _replay(store, event_id or 0, operator):
            refused.append(Refusal(message_id=message_id, reason=reason))
    replayed = len(rows) - len(refused)
    return ReplayedMany(replayed=replayed, refused=refused, next=rows[-1][0] if len(rows) == order.limit else None)


@router.post(
    "/v1/events/{message_id:path}/replay",
    summary="Have an event judged again",
    responses=problems({404: "There is no such event.", 409: "It does not fit today either, or has acted already."}),
)
async def replay_one(message_id: MessageId, store: InStore, operator: InOperator) -> Replayed:
    """Judge an event that is invalid, unknown or dead again; if it fits today's classes, it is routed in its old place."""
    async with store.read() as session:
        event_id = (await session.exec(select(AcceptedEvent.id).where(AcceptedEvent.message_id == _plain(message_id)))).first()
    if event_id is None:
        raise Problem(404, "not_found", f"there is no event with the message id {message_id!r}")
    if reason := await _replay(store, event_id, operator):
        raise Problem(409, "not_replayed", f"event {message_id!r} is not routed again: {reason}")
    return Replayed(replayed=1)


async def _replay(store: Store, event_id: int, by: Operator) -> str:
    async with store.write() as session:
        return await replay(session, event_id, by)


def _unread(stored: str) -> str:
    return "" if fields(stored) is not None else "its properties cannot be read"


def _plain(text: str) -> str:
    return text.replace("\0", "\ufffd")
