"""Collecting events, in the shape of Segment's HTTP tracking API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from api.access import may_send
from api.body import BODY_BYTES, CALL_BYTES, BoundedRequest, refuse_larger
from api.errors import Problem, problems
from api.shed import refuse_unread, refuse_unstored
from events.accept import objections
from events.calls import Call, Clock, Unidentified, moment, understand, understand_each
from events.gather import Gathering

log = logging.getLogger(__name__)

Served = TypeVar("Served", bound=Callable[..., Any])

BATCH_CALLS = 2500  # Segment's limit
STRICT_HEADER = "X-Strict-Mode"


class Door(APIRoute):
    """A route that bears the load: documented as any, but its function is given the request and nothing else.

    To have FastAPI solve dependencies and render the answer costs more than to store a call (`python -m bench.ingest`).
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response = await self.endpoint(BoundedRequest(scope, receive))
        await answer(scope, receive, send)


router = APIRouter(route_class=Door, tags=["Events"])


class Accepted(BaseModel):
    """The calls are stored for good."""

    success: bool = True


WRONG = problems(
    {
        400: "The body is not JSON, or too large; with X-Strict-Mode, its content is wrong.",
        401: "The key is missing or wrong.",
        403: "The clock may not be set.",
        408: "The body took too long to come.",
        429: "Too much waits already; nothing of this is stored. Retry-After says when to come again.",
    }
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
SEEN = {**IDENTITY, "name": {"type": "string"}, "properties": {"type": "object"}}
PAGE = {"userId": "user-42", "name": "Pricing", "properties": {"url": "https://example.org/pricing"}}
SCREEN = {"userId": "user-42", "name": "Settings"}
GROUP = {"userId": "user-42", "groupId": "acme", "traits": {"plan": "team"}}
ALIAS = {"userId": "user-42", "previousId": "b1d2"}
CALLS = {"batch": {"type": "array", "items": {"type": "object"}}}
BATCH = {"batch": [{"type": "identify", **IDENTIFY}, {"type": "track", **TRACK}], "sentAt": "2026-03-02T08:30:01Z"}


def door(
    path: str, summary: str, properties: dict[str, Any], example: dict[str, Any], *required: str
) -> Callable[[Served], Served]:
    """Declare a door, and describe its body, which we read ourselves, more leniently than a schema says."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    content = {"application/json": {"schema": schema, "example": example}}
    extra = {"requestBody": {"required": True, "content": content}, "security": [{"Bearer": []}, {"Basic": []}]}
    return router.post(path, summary=summary, response_model=Accepted, responses=WRONG, openapi_extra=extra)


@door(
    "/v1/track",
    "Say what a person did",
    {**IDENTITY, "event": {"type": "string"}, "properties": {"type": "object"}},
    TRACK,
    "event",
)
async def track(request: Request) -> JSONResponse:
    """Store an event; it is durable when this answers. An unknown or malformed one is kept, and acts on nothing."""
    return await _one(request, "track")


@door("/v1/identify", "Say what is known of a person", {**IDENTITY, "traits": {"type": "object"}}, IDENTIFY)
async def identify(request: Request) -> JSONResponse:
    """Store traits, time zone, language, addresses and devices, each as of the call's timestamp."""
    return await _one(request, "identify")


@door("/v1/page", "Say which page a person saw", SEEN, PAGE)
async def page(request: Request) -> JSONResponse:
    """Keep it; where a journey knows the event `Page Viewed`, it is that, its `name` the property `view`."""
    return await _one(request, "page")


@door("/v1/screen", "Say which screen a person saw", SEEN, SCREEN)
async def screen(request: Request) -> JSONResponse:
    """Keep it; where a journey knows the event `Screen Viewed`, it is that, its `name` the property `view`."""
    return await _one(request, "screen")


@door(
    "/v1/group",
    "Say which group a person is in",
    {**IDENTITY, "groupId": {"type": "string"}, "traits": {"type": "object"}},
    GROUP,
    "groupId",
)
async def group(request: Request) -> JSONResponse:
    """Set the person's trait `group_id`; the group's own traits are kept with the call, and act on nothing."""
    return await _one(request, "group")


@door("/v1/alias", "Say who somebody was before", {**IDENTITY, "previousId": {"type": "string"}}, ALIAS, "previousId")
async def alias(request: Request) -> JSONResponse:
    """Let the two names be one person's from now on."""
    return await _one(request, "alias")


@door("/v1/import", "Send many calls at once, as old libraries do", CALLS, BATCH, "batch")
@door("/v1/batch", "Send many calls at once", CALLS, BATCH, "batch")
async def batch(request: Request) -> JSONResponse:
    """Store up to 2,500 calls, 32 KB each and 500 KB together, all or none."""
    body, clock = await _read(request, BODY_BYTES)
    _refuse_too_many(body, len(await request.body()))
    read = ((f"batch.{place}: ", each) for place, each in understand_each(body, clock))
    await _store(request, _usable(request, read), clock)
    return JSONResponse({"success": True})


async def _one(request: Request, kind: str) -> JSONResponse:
    body, clock = await _read(request, CALL_BYTES)
    try:
        read: Call | Unidentified = understand(body, kind, clock, moment(body.get("sentAt")))
    except Unidentified as reason:
        read = reason
    await _store(request, _usable(request, [("", read)]), clock)
    return JSONResponse({"success": True})


async def _read(request: Request, limit: int) -> tuple[dict[str, Any], Clock]:
    """Return what a call says, and when it is accepted. What is refused is refused as early as it can be."""
    grant = await refuse_unread(request)
    refuse_larger(len(await request.body()), limit)
    refuse_unstored(request)
    body = _object(await request.json())
    return body, may_send(request, request.app.state.settings, grant, body)


async def _store(request: Request, calls: Sequence[Call], clock: Clock) -> None:
    gathering: Gathering = request.app.state.gathering
    await gathering.accept(calls, clock)


def _usable(request: Request, read: Iterable[tuple[str, Call | Unidentified]]) -> list[Call]:
    """Return the calls, each read with its place, that are somebody's. In strict mode, refuse what is wrong with any of them."""
    strict = request.headers.get(STRICT_HEADER) == "1"
    calls = []
    for place, each in read:
        if strict and (wrong := _wrong(each)):
            raise Problem(400, "invalid", f"{place}{wrong[0]}")
        if isinstance(each, Call):
            calls.append(each)
        else:
            log.warning("%sthe call is dropped: %s", place, each)
    return calls


def _wrong(read: Call | Unidentified) -> list[str]:
    return objections(read) if isinstance(read, Call) else [str(read)]


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(400, "malformed", "the body is JSON, but not an object")
    return body


def _refuse_too_many(body: dict[str, Any], size: int) -> None:
    calls = body.get("batch")
    if not isinstance(calls, list):
        raise Problem(400, "malformed", "batch: an array of calls is needed")
    if len(calls) > BATCH_CALLS:
        raise Problem(400, "too_large", f"batch: {len(calls)} calls are more than {BATCH_CALLS}")
    for place, call in enumerate(calls if size > CALL_BYTES else ()):
        refuse_larger(len(to_json(call)), CALL_BYTES, f"batch.{place}")
