"""The endpoints that webhooks go to, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from api.access import READ, InOperator, InSettings, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from events.endpoints import NoEndpoint, listed
from events.endpoints import enable as enable_again

router = APIRouter(route_class=BoundedRoute, tags=["Operators"], dependencies=READ)

Name = Annotated[str, Path(max_length=255, description="Its name in SOJOURN_ENDPOINTS.", examples=["crm"])]


class EndpointView(BaseModel):
    """Where webhooks of that name go. One that answered 410 is disabled, since when and why."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    host: str
    disabled_at: datetime | None
    reason: str


class Endpoints(BaseModel):
    endpoints: list[EndpointView]


@router.get("/v1/endpoints", summary="List the endpoints of webhooks")
async def endpoints(settings: InSettings, store: InStore) -> Endpoints:
    """List the endpoints that are configured, by name."""
    return Endpoints(endpoints=[EndpointView.model_validate(each) for each in await listed(store, settings)])


@router.post(
    "/v1/endpoints/{name}/enable", summary="Enable an endpoint again", responses=problems({404: "There is no such endpoint."})
)
async def enable(name: Name, settings: InSettings, store: InStore, operator: InOperator) -> EndpointView:
    """Let webhooks go to an endpoint again. What failed meanwhile stays so."""
    try:
        return EndpointView.model_validate(await enable_again(store, settings, name, operator))
    except NoEndpoint as why:
        raise Problem(404, "not_found", str(why)) from None
