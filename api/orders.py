"""An operator's orders to a run: pause, resume, skip, exit."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import update
from sqlmodel import col

from api.access import ADMIN, InClock, InOperator, InStore, InTemporal
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.runs import RunId, found, refuse_ended
from api.steering import NotThere, order, terminate
from events.calls import Clock
from events.operators import ASKED, Operator
from events.parked import parking
from events.reconcile import end_row
from events.request import hold, let_go, request_exit, set_paused
from store.session import Store
from store.tables import Operation, Run
from workflows.run import Order

router = APIRouter(route_class=BoundedRoute, tags=["Operators"], dependencies=ADMIN)

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class SkipBody(BaseModel):
    """`step` is the key of the step to skip, as GET /v1/runs/{run_id} shows it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"step": "wait:project_created"}})

    step: Words


class Ordered(BaseModel):
    """`done`: the run has taken the order. `accepted`: it holds from now on, and the run itself will end when it can."""

    run_id: str
    action: str
    effect: Literal["done", "accepted"] = "done"


SAY_NO = problems(
    {
        404: "There is no such run.",
        409: "The run has moved on, has ended, or is parked.",
        422: "X-Actor or X-Reason is missing.",
        503: "Temporal or the worker is away.",
    }
)


@router.post("/v1/runs/{run_id}/pause", summary="Pause a run", responses=SAY_NO)
async def pause(run_id: RunId, store: InStore, temporal: InTemporal, clock: InClock, by: InOperator) -> Ordered:
    """Hold a run: its clock runs on and exits still act, and nothing is sent: no message that is tried again begins either."""
    return await _steer(run_id, "pause", store, temporal, clock, by)


@router.post("/v1/runs/{run_id}/resume", summary="Resume a run", responses=SAY_NO)
async def resume(run_id: RunId, store: InStore, temporal: InTemporal, clock: InClock, by: InOperator) -> Ordered:
    """Let a paused run go on. A wait that is overdue ends at once."""
    return await _steer(run_id, "resume", store, temporal, clock, by)


@router.post("/v1/runs/{run_id}/skip", summary="Skip a step", responses=SAY_NO)
async def skip(run_id: RunId, body: SkipBody, store: InStore, temporal: InTemporal, clock: InClock, by: InOperator) -> Ordered:
    """End the step a run waits in, as its timeout would."""
    return await _steer(run_id, "skip", store, temporal, clock, by, body.step)


@router.post("/v1/runs/{run_id}/exit", summary="End a run", responses=SAY_NO)
async def exit(run_id: RunId, store: InStore, temporal: InTemporal, clock: InClock, by: InOperator) -> Ordered:
    """End a run. From the moment of the answer none of its messages begins, even with Temporal down."""
    run, _ = await found(store, run_id)
    refuse_ended(run)
    if not await request_exit(store, run, by, clock):
        refuse_ended((await found(store, run_id))[0])
    if parking(run) is not None:
        return await _end_parked(run, store, temporal, by)
    try:
        await order(temporal, run, "exit", Order(by.actor, by.reason))
    except (NotThere, Problem):  # the router tells the run of its exit as soon as it can
        return Ordered(run_id=run.id, action="exit", effect="accepted")
    return Ordered(run_id=run.id, action="exit")


async def _steer(
    run_id: str, action: str, store: Store, temporal: InTemporal, clock: Clock, by: Operator, step: str = ""
) -> Ordered:
    """Give a run an order, which is recorded first: one that is not answered stays with Temporal, and may act later."""
    run, _ = await found(store, run_id)
    refuse_ended(run)
    if (parked := parking(run)) is not None:
        raise Problem(409, "parked", parked)
    asked = by.did(action, run_id=run.id, person_id=run.person_id, step=step, details={"outcome": ASKED})
    async with store.write() as session:
        if action == "pause":
            await hold(session, run, by, clock)
        elif action == "resume":
            await let_go(session, run)
        session.add(asked)
    try:
        await order(temporal, run, action, Order(by.actor, by.reason, step))
    except NotThere:
        await _answered(store, asked, "refused", run)
        raise Problem(409, "moved_on", f"run {run.id} has not started on Temporal yet, or has just ended") from None
    except Problem as problem:
        if problem.status_code == 409:
            await _answered(store, asked, "refused", run)
        raise
    await _answered(store, asked, "done", run)
    return Ordered(run_id=run.id, action=action)


async def _answered(store: Store, asked: Operation, outcome: str, run: Run) -> None:
    """Record what became of an order, and whether the run is paused now, if it was about that. One that refuses it is not."""
    async with store.write() as session:
        await session.exec(update(Operation).where(col(Operation.id) == asked.id).values(details={"outcome": outcome}))
        if asked.action == "resume" or (asked.action == "pause" and outcome == "refused"):
            await let_go(session, run)  # but not from a reply that has come meanwhile
        elif asked.action == "pause":
            await session.exec(set_paused, params={"run": run.id, "now_paused": True})


async def _end_parked(run: Run, store: Store, temporal: InTemporal, by: Operator) -> Ordered:
    """End a run whose journey is not in the code: it cannot hear of its exit, so its workflow is terminated."""
    why = Order(by.actor, by.reason)
    await terminate(temporal, run, why)
    await end_row(store, run, "exited", str(why), by.at)
    return Ordered(run_id=run.id, action="exit")
