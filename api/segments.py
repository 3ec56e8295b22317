"""The segments there are, how many people are in each, and who."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from sqlmodel import col, func, select

from api.access import ADMIN, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Limit
from events.standing import IN
from store.impersonal import Fill
from store.tables import Membership, Person
from workflows.lifecycle import STATES
from workflows.segments import LIFECYCLE, SEGMENTS

router = APIRouter(route_class=BoundedRoute, tags=["Segments"], dependencies=ADMIN)

Name = Annotated[str, Path(description="The segment's name, or a lifecycle state's.", examples=["regulars"])]
After = Annotated[str, Query(description="`next` of the page before this one.", pattern=r"^\d{0,18}$")]


class SegmentView(BaseModel):
    """A segment and how many are in it. `filling`: people are still being judged by a definition that is new or changed."""

    name: str
    members: int
    filling: bool


class Segments(BaseModel):
    """The segments, and how many people are in each lifecycle state."""

    segments: list[SegmentView]
    lifecycle: dict[str, int]


class Member(BaseModel):
    """A member, and since when."""

    user_id: str
    since: datetime


class Members(SegmentView):
    """A segment and a page of its members. `next` is null on the last page."""

    sample: list[Member]
    next: str | None


@router.get("/v1/segments", summary="List the segments")
async def segments(store: InStore) -> Segments:
    """List every segment, and every lifecycle state, with how many people are in it."""
    counted = select(Membership.segment, Membership.value, func.count()).group_by(Membership.segment, Membership.value)
    async with store.read() as session:
        counts = {(name, value): count for name, value, count in (await session.exec(counted)).all()}
        finished = set((await session.exec(select(Fill.segment).where(col(Fill.finished_at).is_not(None)))).all())
    return Segments(
        segments=[
            SegmentView(name=name, members=counts.get((name, IN), 0), filling=name not in finished) for name in sorted(SEGMENTS)
        ],
        lifecycle={state: counts.get((LIFECYCLE, state), 0) for state in STATES},
    )


@router.get(
    "/v1/segments/{name}",
    summary="Look at a segment",
    responses=problems({404: "There is no such segment."}),
)
async def segment(name: Name, store: InStore, limit: Limit = 20, after: After = "") -> Members:
    """Count a segment's members, and list some: those after `after`, in the order in which we met them."""
    kept = (name, IN) if name in SEGMENTS else (LIFECYCLE, name)
    if kept[0] == LIFECYCLE and name not in STATES:
        raise Problem(404, "unknown_segment", f"there is no segment {name!r}; GET /v1/segments lists them")
    inside = (Membership.segment == kept[0], Membership.value == kept[1])
    async with store.read() as session:
        count = (await session.exec(select(func.count()).select_from(Membership).where(*inside))).one()
        page = select(Membership.person_id, Person.user_id, Membership.since).join(Person).where(*inside)
        page = page.where(Membership.person_id > int(after or 0)).order_by(col(Membership.person_id)).limit(limit + 1)
        rows = (await session.exec(page)).all()
        fill = await session.get(Fill, kept[0])
    return Members(
        name=name,
        members=count,
        filling=fill is None or fill.finished_at is None,
        sample=[Member(user_id=user_id, since=since) for _, user_id, since in rows[:limit]],
        next=str(rows[limit - 1][0]) if len(rows) > limit else None,
    )
