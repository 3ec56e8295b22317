"""Messages in doubt over HTTP: listed, and resolved by an operator."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlmodel import col, select

from api.access import READ, InClock, InOperator, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Limit
from api.views import MessageView
from events.resolve import Fate, Settled, resolve
from store.tables import Delivery, Person

router = APIRouter(route_class=BoundedRoute, tags=["Operators"], dependencies=READ)

Key = Annotated[
    str, Path(description="The message's idempotency key.", examples=["r_0195a1f0c3d2e4b5a69788990011:send:email/welcome"])
]
After = Annotated[str, Query(max_length=1000, description="The `next` of the page before.")]


class ResolveBody(BaseModel):
    """What became of a message in doubt: it was `sent`, give it up (`drop`), or send it again through the gate (`resend`)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"as": "sent"}})

    fate: Fate = Field(alias="as")


class Doubtful(MessageView):
    """A message in doubt. Its run waits until `retry_at`, by its own clock; for one without, it has gone on."""

    user_id: str
    begun_at: AwareDatetime | None = Field(description="When its last attempt began.")


class DoubtfulMessages(BaseModel):
    """By their keys; `next` is where the next page begins."""

    messages: list[Doubtful]
    next: str | None


class Resolved(BaseModel):
    """What the ledger says of the message now."""

    key: str
    status: str
    reason: str


@router.get("/v1/messages", summary="List messages in doubt")
async def doubtful(
    store: InStore,
    status: Annotated[Literal["held", "unknown"], Query(description="`held` for an operator, or given up.")] = "held",
    after: After = "",
    limit: Limit = 100,
) -> DoubtfulMessages:
    """List the messages of which nobody knows whether they were sent: those that are held, or those that were given up."""
    wanted = select(Delivery, Person.user_id).join(Person, col(Person.id) == Delivery.person_id).where(Delivery.status == status)
    page = wanted.where(col(Delivery.key) > after.replace("\0", "")).order_by(col(Delivery.key)).limit(limit)
    async with store.read() as session:
        found = (await session.exec(page)).all()
    listed = [Doubtful(**row.model_dump(), run=row.run_id, user_id=user_id) for row, user_id in found]
    return DoubtfulMessages(messages=listed, next=listed[-1].key if len(listed) == limit else None)


@router.post(
    "/v1/messages/{key:path}/resolve",
    summary="Resolve a message in doubt",
    responses=problems({404: "There is no such message.", 409: "It is not in doubt, or its run no longer waits for it."}),
)
async def settle(key: Key, body: ResolveBody, store: InStore, clock: InClock, by: InOperator) -> Resolved:
    """Say what became of a message in doubt. The run that waits for it goes on at once."""
    row = await resolve(store, key, body.fate, by, clock)
    match row:
        case None:
            raise Problem(404, "not_found", f"there is no message {key!r}")
        case Settled(why):
            raise Problem(409, "not_in_doubt", why)
    return Resolved(**row.model_dump(include={"key", "status", "reason"}))
