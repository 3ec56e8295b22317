"""E-mail through Resend's API: https://resend.com/docs/api-reference/emails/send-email."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from activities.http import client, speaking_to
from activities.provider_errors import ProviderErrors, provider_errors
from activities.refusals import refusal
from activities.transport import Ambiguous, Failure, OutOfReach, Parcel, Throttled
from store.tagging import MESSAGE, tag_of

KEYED_FOR = timedelta(hours=24) - timedelta(minutes=5)  # with time to spare for clocks and for the call itself
KEY_LENGTH = 256  # of an idempotency key, and of a tag
NOT_IN_TAGS = re.compile(r"[^a-zA-Z0-9_-]")
PRINTABLE = re.compile(r"[!-~]+")
SAME_TIME = timedelta(seconds=2)


@dataclass(frozen=True)
class Resend:
    """Sends under our key: for 24 hours Resend takes a mail with the same key once."""

    api_key: str
    sender: str
    base_url: str
    errors: ProviderErrors = field(default_factory=provider_errors)

    keyed = True
    keyed_for = KEYED_FOR

    async def deliver(self, parcel: Parcel) -> str:
        """Return Resend's id of the mail; '' where it has taken the same mail before, and does not say under which."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Idempotency-Key": idempotency_key(parcel.key)}
        with speaking_to("Resend"):
            async with client(headers) as http:
                answer = await http.post(f"{self.base_url.rstrip('/')}/emails", json=written(parcel, self.sender))
        said = _said(answer)
        if answer.status_code == 409 and said.get("name") == "invalid_idempotent_request":
            return ""  # an earlier attempt was taken; what it said was filled in at another moment
        if answer.status_code != 200:
            raise _classed(answer, str(said.get("name", "")), str(said.get("message", "")), self.errors)
        if not said.get("id"):
            raise Ambiguous("what answers is not Resend")
        return str(said["id"])


def written(parcel: Parcel, sender: str) -> dict[str, Any]:
    """Return the mail as Resend takes it. Its webhooks repeat the tags, one of which is our key."""
    content = parcel.content
    tags = {"journey": parcel.journey, "template": parcel.template}
    named = {name: NOT_IN_TAGS.sub("_", value)[:KEY_LENGTH] for name, value in tags.items()}
    return {
        "from": parcel.content.sender or sender,
        "to": [parcel.recipients[0]],
        "subject": content.subject,
        "text": content.text,
        "html": content.html,
        "headers": dict(content.headers),
        "tags": [{"name": name, "value": value} for name, value in {**named, MESSAGE: tag_of(parcel.key)}.items() if value],
    }


def idempotency_key(key: str) -> str:
    """Return our key as a header may have it: itself, or a digest of one that is too long, or not of ASCII."""
    fits = len(key) <= KEY_LENGTH and PRINTABLE.fullmatch(key)
    return key if fits else hashlib.sha256(key.encode()).hexdigest()


def _said(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _classed(answer: httpx.Response, name: str, message: str, errors: ProviderErrors) -> Failure:
    """Tell refusals from troubles: by the table, else by the status. https://resend.com/docs/api-reference/errors"""
    status = answer.status_code
    told = f"Resend {status} {name}".strip()
    said = f"Resend says {told.removeprefix('Resend ')}: {message}"
    otherwise: Failure | None = None
    match status:
        case 429:  # too fast, or the day's quota
            otherwise = Throttled(said, _after(answer) or timedelta(seconds=1), told)
        case 409:  # an attempt with the same key is under way
            otherwise = Throttled(said, SAME_TIME, told)
        case 401 | 403 | 404 | 405:  # our account or our settings: the person is not at fault, and an operator can help
            otherwise = OutOfReach(said, told)
        case _ if not 400 <= status < 500 or status == 408:
            return Ambiguous(said, told)
    return refusal(errors, "resend", _code(status, name, message), said, told, otherwise)


def _code(status: int, name: str, message: str) -> str:
    """Return what the table calls it: Resend names several things a validation error."""
    if name != "validation_error":
        return name
    return "invalid_api_key" if "api key" in message.lower() else "invalid_domain" if status == 403 else name


def _after(answer: httpx.Response) -> timedelta | None:
    stated = answer.headers.get("Retry-After", "")
    return timedelta(seconds=int(stated)) if stated.isdecimal() and len(stated) < 6 else None
