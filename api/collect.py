"""Collecting events, in the shape of Segment's HTTP tracking API."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import to_json

from api.access import ANY_KEY, InSettings, InStore, may_send
from api.body import CALL_BYTES, BoundedRoute, refuse_larger
from api.errors import Problem, problems
from events.accept import accept
from events.calls import Unidentified, moment, understand, understand_all
from settings import Settings
from store.session import Store

log = logging.getLogger(__name__)

BATCH_CALLS = 2500  # Segment's limit

router = APIRouter(route_class=BoundedRoute, tags=["Events"], dependencies=ANY_KEY)


class Accepted(BaseModel):
    """The calls are stored for good."""

    success: bool = True


WRONG = problems(
    {400: "The body is not JSON, or too large.", 401: "The key is missing or wrong.", 403: "The clock may not be set."}
)
IDENTITY = {
    "userId": {"type": "string", "description": "Who it is about; or anonymousId."},
    "anonymousId": {"type": "string"},
    "messageId": {"type": "string", "description": "Acts once, for ever."},
    "timestamp": {"type": "string", "format": "date-time", "description": "When it happened, by the client's clock."},
    "context": {"type": "object", "description": "timezone, locale and device.token are kept on the profile."},
}
TRACK = {
    "userId": "user-42",
    "event": "Project Created",
    "properties": {"project": "apollo"},
    "messageId": "5f0c9d1e",
    "timestamp": "2026-03-02T09:30:00+01:00",
    "context": {"timezone": "Europe/Berlin", "locale": "de"},
}
IDENTIFY = {
    "userId": "user-42",
    "traits": {"email": "ada@example.org", "phone": "+4915112345678", "plan": "free"},
    "context": {"timezone": "Europe/Berlin", "locale": "de", "device": {"token": "d3v1c3", "type": "android"}},
}
BATCH = {"batch": [{"type": "identify", **IDENTIFY}, {"type": "track", **TRACK}], "sentAt": "2026-03-02T08:30:01Z"}


def documented(properties: dict[str, Any], example: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Describe a body that we read ourselves, more leniently than a schema says."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


@router.post(
    "/v1/track",
    summary="Say what a person did",
    response_model=Accepted,
    responses=WRONG,
    openapi_extra=documented({**IDENTITY, "event": {"type": "string"}, "properties": {"type": "object"}}, TRACK, ["event"]),
)
async def track(request: Request, settings: InSettings, store: InStore) -> JSONResponse:
    """Store an event; it is durable when this answers. An unknown or malformed one is kept, and acts on nothing."""
    return await _one(request, settings, store, "track")


@router.post(
    "/v1/identify",
    summary="Say what is known of a person",
    response_model=Accepted,
    responses=WRONG,
    openapi_extra=documented({**IDENTITY, "traits": {"type": "object"}}, IDENTIFY, []),
)
async def identify(request: Request, settings: InSettings, store: InStore) -> JSONResponse:
    """Store traits, time zone, language, addresses and devices, each as of the call's timestamp."""
    return await _one(request, settings, store, "identify")


@router.post(
    "/v1/batch",
    summary="Send many calls at once",
    response_model=Accepted,
    responses=WRONG,
    openapi_extra=documented({"batch": {"type": "array", "items": {"type": "object"}}}, BATCH, ["batch"]),
)
async def batch(request: Request, settings: InSettings, store: InStore) -> JSONResponse:
    """Store up to 2,500 calls, 32 KB each and 500 KB together, all or none."""
    body = _object(await request.json())
    clock = may_send(request, settings, body)
    _refuse_too_many(body)
    await accept(store, understand_all(body, clock), clock)
    return JSONResponse({"success": True})


async def _one(request: Request, settings: Settings, store: Store, kind: str) -> JSONResponse:
    refuse_larger(len(await request.body()), CALL_BYTES)
    body = _object(await request.json())
    clock = may_send(request, settings, body)
    try:
        await accept(store, [understand(body, kind, clock, moment(body.get("sentAt")))], clock)
    except Unidentified as reason:
        log.warning("a %s call is dropped: %s", kind, reason)
    return JSONResponse({"success": True})


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(400, "malformed", "the body is JSON, but not an object")
    return body


def _refuse_too_many(body: dict[str, Any]) -> None:
    calls = body.get("batch")
    if not isinstance(calls, list):
        raise Problem(400, "malformed", "batch: an array of calls is needed")
    if len(calls) > BATCH_CALLS:
        raise Problem(400, "too_large", f"batch: {len(calls)} calls are more than {BATCH_CALLS}")
    for place, call in enumerate(calls):
        refuse_larger(len(to_json(call)), CALL_BYTES, f"batch.{place}")
