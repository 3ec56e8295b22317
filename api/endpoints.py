"""The endpoints that webhooks go to: which there are, and which have been disabled."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlmodel import select

from api.access import READ, InOperator, InSettings, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from settings import Settings
from store.tables import Endpoint

router = APIRouter(route_class=BoundedRoute, tags=["Operators"], dependencies=READ)

Name = Annotated[str, Path(max_length=255, description="Its name in SOJOURN_ENDPOINTS.", examples=["crm"])]


class EndpointView(BaseModel):
    """Where webhooks of that name go. One that answered 410 is disabled, since when and why."""

    name: str
    host: str
    disabled_at: datetime | None
    reason: str


class Endpoints(BaseModel):
    endpoints: list[EndpointView]


@router.get("/v1/endpoints", summary="List the endpoints of webhooks")
async def endpoints(settings: InSettings, store: InStore) -> Endpoints:
    """List the endpoints that are configured, by name."""
    async with store.read() as session:
        known = {each.name: each for each in (await session.exec(select(Endpoint))).all()}
    return Endpoints(endpoints=[_view(settings, name, known.get(name)) for name in sorted(settings.endpoints)])


@router.post(
    "/v1/endpoints/{name}/enable", summary="Enable an endpoint again", responses=problems({404: "There is no such endpoint."})
)
async def enable(name: Name, settings: InSettings, store: InStore, operator: InOperator) -> EndpointView:
    """Let webhooks go to an endpoint again. What failed meanwhile stays so."""
    if name not in settings.endpoints:
        raise Problem(404, "not_found", f"there is no endpoint {name!r} in SOJOURN_ENDPOINTS")
    async with store.write() as session:
        row = await session.get(Endpoint, name, with_for_update=True)
        if row is not None and row.disabled_at is not None:
            session.add(operator.did("enable", subject=name, details={"disabled": row.reason}))
            row.disabled_at, row.reason = None, ""
    return _view(settings, name, None)


def _view(settings: Settings, name: str, row: Endpoint | None) -> EndpointView:
    host = urlsplit(settings.endpoints[name].url).hostname or ""
    return EndpointView(name=name, host=host, disabled_at=row.disabled_at if row else None, reason=row.reason if row else "")
