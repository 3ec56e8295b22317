"""Who may do what, by which key, and at what time a call of theirs is accepted."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBasic, HTTPBearer
from pydantic import SecretStr
from temporalio.client import Client

from api.errors import Problem
from events.calls import Clock, moment
from settings import Settings
from store.session import Store

CLOCK_HEADER = "X-Sojourn-Clock"
WHO = {"WWW-Authenticate": 'Basic realm="Sojourn"'}

by_bearer = HTTPBearer(auto_error=False, scheme_name="Bearer", description="The key as a bearer token.")
by_basic = HTTPBasic(auto_error=False, scheme_name="Basic", description="The key as the user, with no password.")


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def store_of(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def temporal_of(request: Request) -> Client | None:
    temporal: Client | None = request.app.state.temporal
    return temporal


InSettings = Annotated[Settings, Depends(settings_of)]
InStore = Annotated[Store, Depends(store_of)]
InTemporal = Annotated[Client | None, Depends(temporal_of)]


def presented(request: Request) -> str | None:
    """Return the key in the Authorization header: a bearer token, or the user of Basic."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return credentials.strip()
        case "basic":
            try:
                return b64decode(credentials, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                return None
    return None


def may_administer(request: Request, settings: InSettings) -> None:
    """Let the admin key in, and no other."""
    key = presented(request)
    if is_key(key, settings.admin_key):
        return
    if is_key(key, settings.write_key):
        raise Problem(403, "forbidden", "the write key may send events only; this takes the admin key")
    raise Problem(401, "unauthorized", "give the admin key, as a bearer token or as the user of Basic", WHO)


def may_send(request: Request, settings: Settings, body: Mapping[str, Any]) -> Clock:
    """Let the write key in, or the admin key, from the header or the body; say when its calls are accepted."""
    keys = [key for key in (presented(request), body.get("writeKey")) if isinstance(key, str)]
    if any(is_key(key, settings.admin_key) for key in keys):
        return clock_of(request, settings, is_admin=True)
    if any(is_key(key, settings.write_key) for key in keys):
        return clock_of(request, settings, is_admin=False)
    raise Problem(
        401, "unauthorized", "give the write key: as the user of Basic, as a bearer token, or as writeKey in the body", WHO
    )


def is_key(given: str | None, key: SecretStr) -> bool:
    """Compare in a time that tells nothing about the key."""
    return given is not None and hmac.compare_digest(given.encode(), key.get_secret_value().encode())


def clock_of(request: Request, settings: Settings, *, is_admin: bool) -> Clock:
    """Return when this is accepted: now, or in a played stream the time its player says. Never in production."""
    stated = request.headers.get(CLOCK_HEADER)
    if stated is None:
        return Clock.real()
    if settings.environment == "production":
        raise Problem(403, "forbidden", f"{CLOCK_HEADER} is for played streams; there are none in production")
    if not is_admin:
        raise Problem(403, "forbidden", f"{CLOCK_HEADER} takes the admin key")
    at = moment(stated)
    if at is None:
        raise Problem(400, "invalid", f"{CLOCK_HEADER}: {stated!r} is not ISO 8601 with a zone")
    return Clock(at, (at - datetime.now(UTC)).total_seconds())


def admin_clock(request: Request, settings: InSettings) -> Clock:
    """Return when an administrator's request is accepted."""
    return clock_of(request, settings, is_admin=True)


InClock = Annotated[Clock, Depends(admin_clock)]

ANY_KEY = [Security(by_bearer), Security(by_basic)]  # for the docs; `may_send` and `may_administer` decide
ADMIN = [*ANY_KEY, Depends(may_administer)]
