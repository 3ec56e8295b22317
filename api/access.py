"""Who may do what, by which key, and at what time a call of theirs is accepted."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPBasic, HTTPBearer
from temporalio.client import Client

from api.errors import Problem
from api.keyring import Grant, Keyring
from events.calls import Clock, moment
from events.operators import Operator
from settings import Settings
from store.session import Store

CLOCK_HEADER = "X-Sojourn-Clock"
WHO = {"WWW-Authenticate": 'Basic realm="Sojourn"'}

MAY = {
    "ingest": "the write key may send events only",
    "read": "a read key may look at what is not private, and change nothing",
    "inbox": "an inbox key may read people's inboxes, and mark their messages as read",
    "admin": "an admin key may do everything",
}
GIVE_WRITE = "give the write key: as the user of Basic, as a bearer token, or as writeKey in the body"
TAKES = {"read": "a read or an admin key", "inbox": "an inbox or an admin key", "admin": "an admin key"}
Who = Annotated[str, Header(alias="X-Actor", max_length=1000, description="Who does it, in UTF-8. It is recorded.")]
Why = Annotated[str, Header(alias="X-Reason", max_length=1000, description="Why, in UTF-8. It is recorded.")]

by_bearer = HTTPBearer(auto_error=False, scheme_name="Bearer", description="The key as a bearer token.")
by_basic = HTTPBasic(auto_error=False, scheme_name="Basic", description="The key as the user, with no password.")


async def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def store_of(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def temporal_of(request: Request) -> Client | None:
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


async def fresh_keys(request: Request) -> None:
    """Know the keys as they were within the last two seconds."""
    await keyring_of(request).refresh(request.app.state.store)


async def may_administer(request: Request, settings: InSettings) -> None:
    """Let an admin key in, and no other."""
    _let_in_by_header(request, settings, "admin")


async def may_read(request: Request, settings: InSettings) -> None:
    """Let a read key in to look, and an admin key to do anything."""
    _let_in_by_header(request, settings, "read" if request.method in ("GET", "HEAD") else "admin")


async def may_show(request: Request, settings: InSettings) -> None:
    """Let an inbox or an admin key in. A read key is shown no private trait, and a message may say one."""
    _let_in_by_header(request, settings, "inbox")


def _let_in_by_header(request: Request, settings: Settings, scope: str) -> None:
    """Let a key of that scope in, or an admin key, and no other."""
    grant = _granted(request, settings, presented(request))
    if grant is None:
        raise Problem(401, "unauthorized", f"give {TAKES[scope]}, as a bearer token or as the user of Basic", WHO)
    if grant.scope not in (scope, "admin"):
        raise Problem(403, "forbidden", f"{MAY[grant.scope]}; this takes {TAKES[scope]}")
    _let_in(request, grant)


def may_send(request: Request, settings: Settings, by_header: Grant | None, body: Mapping[str, Any]) -> Clock:
    """Let a key in that may send, from the header or the body; say when its calls are accepted."""
    stated = body.get("writeKey")
    by_body = _granted(request, settings, stated) if isinstance(stated, str) else None
    grants = [grant for grant in (by_header, by_body) if grant is not None]
    sending = sorted((grant for grant in grants if grant.scope in ("ingest", "admin")), key=lambda grant: grant.scope == "ingest")
    if sending:
        _let_in(request, sending[0])
        return clock_of(request, settings, is_admin=sending[0].scope == "admin")
    if grants:
        raise Problem(403, "forbidden", f"{MAY[grants[0].scope]}; this takes a write key")
    raise Problem(401, "unauthorized", GIVE_WRITE, WHO)


def granted_by_header(request: Request, settings: Settings) -> Grant | None:
    """Return what the key in the header grants; None without one: it may be in the body. Refuses one that is no key."""
    secret = presented(request)
    grant = _granted(request, settings, secret)
    if secret and grant is None:
        raise Problem(401, "unauthorized", GIVE_WRITE, WHO)
    return grant


def _granted(request: Request, settings: Settings, secret: str | None) -> Grant | None:
    """Return what a secret grants, None if it is no valid key."""
    return keyring_of(request).grant(secret, settings, datetime.now(UTC)) if secret else None


def _let_in(request: Request, grant: Grant) -> None:
    """Let a request in by a key, and remember by which. Refuses one that is used more often than it may be."""
    if wait := keyring_of(request).wait(grant):
        retry = {"Retry-After": str(ceil(wait))}
        raise Problem(429, "rate_limited", f"key {grant.name!r} may make {grant.rate:g} requests a second; try again later", retry)
    request.state.grant = grant


def keyring_of(request: Request) -> Keyring:
    """Return what this process knows of the keys."""
    keyring: Keyring | None = getattr(request.app.state, "keyring", None)
    if keyring is None:
        keyring = request.app.state.keyring = Keyring()
    return keyring


def key_name(request: Request) -> str:
    """Return the name of the key that was let in."""
    grant: Grant = request.state.grant
    return grant.name


async def sees_all(request: Request) -> bool:
    """Say whether the key shows private traits too: an admin key does."""
    grant: Grant = request.state.grant
    return grant.scope == "admin"


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


async def admin_clock(request: Request, settings: InSettings) -> Clock:
    """Return when an administrator's request is accepted."""
    return clock_of(request, settings, is_admin=True)


InClock = Annotated[Clock, Depends(admin_clock)]


async def operator(request: Request, clock: InClock, actor: Who = "", reason: Why = "") -> Operator:
    """Return who does it, and why, by the headers. Refuses who does not say."""
    for name, said in (("X-Actor", actor), ("X-Reason", reason)):
        if not said.strip():
            raise Problem(422, "invalid", f"{name}: this is recorded with who does it, and why: give both X-Actor and X-Reason")
    return Operator(_written(actor), _written(reason), key_name(request), clock.at)


async def app(request: Request, clock: InClock, actor: Who = "", reason: Why = "") -> Operator:
    """Return who does what apps do as a matter of course: it is the key, unless the headers say who, and why."""
    name = key_name(request)
    return Operator(_written(actor) or name, _written(reason), name, clock.at)


def _written(header: str) -> str:
    """Return what a header says. HTTP hands it over as Latin-1, whatever was written."""
    try:
        return header.encode("latin-1").decode().strip()
    except UnicodeError:
        return header.strip()


InOperator = Annotated[Operator, Depends(operator)]
SeesAll = Annotated[bool, Depends(sees_all)]
InApp = Annotated[Operator, Depends(app)]

# What a router declares: the schemes are for the docs, and `may_send`, `may_read`, `may_show` or `may_administer` decides.
ANY_KEY = [Security(by_bearer), Security(by_basic), Depends(fresh_keys)]
READ = [*ANY_KEY, Depends(may_read)]
INBOX = [*ANY_KEY, Depends(may_show)]
ADMIN = [*ANY_KEY, Depends(may_administer)]
