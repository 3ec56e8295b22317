"""Suppressions over HTTP: to where nothing may go, and why. Who asks names an address; none is ever listed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from api.access import ADMIN, InOperator, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.views import SuppressionView
from events.suppress import lift, suppress, suppression, whole

router = APIRouter(route_class=BoundedRoute, tags=["People"], dependencies=ADMIN)

Channel = Annotated[
    Literal["*", "email", "sms", "push", "in_app"],
    Path(description="The channel; '*' is all of a person's.", examples=["email"]),
]
Address = Annotated[
    str,
    Path(
        description="An e-mail address for `email`, a number for `sms`, and a userId for the others.",
        max_length=1000,
        examples=["ada@example.org"],
    ),
]
SAY_WHY = problems({422: "X-Actor or X-Reason is missing."})


class SuppressionBody(BaseModel):
    """Why nothing may go there any more."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"cause": "manual"}})

    cause: str = Field("manual", min_length=1, max_length=100)


UNLESS_SAID = SuppressionBody()


class Lifted(BaseModel):
    """Whether it was suppressed."""

    lifted: bool


@router.get(
    "/v1/suppressions/{channel}/{address:path}",
    summary="Look whether an address is suppressed",
    responses=problems({404: "It is not suppressed."}),
)
async def look(channel: Channel, address: Address, store: InStore) -> SuppressionView:
    """Say since when and why nothing goes to an address on a channel."""
    found = await suppression(store, channel, _whole(address))
    if found is None:
        raise Problem(404, "not_found", f"that address is not suppressed on {channel!r}")
    return SuppressionView(**found)


@router.put("/v1/suppressions/{channel}/{address:path}", summary="Suppress an address", responses=SAY_WHY)
async def stop(
    channel: Channel, address: Address, store: InStore, operator: InOperator, body: SuppressionBody = UNLESS_SAID
) -> SuppressionView:
    """Let nothing go to an address on a channel from here on, whoever uses it. The first cause is kept."""
    kept = _whole(address)
    await suppress(store, channel, kept, body.cause, "operator", datetime.now(UTC), operator)
    return await look(channel, kept, store)


@router.delete("/v1/suppressions/{channel}/{address:path}", summary="Lift a suppression", responses=SAY_WHY)
async def let_go(channel: Channel, address: Address, store: InStore, operator: InOperator) -> Lifted:
    """Let messages go to an address again. That its owner said no to topics is not touched by it."""
    return Lifted(lifted=await lift(store, channel, _whole(address), operator))


def _whole(address: str) -> str:
    """Return the address as the store may keep it; without anything but NUL it is none."""
    if not (kept := whole(address)):
        raise Problem(422, "invalid", "address: an e-mail address, a number or a userId is needed")
    return kept
