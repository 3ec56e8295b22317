"""Runs over HTTP: asked for, told of events, looked at."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from api.access import READ, InApp, InClock, InSettings, InStore, InTemporal
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.views import OperationView, RequestedRun, RunView, stand_of, summary_of
from events.accept import Manner, accept
from events.calls import ID_BYTES, MESSAGE_ID_LENGTH, judge, understand
from events.enrol import Refused
from events.operators import record
from events.request import Misused, Unfit, request_run
from events.temporal import standing
from store.session import Store
from store.tables import Operation, Person, Run
from workflows.definition import JOURNEYS, current

router = APIRouter(route_class=BoundedRoute, tags=["Runs"], dependencies=READ)

RunId = Annotated[
    str, Path(description="The run's id, as its request or the person's runs give it.", examples=["r_0195a1f0c3d2e4b5a69788990011"])
]
JourneyName = Annotated[str, Path(description="The journey, in its newest version.", examples=["onboarding"])]
IdempotencyKey = Annotated[
    str | None, Header(max_length=255, description="The same request with the same key starts one run, and is answered alike.")
]


class RunRequest(BaseModel):
    """Who enters the journey, and with which data of the event that starts it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"user_id": "user-42", "data": {"project": "apollo"}}})

    user_id: str = Field(min_length=1)
    data: dict[str, Any] = {}
    event: str | None = Field(None, description="Which event it is, for a journey that several can start.")


class RunEvent(BaseModel):
    """An event for one run only."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"event": "Project Created", "data": {"project": "apollo"}, "message_id": "m-1"}},
    )

    event: str = Field(min_length=1)
    data: dict[str, Any] = {}
    message_id: str | None = Field(None, min_length=1, max_length=MESSAGE_ID_LENGTH, description="Acts once, for ever.")


class Taken(BaseModel):
    """The event is stored for good, and is on its way."""

    success: bool = True


@router.post(
    "/v1/journeys/{name}/runs",
    summary="Let a person enter a journey",
    status_code=201,
    responses=problems(
        {
            404: "There is no such journey, or nobody has that address.",
            409: "The person may not enter now, or the address is several people's; the message says why.",
            422: "The data does not fit the event that starts the journey, or the idempotency key came with another request.",
        }
    ),
)
async def request(
    name: JourneyName,
    body: RunRequest,
    settings: InSettings,
    store: InStore,
    clock: InClock,
    response: Response,
    by: InApp,
    idempotency_key: IdempotencyKey = None,
) -> RequestedRun:
    """Enrol a person. The run is durable when this answers, and starts when Temporal is there."""
    definition = current(name)
    if definition is None:
        known = ", ".join(sorted({journey for journey, _ in JOURNEYS})) or "none"
        raise Problem(404, "unknown_journey", f"there is no journey {name!r}; there are: {known}")
    if len(body.user_id.encode()) > ID_BYTES:
        raise Problem(422, "invalid", f"user_id: at most {ID_BYTES} bytes")
    try:
        outcome = await request_run(
            store, definition, body.user_id, body.data, clock, event=body.event, idempotency_key=idempotency_key, by=by
        )
    except Unfit as misfit:
        raise Problem(422, "invalid", str(misfit)) from None
    match outcome:
        case Refused(reason):
            raise Problem(409, "re_entry_refused", f"{body.user_id!r} {reason}")
        case Misused(run_id):
            raise Problem(422, "idempotency_key_reused", f"this Idempotency-Key came with another request before, for run {run_id}")
    if outcome.again:
        response.headers["Idempotency-Replayed"] = "true"
    run = outcome.run
    return RequestedRun(run_id=run.id, workflow_id=run.workflow_id, ui_url=settings.ui_url(run.workflow_id))


@router.post(
    "/v1/runs/{run_id}/events",
    summary="Tell one run of an event",
    status_code=202,
    responses=problems(
        {404: "There is no such run.", 409: "The run has ended.", 422: "The event is unknown, or its data does not fit it."}
    ),
)
async def tell(run_id: RunId, body: RunEvent, store: InStore, clock: InClock, by: InApp) -> Taken:
    """Store an event that reaches this run and no other, and starts nothing."""
    run, user_id = await found(store, run_id)
    refuse_ended(run)
    status, error = judge(body.event, body.data)
    if status != "pending":
        raise Problem(422, "invalid", error)
    call = {"userId": user_id, "event": body.event, "properties": body.data, "messageId": body.message_id}
    heard = understand(call, "track", clock)._replace(run_id=run.id)

    async def beside(connection: AsyncConnection, new: int) -> None:
        if new:
            await record(connection, by.did("event", run_id=run.id, subject=heard.name))

    await accept(store, [heard], clock, Manner(beside=beside))
    return Taken()


@router.get("/v1/runs/{run_id}", summary="Look at a run", responses=problems({404: "There is no such run."}))
async def look(run_id: RunId, settings: InSettings, store: InStore, temporal: InTemporal) -> RunView:
    """Say what a run is, where it stands, and what operators did to it."""
    run, user_id = await found(store, run_id)
    async with store.read() as session:
        done = (await session.exec(select(Operation).where(Operation.run_id == run_id).order_by(col(Operation.id)))).all()
    summary = summary_of(run, settings)
    stand = None if summary.status in ("starting", "parked") else stand_of(await standing(temporal, run))
    operations = [
        OperationView(**each.model_dump(include={"action", "actor", "reason", "step", "at"}), outcome=each.details.get("outcome"))
        for each in done
    ]
    return RunView(**summary.model_dump(), user_id=user_id, standing=stand, operations=operations)


async def found(store: Store, run_id: str) -> tuple[Run, str]:
    """Return a run, and whose it is."""
    async with store.read() as session:
        mine = select(Run, Person.user_id).join(Person).where(Run.id == run_id.replace("\0", ""))
        row = (await session.exec(mine)).first()
    if row is None:
        raise Problem(404, "not_found", f"there is no run {run_id!r}")
    return row[0], row[1]


def refuse_ended(run: Run) -> None:
    """Refuse what a run that is over can no longer do."""
    if run.ended_at is not None:
        raise Problem(409, "run_ended", f"run {run.id} is over since {run.ended_at:%Y-%m-%d %H:%M} UTC: {run.status}")
