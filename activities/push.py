"""Push notifications through Firebase Cloud Messaging, HTTP v1."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
from sqlalchemy import delete
from sqlmodel import col

from activities.http import client, speaking_to
from activities.provider_errors import ProviderErrors, provider_errors
from activities.refusals import refusal
from activities.transport import Ambiguous, Content, Failure, OutOfReach, Parcel, Throttled, Undeliverable
from store.session import Store
from store.tables import Device

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class NoSuchDevice(Failure):
    """The token is no device's any more."""


class Push:
    """Sends to each of a person's devices; it has arrived if one took it.

    FCM takes no idempotency key, but a notification with the same tag replaces the one before it on the device.
    """

    def __init__(self, store: Store, credentials_file: Path, base_url: str, errors: ProviderErrors | None = None) -> None:
        self._store = store
        self._errors = errors or provider_errors()
        self._base_url = base_url
        self._login = _credentials(credentials_file)

    @property
    def keyed(self) -> bool:
        return False

    async def deliver(self, parcel: Parcel) -> str:
        """Return FCM's name of the first message it took. Forgets the devices that are gone."""
        await self._log_in()
        url = f"{self._base_url}/v1/projects/{self._login.project_id}/messages:send"
        headers = {"Authorization": f"Bearer {self._login.token}"}
        async with client(headers) as http:
            sends = (_send(http, url, notification(parcel, token), self._errors) for token in parcel.recipients)
            answers = await asyncio.gather(*sends, return_exceptions=True)
        gone = [token for token, answer in zip(parcel.recipients, answers, strict=True) if isinstance(answer, NoSuchDevice)]
        await self._forget(gone)
        return _outcome(answers)

    async def _log_in(self) -> None:
        """See that there is an access token, and that it lives on for minutes."""
        try:
            if not self._login.valid:
                await asyncio.to_thread(self._login.refresh, Request())
        except GoogleAuthError as error:
            raise OutOfReach("Google gives no access token for the service account", "FCM login") from error

    async def _forget(self, tokens: list[str]) -> None:
        if tokens:
            async with self._store.write() as session:
                await session.exec(delete(Device).where(col(Device.token).in_(tokens)))


def _credentials(file: Path) -> Credentials:
    login: Credentials = Credentials.from_service_account_file(str(file), scopes=[SCOPE])  # type: ignore[no-untyped-call]
    return login


def notification(parcel: Parcel, token: str) -> dict[str, Any]:
    """Return the body of `messages:send`: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages"""
    tag = hashlib.sha256(parcel.key.encode()).hexdigest()[:32]
    return {
        "message": {
            "token": token,
            "notification": {"title": parcel.content.subject, "body": parcel.content.text},
            "data": _data(parcel.content),
            "android": {"notification": {"tag": tag}},
            "apns": {"headers": {"apns-collapse-id": tag}},
        }
    }


def _data(content: Content) -> dict[str, str]:
    return {"action": content.action, "link": content.action_url} if content.action_url else {}


async def _send(http: httpx.AsyncClient, url: str, body: dict[str, Any], errors: ProviderErrors) -> str:
    with speaking_to("FCM"):
        answer = await http.post(url, json=body)
    if not answer.is_success:
        raise _classed(answer, errors)
    try:
        return str(answer.json()["name"])
    except (ValueError, LookupError, TypeError) as error:
        raise Ambiguous("what answers is not FCM") from error


def _classed(answer: httpx.Response, errors: ProviderErrors) -> Exception:
    """Tell apart what FCM refuses, by the table: https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode"""
    status, message, details = _error(answer)
    named = next((each.get("errorCode", "") for each in details if each.get("@type") == FCM_ERROR), "")
    code = "INVALID_TOKEN" if answer.status_code == 400 and _blames_token(details) else named or status
    said, told = f"FCM says {answer.status_code} {code}: {message}", f"FCM {answer.status_code} {code}".strip()
    otherwise: Failure | None = None
    if answer.status_code in (429, 503):
        otherwise = Throttled(said, _retry_after(answer), told)
    elif answer.status_code in (401, 403):  # our account: the person is not at fault, and an operator can help
        otherwise = OutOfReach(said, told)
    elif answer.is_server_error:
        return Ambiguous(said, told)
    if (rule := errors.known("fcm", code)) is not None and rule.kind == "remove_token":
        return NoSuchDevice(said, told)
    return refusal(errors, "fcm", code, said, told, otherwise)


def _blames_token(details: list[dict[str, Any]]) -> bool:
    """Tell the two 400s apart, which share code and status: the token is no token, or our payload is wrong and the device fine."""
    violations = [each for detail in details for each in detail.get("fieldViolations") or ()]
    fields = [each.get("field") for each in violations if isinstance(each, dict)]
    return any(each.get("@type") == FCM_ERROR for each in details) and all(field == "message.token" for field in fields)


def _error(answer: httpx.Response) -> tuple[str, str, list[dict[str, Any]]]:
    """Return the status, what FCM says, and the details, as far as the answer has them."""
    try:
        error = answer.json()["error"]
        details = [each for each in error.get("details") or () if isinstance(each, dict)]
        return str(error.get("status", "")), str(error.get("message", "")), details
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", answer.text[:200], []


def _retry_after(answer: httpx.Response) -> timedelta | None:
    """Return the header's seconds (RFC 9110, 10.2.3); None for a date, which FCM does not send, or nothing."""
    seconds = answer.headers.get("Retry-After", "")
    return timedelta(seconds=int(seconds)) if seconds.isdecimal() and len(seconds) < 6 else None


def _outcome(answers: list[str | BaseException]) -> str:
    """Return the name of a message that was taken; else raise what may change, before what will not."""
    if names := [answer for answer in answers if isinstance(answer, str)]:
        return names[0]
    for kind in (Ambiguous, TimeoutError, Throttled, Exception):
        for answer in answers:
            if isinstance(answer, kind) and not isinstance(answer, NoSuchDevice | Undeliverable):
                raise answer
    refused = [answer for answer in answers if isinstance(answer, Undeliverable)]
    raise refused[0] if refused else Undeliverable("none of their devices is registered any more", "no device")
