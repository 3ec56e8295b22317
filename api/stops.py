"""Kill switches over HTTP: thrown, listed, and released."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.access import READ, InClock, InOperator, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Limit
from events.stops import Choice, NoSuch, Stoppable, listed, release, throw, waiting
from store.tables import Stop

router = APIRouter(route_class=BoundedRoute, tags=["Kill switches"], dependencies=READ)

Of = Annotated[Stoppable, Path(description="What is stopped: a `journey`, or a `channel`.", examples=["journey"])]
Name = Annotated[str, Path(description="The name of the journey or the channel.", examples=["basket_help"])]


class ReleaseBody(BaseModel):
    """What becomes of the messages that wait: they are sent now, sent within `over` seconds, or skipped for good."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"choice": "retime", "over": 3600}})

    choice: Choice
    over: float = Field(0, ge=0, le=2_592_000, allow_inf_nan=False, description="Seconds, for `retime`; at most 30 days.")


class StopView(BaseModel):
    """A kill switch. `waiting` is how many messages wait because of it, also while they are being released."""

    scope: str
    name: str
    actor: str
    reason: str
    at: datetime
    waiting: int
    released_at: datetime | None = None
    released_by: str = ""
    choice: str = ""
    over: float = 0
    finished_at: datetime | None = Field(None, description="When all that waited had been told of the release.")


class Stops(BaseModel):
    """Those that are thrown first, then the latest."""

    stops: list[StopView]


UNKNOWN = problems({404: "There is no such journey or channel.", 422: "X-Actor or X-Reason is missing."})
NOTHING = problems({404: "Nothing is stopped there.", 422: "X-Actor or X-Reason is missing, or the choice is none."})


@router.get("/v1/stops", summary="List the kill switches")
async def stops(store: InStore, limit: Limit = 100) -> Stops:
    """List the switches that are thrown, and those that were: who did it, why, and what waits."""
    return Stops(stops=[_view(stop, count) for stop, count in await listed(store, limit)])


@router.put("/v1/stops/all", summary="Stop everything", responses=UNKNOWN)
async def stop_all(store: InStore, by: InOperator) -> StopView:
    """Stop every message. From the moment of the answer none begins; what becomes due waits as long as it lives."""
    stop = await throw(store, "all", "", by)
    return _view(stop, await waiting(store, stop))


@router.put("/v1/stops/{scope}/{name}", summary="Stop a journey or a channel", responses=UNKNOWN)
async def stop_one(scope: Of, name: Name, store: InStore, by: InOperator) -> StopView:
    """Stop a journey's or a channel's messages. From the moment of the answer none begins."""
    _of_one(scope)
    try:
        stop = await throw(store, scope, name, by)
    except NoSuch as why:
        raise Problem(404, "not_found", str(why)) from None
    return _view(stop, await waiting(store, stop))


@router.post("/v1/stops/all/release", summary="Let everything go on", responses=NOTHING)
async def release_all(body: ReleaseBody, store: InStore, clock: InClock, by: InOperator) -> StopView:
    """Let messages begin again, and say what becomes of those that wait. The workers go on with what is many."""
    return await _release("all", "", body, store, clock, by)


@router.post("/v1/stops/{scope}/{name}/release", summary="Let a journey or a channel go on", responses=NOTHING)
async def release_one(scope: Of, name: Name, body: ReleaseBody, store: InStore, clock: InClock, by: InOperator) -> StopView:
    """Let a journey's or a channel's messages begin again, and say what becomes of those that wait."""
    _of_one(scope)
    return await _release(scope, name, body, store, clock, by)


def _of_one(scope: Stoppable) -> None:
    if scope == "all":
        raise Problem(404, "not_found", "what is stopped is /v1/stops/all, /v1/stops/journey/NAME or /v1/stops/channel/NAME")


async def _release(scope: Stoppable, name: str, body: ReleaseBody, store: InStore, clock: InClock, by: InOperator) -> StopView:
    try:
        stop = await release(store, scope, name, body.choice, by, clock, timedelta(seconds=body.over))
    except NoSuch as why:
        raise Problem(404, "not_found", str(why)) from None
    return _view(stop, await waiting(store, stop))


def _view(stop: Stop, count: int) -> StopView:
    return StopView(**stop.model_dump(exclude={"id"}), waiting=count)
