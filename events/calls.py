"""What does a call of the Segment API say? From JSON as it came to what will be stored, or why it cannot be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import ValidationError

from events.addresses import names_of
from workflows.definition import EVENTS, JOURNEYS, Event
from workflows.transitions import is_transition

ID_BYTES = 255  # of a user's id or a journey's key: both are part of a workflow's id, which Temporal limits to 1,000
NAME_BYTES = 255  # of an event's name, which an index holds
MESSAGE_ID_LENGTH = 100  # Segment's limit
# How the message ids begin that Sojourn itself gives.
OURS = ("merge/", "segment/", "run/", "exit/", "pause/", "release/", "consent/", "outcome/", "import:", "sha256:")
NO_OBJECT = "properties: an object is needed"
ANONYMOUS = "anon:"  # before a name that is an anonymousId
TYPES = ("identify", "track", "page", "screen", "group", "alias")
VIEWS = {"page": "Page Viewed", "screen": "Screen Viewed"}  # what these calls are, to a team that declares such an event
MEANT_LENGTH = 100  # of a name, beyond which nobody meant another


@dataclass(frozen=True, slots=True)
class Clock:
    """When a call is accepted: now, or for a played stream at its own date, `offset` seconds ahead of now."""

    at: datetime
    offset: float = 0.0

    @classmethod
    def real(cls) -> Clock:
        return cls(datetime.now(UTC))


class Call(NamedTuple):  # which is made in a third of the time of a frozen dataclass
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
    notes: Sequence[str] = ()
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


def understand(body: Mapping[str, Any], kind: str, clock: Clock, sent_at: datetime | None = None, *, message_id: str = "") -> Call:
    """Read one call; `sent_at` is when, by the client's clock, it was sent, `message_id` its id if it states none.

    Raises Unidentified where it names nobody; whatever else is wrong ends in `status` and `error`.
    """
    notes: list[str] = []
    user, anonymous = _id(body, "userId", notes), _id(body, "anonymousId", notes)
    visitor = None if anonymous is None else f"{ANONYMOUS}{anonymous}"
    name = user or visitor or _address(body)
    if name is None:
        raise Unidentified("; ".join([*notes, "it has no userId, no anonymousId, and no valid email or phone among its traits"]))
    if VIEWS.get(kind) in EVENTS:
        kind, body = "track", _as_track(body, kind)
    content = _content(body, kind)
    return Call(
        user_id=name,
        message_id=_message_id(body.get("messageId"), notes) or message_id or uuid4().hex,
        kind=kind,
        name=content.name,
        data=content.data,
        context=_object(body.get("context"), "context", notes),
        occurred_at=_occurred_at(body.get("timestamp"), clock, sent_at, notes),
        status=content.status,
        error=content.error,
        notes=notes,
        anonymous_id=visitor if user else None,
    )


def understand_each(body: Mapping[str, Any], clock: Clock) -> Iterator[tuple[int, Call | Unidentified]]:
    """Read a batch: each call with its place, or why it is nobody's. Its context is that of calls that do not say otherwise."""
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
    if len(name.encode()) > NAME_BYTES:
        return "invalid", f"event: a name has at most {NAME_BYTES} bytes"
    kind = EVENTS.get(name)
    if kind is None:
        return "unknown", f"no journey knows an event called {name!r}{suggestion(name)}"
    if is_transition(kind):
        return "invalid", f"{name}: Sojourn itself says what becomes of a person, or of a message; apps cannot send this event"
    error = misfit(kind, data)
    return ("invalid", error) if error else ("pending", "")


def suggestion(name: str) -> str:
    """Name the event that was probably meant, to stand after a sentence; '' if none is near."""
    near = _nearest(name, tuple(EVENTS)) if len(name) <= MEANT_LENGTH else None
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
        read = datetime.fromisoformat(value.upper())  # RFC 3339 takes a lower-case z
        return None if read.tzinfo is None else read.astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def _content(body: Mapping[str, Any], kind: str) -> Content:
    match kind:
        case "track":
            name = body.get("event") if isinstance(body.get("event"), str) else ""
            return _tracked(str(name), body.get("properties") or {})
        case "identify":
            return _identified(body.get("traits") or {})
        case "alias":
            return _named("alias", "previousId", body, "previousId: an alias names who the person was before")
        case "group":
            group = _named("group", "groupId", body, "groupId: a group call names its group")
            return replace(group, data={**group.data, "traits": body["traits"]}) if group.data and "traits" in body else group
    return Content(kind, {name: body[name] for name in ("name", "properties") if name in body}, "routed")


def _as_track(body: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a page or screen call as the track call that it is to a team that declares the event.

    What was seen is the property `name`, as with Segment, and `view`: an Event's own `name` is that on the wire.
    """
    properties = body.get("properties") or {}
    if isinstance(properties, dict) and "name" in body:
        properties = {"name": body["name"], "view": body["name"], **properties}
    return {**body, "event": VIEWS[kind], "properties": properties}


def _named(kind: str, field_name: str, body: Mapping[str, Any], missing: str) -> Content:
    """Read a call that is about a name besides its person's."""
    notes: list[str] = []
    named = _id(body, field_name, notes)
    if named is None:
        return Content(kind, {}, "invalid", notes[0] if notes else missing)
    return Content(kind, {field_name: named}, "routed")


def _tracked(name: str, properties: Any) -> Content:
    status, error = judge(name, properties) if isinstance(properties, dict) else ("invalid", NO_OBJECT)
    beginning = name.encode()[:NAME_BYTES].decode(errors="ignore")
    return Content(beginning, properties if isinstance(properties, dict) else {"properties": properties}, status, error)


def _identified(traits: Any) -> Content:
    if not isinstance(traits, dict):
        return Content("identify", {"traits": traits}, "invalid", "traits: an object is needed")
    return Content("identify", traits, "pending")


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


def _id(body: Mapping[str, Any], name: str, notes: list[str]) -> str | None:
    value = _text(body.get(name))
    if value is not None and len(value.encode()) > ID_BYTES:
        notes.append(f"{name}: it has more than {ID_BYTES} bytes, so it is ignored")
        return None
    return value


def _text(value: Any) -> str | None:
    """Return a text, or a number as one; None for anything else, and for what says nothing."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _address(body: Mapping[str, Any]) -> str | None:
    """Return the name of somebody of whom nothing but an address is known, as a warehouse's rows may have it."""
    context = body["context"] if isinstance(body.get("context"), dict) else {}
    stated = (each for each in (body.get("traits"), context.get("traits")) if isinstance(each, dict))
    names = (name for traits in stated for name in names_of(traits, context.get("locale")))
    return next((name for name in names if len(name.encode()) <= ID_BYTES), None)


def _message_id(stated: Any, notes: list[str]) -> str | None:
    """Return the id that acts once, or a digest of one that is too long or would be taken for ours; None if none is stated."""
    value = _text(stated)
    if value is None and stated not in (None, ""):
        notes.append("messageId: a text is needed, so the call has another")
    if value is not None and (len(value) > MESSAGE_ID_LENGTH or value.startswith(OURS)):
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    return value


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
