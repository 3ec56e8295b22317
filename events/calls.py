"""What does a call of the Segment API say? From JSON as it came to what will be stored, or why it cannot be."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from events.addresses import names_of
from workflows.definition import EVENTS, JOURNEYS, Event
from workflows.transitions import is_transition

log = logging.getLogger(__name__)

ID_BYTES = 255  # of a user's id or a journey's key: both are part of a workflow's id, which Temporal limits to 1,000
MESSAGE_ID_LENGTH = 100  # Segment's limit
ANONYMOUS = "anon:"  # before a name that is an anonymousId
TYPES = ("identify", "track", "page", "screen", "group", "alias")
VIEWS = {"page": "Page Viewed", "screen": "Screen Viewed"}  # what these calls are, to a team that declares such an event
NAME_LENGTH = 100  # beyond which nobody meant another name


@dataclass(frozen=True, slots=True)
class Clock:
    """When a call is accepted: now, or for a played stream at its own date, `offset` seconds ahead of now."""

    at: datetime
    offset: float = 0.0

    @classmethod
    def real(cls) -> Clock:
        return cls(datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Call:
    """One call, understood. `status` and `error` are those of the event's row; `notes` is what was odd about it, and kept."""

    user_id: str
    message_id: str
    kind: str
    name: str
    data: Mapping[str, Any]
    context: Mapping[str, Any]
    occurred_at: datetime
    status: str
    error: str = ""
    run_id: str | None = None
    notes: list[str] = field(default_factory=list)
    anonymous_id: str | None = None  # the anonymous name in a call that has a userId too


@dataclass(frozen=True, slots=True)
class Content:
    """What a call says, apart from who and when."""

    name: str
    data: Mapping[str, Any]
    status: str
    error: str = ""


class Unidentified(ValueError):
    """A call without a usable `userId` or `anonymousId`: nobody's, so it cannot be kept."""


def understand(body: Mapping[str, Any], kind: str, clock: Clock, sent_at: datetime | None = None) -> Call:
    """Read one call; `sent_at` is when, by the client's clock, it was sent.

    Raises Unidentified where it names nobody; whatever else is wrong ends in `status` and `error`.
    """
    notes: list[str] = []
    user_id = _user_id(body)
    if VIEWS.get(kind) in EVENTS:
        kind, body = "track", _as_track(body, kind)
    content = _content(body, kind)
    return Call(
        user_id=user_id,
        message_id=_message_id(body.get("messageId")),
        kind=kind,
        name=content.name,
        data=content.data,
        context=_object(body.get("context"), "context", notes),
        occurred_at=_occurred_at(body.get("timestamp"), clock, sent_at, notes),
        status=content.status,
        error=content.error,
        notes=notes,
        anonymous_id=anonymous_id(body),
    )


def understand_all(body: Mapping[str, Any], clock: Clock) -> list[Call]:
    """Read a batch. Its own context is that of every call that does not say otherwise; unusable calls are logged, and left out."""
    calls = []
    for place, each in understand_each(body, clock):
        if isinstance(each, Call):
            calls.append(each)
        else:
            log.warning("call %s of a batch is dropped: %s", place, each)
    return calls


def understand_each(body: Mapping[str, Any], clock: Clock) -> Iterator[tuple[int, Call | Unidentified]]:
    """Read a batch: each call with its place, or why it is nobody's."""
    sent_at, shared = moment(body.get("sentAt")), body.get("context")
    for place, each in enumerate(body["batch"]):
        try:
            yield place, understand(_with_context(each, shared), _type(each), clock, sent_at)
        except Unidentified as reason:
            yield place, reason


def judge(name: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """Return the status of a tracked event, and what is wrong with it: `unknown` and `invalid` ones never reach a run."""
    if not name:
        return "invalid", "event: a track call names its event"
    kind = EVENTS.get(name)
    if kind is None:
        return "unknown", f"no journey knows an event called {name!r}{suggestion(name)}"
    if is_transition(kind):
        return "invalid", f"{name}: Sojourn itself says what becomes of a person; apps cannot send this event"
    error = misfit(kind, data)
    return ("invalid", error) if error else ("pending", "")


def suggestion(name: str) -> str:
    """Name the event that was probably meant, to stand after a sentence; '' if none is near."""
    near = _nearest(name, tuple(EVENTS)) if len(name) <= NAME_LENGTH else None
    return f"; did you mean {near!r}?" if near else ""


@lru_cache(1024)  # an app that sends what nobody knows sends a lot of it
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    plain = {_plain(each): each for each in known}
    near = get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def misfit(kind: type[Event], data: Mapping[str, Any]) -> str:
    """Say which field of the data does not fit that event, and why; '' if all do."""
    try:
        kind.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or kind.name}: {first['msg']}"
    keys = (each.key for each in JOURNEYS.values() if each.key and kind.name in each.trigger_names)
    too_long = (key for key in keys if len(str(data.get(key, "")).encode()) > ID_BYTES)
    return next((f"{key}: a journey's key has at most {ID_BYTES} bytes" for key in too_long), "")


def moment(value: Any) -> datetime | None:
    """Read an ISO 8601 moment with its zone; None for anything else."""
    try:
        read = datetime.fromisoformat(value)
        return None if read.tzinfo is None else read.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _content(body: Mapping[str, Any], kind: str) -> Content:
    match kind:
        case "track":
            name = body.get("event") if isinstance(body.get("event"), str) else ""
            return _tracked(str(name), body.get("properties") or {})
        case "identify":
            return _identified(body.get("traits") or {})
        case "alias":
            return _aliased(body)
        case "group":
            return _grouped(body)
    return Content(kind, {name: body[name] for name in ("name", "properties") if name in body}, "routed")


def _as_track(body: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a page or screen call as the track call that it is to a team that declares the event.

    What was seen is the property `name`, as with Segment, and `view`: an Event's own `name` is that on the wire.
    """
    properties = body.get("properties") or {}
    if isinstance(properties, dict) and "name" in body:
        properties = {"name": body["name"], "view": body["name"], **properties}
    return {**body, "event": VIEWS[kind], "properties": properties}


def _grouped(body: Mapping[str, Any]) -> Content:
    group = _id(body, "groupId")
    if group is None:
        return Content("group", {}, "invalid", "groupId: a group call names its group")
    return Content("group", {"groupId": group, **({"traits": body["traits"]} if "traits" in body else {})}, "routed")


def _tracked(name: str, properties: Any) -> Content:
    if not isinstance(properties, dict):
        return Content(name, {"properties": properties}, "invalid", "properties: an object is needed")
    return Content(name, properties, *judge(name, properties))


def _identified(traits: Any) -> Content:
    if not isinstance(traits, dict):
        return Content("identify", {"traits": traits}, "invalid", "traits: an object is needed")
    return Content("identify", traits, "pending")


def _aliased(body: Mapping[str, Any]) -> Content:
    previous = _id(body, "previousId")
    if previous is None:
        return Content("alias", {}, "invalid", "previousId: an alias names who the person was before")
    return Content("alias", {"previousId": previous}, "routed")


def _type(body: Any) -> str:
    kind = body.get("type") if isinstance(body, dict) else None
    if kind not in TYPES:
        raise Unidentified(f"its type is {kind!r}, and not one of {', '.join(TYPES)}")
    return str(kind)


def _with_context(body: Any, shared: Any) -> Any:
    if not isinstance(shared, dict) or not isinstance(body, dict):
        return body
    own = body.get("context")
    return {**body, "context": {**shared, **own} if isinstance(own, dict) else shared}


def _user_id(body: Mapping[str, Any]) -> str:
    for name, prefix in (("userId", ""), ("anonymousId", ANONYMOUS)):
        if (value := _id(body, name)) is not None:
            return f"{prefix}{value}"
    if (address := _address(body)) is not None:
        return address
    raise Unidentified("it has no userId, no anonymousId, and no valid email or phone among its traits")


def anonymous_id(body: Mapping[str, Any]) -> str | None:
    """Return the anonymous name in a call that names its user too."""
    both = _id(body, "userId"), _id(body, "anonymousId")
    return None if None in both else f"{ANONYMOUS}{both[1]}"


def _id(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or value == "" or isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    if len(str(value).encode()) > ID_BYTES:
        raise Unidentified(f"its {name} has more than {ID_BYTES} bytes")
    return str(value)


def _address(body: Mapping[str, Any]) -> str | None:
    """Return the name of somebody of whom nothing but an address is known, as a warehouse's rows may have it."""
    context = body["context"] if isinstance(body.get("context"), dict) else {}
    stated = (each for each in (body.get("traits"), context.get("traits")) if isinstance(each, dict))
    names = (name for traits in stated for name in names_of(traits, context.get("locale")))
    return next((name for name in names if len(name.encode()) <= ID_BYTES), None)


def _message_id(value: Any) -> str:
    """Return the id that acts once: the client's, a digest of an over-long one, or a new one."""
    if not isinstance(value, str) or not value:
        return uuid4().hex
    return value if len(value) <= MESSAGE_ID_LENGTH else "sha256:" + hashlib.sha256(value.encode()).hexdigest()


def _object(value: Any, name: str, notes: list[str]) -> Mapping[str, Any]:
    if value is None or isinstance(value, dict):
        return value or {}
    notes.append(f"{name}: an object is needed, so it is ignored")
    return {}


def _occurred_at(stated: Any, clock: Clock, sent_at: datetime | None, notes: list[str]) -> datetime:
    """Return when it happened, put right by how far the client's clock was off when it sent (Segment's formula)."""
    if stated is None:
        return clock.at
    at = moment(stated)
    if at is None:
        notes.append(f"timestamp: {str(stated)[:40]!r} is not ISO 8601 with a zone, so the time it was received is kept")
        return clock.at
    try:
        return at if sent_at is None or clock.offset else clock.at - (sent_at - at)
    except OverflowError:
        return clock.at
