"""A person's in-app messages, for the product to show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import update
from sqlmodel import col, select

from api.access import INBOX, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Limit
from api.people import UNKNOWN, Someone
from api.views import CardView
from store.tables import InboxCard

router = APIRouter(route_class=BoundedRoute, tags=["People"], dependencies=INBOX)

CardKey = Annotated[str, Path(description="The message's key, as the inbox gives it.", examples=["r_0195a1f0:send:in_app/welcome"])]


class Inbox(BaseModel):
    cards: list[CardView]


@router.get("/v1/users/{user_id:path}/inbox", summary="Read a person's inbox", responses=UNKNOWN)
async def inbox(person: Someone, store: InStore, limit: Limit = 100) -> Inbox:
    """Read a person's in-app messages, the newest first."""
    async with store.read() as session:
        mine = select(InboxCard).where(InboxCard.person_id == person.id).order_by(col(InboxCard.at).desc()).limit(limit)
        found = (await session.exec(mine)).all()
    return Inbox(cards=[CardView(**each.model_dump()) for each in found])


@router.post(
    "/v1/users/{user_id:path}/inbox/{key:path}/read",
    summary="Mark an in-app message as read",
    responses=problems({404: "There is no such person, or no such message of theirs."}),
)
async def read(person: Someone, key: CardKey, store: InStore) -> CardView:
    """Mark a message as read. The first time counts."""
    mine = (col(InboxCard.key) == key.replace("\0", ""), col(InboxCard.person_id) == person.id)
    async with store.write() as session:
        unread = update(InboxCard).where(*mine, col(InboxCard.read_at).is_(None))
        await session.exec(unread.values(read_at=datetime.now(UTC)))
        card = (await session.exec(select(InboxCard).where(*mine))).first()
    if card is None:
        raise Problem(404, "not_found", f"{person.user_id!r} has no in-app message {key!r}")
    return CardView(**card.model_dump())
