"""An operator's orders to a run: pause, resume, skip, exit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import update
from sqlmodel import col

from api.access import ADMIN, InClock, InStore, InTemporal, key_name
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.runs import RunId, found, refuse_ended
from api.steering import NotThere, order, terminate
from api.views import parking
from events.calls import Clock
from events.request import operation, request_exit
from store.session import Store
from store.tables import Run
from workflows.run import Order

router = APIRouter(route_class=BoundedRoute, tags=["Operators"], dependencies=ADMIN)

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class OrderBody(BaseModel):
    """Who orders it, and why: both are shown in the run's history."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"actor": "ada@example.org", "reason": "wrong copy"}})

    actor: Words
    reason: Words
    step: str = ""

    def order(self) -> Order:
        return Order(self.actor, self.reason, self.step)


class SkipBody(OrderBody):
    """`step` is the key of the step to skip, as GET /v1/runs/{run_id} shows it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"actor": "ada@example.org", "reason": "they called us", "step": "wait:project_created"}},
    )

    step: Words


@dataclass(frozen=True)
class Authority:
    """By which key an order came, and when."""

    clock: Clock
    key_name: str


async def authority(request: Request, clock: InClock) -> Authority:
    return Authority(clock, key_name(request))


By = Annotated[Authority, Depends(authority)]


class Ordered(BaseModel):
    """`done`: the run has taken the order. `accepted`: it holds from now on, and the run itself will end when it can."""

    run_id: str
    action: str
    effect: Literal["done", "accepted"] = "done"


SAY_NO = problems(
    {
        404: "There is no such run.",
        409: "The run has moved on, has ended, or is parked.",
        422: "Actor or reason is missing.",
        503: "Temporal or the worker is away.",
    }
)


@router.post("/v1/runs/{run_id}/pause", summary="Pause a run", responses=SAY_NO)
async def pause(run_id: RunId, body: OrderBody, store: InStore, temporal: InTemporal, by: By) -> Ordered:
    """Hold a run: its clock runs on and exits still act, and nothing is sent."""
    return await _steer(run_id, "pause", body.order(), store, temporal, by)


@router.post("/v1/runs/{run_id}/resume", summary="Resume a run", responses=SAY_NO)
async def resume(run_id: RunId, body: OrderBody, store: InStore, temporal: InTemporal, by: By) -> Ordered:
    """Let a paused run go on. A wait that is overdue ends at once."""
    return await _steer(run_id, "resume", body.order(), store, temporal, by)


@router.post("/v1/runs/{run_id}/skip", summary="Skip a step", responses=SAY_NO)
async def skip(run_id: RunId, body: SkipBody, store: InStore, temporal: InTemporal, by: By) -> Ordered:
    """End the step a run waits in, as its timeout would."""
    return await _steer(run_id, "skip", body.order(), store, temporal, by)


@router.post("/v1/runs/{run_id}/exit", summary="End a run", responses=SAY_NO)
async def exit(run_id: RunId, body: OrderBody, store: InStore, temporal: InTemporal, by: By) -> Ordered:
    """End a run. From the moment of the answer none of its messages begins, even with Temporal down."""
    run, _ = await found(store, run_id)
    refuse_ended(run)
    if not await request_exit(store, run, body.order(), by.clock, by.key_name):
        refuse_ended((await found(store, run_id))[0])
    if parking(run) is not None:
        return await _end_parked(run, body.order(), store, temporal, by)
    try:
        await order(temporal, run, "exit", body.order())
    except (NotThere, Problem):  # the router tells the run of its exit as soon as it can
        return Ordered(run_id=run.id, action="exit", effect="accepted")
    return Ordered(run_id=run.id, action="exit")


async def _steer(run_id: str, action: str, what: Order, store: Store, temporal: InTemporal, by: Authority) -> Ordered:
    run, _ = await found(store, run_id)
    refuse_ended(run)
    if (parked := parking(run)) is not None:
        raise Problem(409, "parked", parked)
    try:
        await order(temporal, run, action, what)
    except NotThere:
        raise Problem(409, "moved_on", f"run {run.id} has not started on Temporal yet, or has just ended") from None
    async with store.write() as session:
        session.add(operation(run, action, what, by.clock, by.key_name))
        if action in ("pause", "resume"):
            await session.exec(update(Run).where(col(Run.id) == run.id).values(paused=action == "pause"))
    return Ordered(run_id=run.id, action=action)


async def _end_parked(run: Run, what: Order, store: Store, temporal: InTemporal, by: Authority) -> Ordered:
    """End a run whose journey is not in the code: it cannot hear of its exit, so its workflow is terminated."""
    await terminate(temporal, run, what)
    async with store.write() as session:
        end = update(Run).where(col(Run.id) == run.id, col(Run.ended_at).is_(None))
        await session.exec(end.values(status="exited", reason=str(what), ended_at=by.clock.at))
    return Ordered(run_id=run.id, action="exit")
