"""Is everything there, and does work get done?"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import func, select
from temporalio.client import Client
from temporalio.service import RPCError

from api.access import InSettings, InStore, InTemporal
from api.errors import Problem, problems
from events.claim import to_route
from events.stops import open_stops
from store.columns import Moment
from store.session import Store
from store.tables import AcceptedEvent

router = APIRouter(tags=["Health"])

PATIENCE = 2  # seconds
COUNTED = 10_000


class Part(BaseModel):
    """`detail` says what is wrong with a part that is not ok."""

    ok: bool
    detail: str = ""


class Backlog(Part):
    """Events that wait for the router: how many, and since when the oldest of them; at most 10,000 are counted."""

    waiting: int = 0
    oldest: datetime | None = None


class Stopped(BaseModel):
    """A kill switch that is thrown: of everything (`all`), a `journey` or a `channel`, since when."""

    scope: str
    name: str
    since: datetime


class Health(BaseModel):
    """`degraded`: events are accepted, and act when Temporal is back. `down`: nothing can be accepted.

    What an operator has `stopped` is no fault, and changes no status.
    """

    status: Literal["ok", "degraded", "down"]
    database: Part
    temporal: Part
    router: Backlog
    stopped: list[Stopped]


class Ready(BaseModel):
    status: Literal["ready"] = "ready"


@router.get("/healthz", summary="Say how each part is", responses={503: {"model": Health, "description": "The database is away."}})
async def health(response: Response, settings: InSettings, store: InStore, temporal: InTemporal) -> Health:
    """Say how the database, Temporal and the router's backlog are, and what is stopped. 200 as long as events can be accepted."""
    server, (backlog, stopped) = await asyncio.gather(_temporal(temporal, settings.temporal_address), _database(store))
    database = Part(ok=backlog.ok, detail=backlog.detail)
    status: Literal["ok", "degraded", "down"] = "down" if not database.ok else "ok" if server.ok else "degraded"
    response.status_code = 503 if status == "down" else 200
    return Health(status=status, database=database, temporal=server, router=backlog, stopped=stopped)


@router.get(
    "/readyz", summary="Say whether to send requests here", responses=problems({503: "The database is not there, or not migrated."})
)
async def ready(store: InStore) -> Ready:
    """Answer 200 when events can be accepted: the database is there, with its tables."""
    backlog, _ = await _database(store)
    if not backlog.ok:
        raise Problem(503, "not_ready", f"not ready: {backlog.detail}")
    return Ready()


async def _temporal(client: Client | None, address: str) -> Part:
    away = Part(ok=False, detail=f"Temporal at {address} does not answer")
    if client is None:
        return away
    try:
        async with asyncio.timeout(PATIENCE):
            ok = await client.service_client.check_health(timeout=timedelta(seconds=PATIENCE))
    except (RPCError, RuntimeError, TimeoutError):
        return away
    return Part(ok=ok, detail="" if ok else f"Temporal at {address} says that it is not serving")


async def _database(store: Store) -> tuple[Backlog, list[Stopped]]:
    waiting = select(AcceptedEvent.accepted_at).where(to_route).limit(COUNTED).subquery()
    count_them = select(func.count(), func.min(waiting.c.accepted_at, type_=Moment)).select_from(waiting)
    try:
        async with asyncio.timeout(PATIENCE), store.read() as session:
            count, oldest = (await session.exec(count_them)).one()
            stopped = [Stopped(scope=each.scope, name=each.name, since=each.at) for each in await open_stops(session)]
            return Backlog(ok=True, waiting=count, oldest=oldest), stopped
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        return Backlog(ok=False, detail=f"the database does not answer: {error}"[:200]), []
