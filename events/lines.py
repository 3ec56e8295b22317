"""What does a line of a file say? A call, or why it is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from events.calls import TYPES, Call, Clock, Unidentified, moment, understand
from events.files import Line

CALL_CHARACTERS = 32 * 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that is not imported, and why."""

    line: int
    reason: str


def read(line: Line, digest: str, clock: Clock) -> Call | Refusal:
    """Understand a line as a call. Without a usable `messageId` it has one of its place in this very file."""
    if line.fault:
        return Refusal(line.number, line.fault)
    if line.length > CALL_CHARACTERS:
        return Refusal(line.number, f"it has {line.length:,} characters, and a call at most {CALL_CHARACTERS:,}")
    body = line.call
    if fault := _fault(body):
        return Refusal(line.number, fault)
    try:
        call = understand(body, _type(body), clock, message_id=f"import:{digest[:32]}:{line.number}")
    except Unidentified as reason:
        return Refusal(line.number, str(reason))
    return Refusal(line.number, call.error) if call.status == "invalid" else call


def _type(body: dict[str, Any]) -> str:
    return body.get("type") or ("track" if "event" in body else "identify" if "traits" in body else "")


def _fault(body: dict[str, Any]) -> str:
    if _type(body) not in TYPES:
        return f"type: {str(body.get('type'))[:40]!r} is not one of {', '.join(TYPES)}"
    stated = body.get("timestamp")
    if stated is not None and moment(stated) is None:
        return f"timestamp: {str(stated)[:40]!r} is not ISO 8601 with a zone"
    return ""
