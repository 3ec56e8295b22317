"""Keys of the API: made, listed, rotated and revoked; a secret is shown once, and only its hash is kept."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import update
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.operators import Operator
from store.impersonal import Key
from store.session import Store

Scope = Literal["ingest", "read", "inbox", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
GRACE = timedelta(hours=24)
BOOTSTRAP = ("SOJOURN_WRITE_KEY", "SOJOURN_ADMIN_KEY")  # what the keys from the settings are called


NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # fit for a path


class Refused(ValueError):
    """It cannot be done with that key. Says why."""


class Taken(Refused):
    """There is a key of that name."""


def digest(secret: str) -> str:
    """Return what is kept of a secret. It has 256 bits of chance, so that a plain SHA-256 gives nothing away."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def add(
    store: Store, name: str, scope: Scope, operator: Operator, *, rate: float | None = None, expires_at: datetime | None = None
) -> str:
    """Make a key of at most `rate` requests a second, and return its secret. Raises Taken, or Refused for what is no use."""
    if not NAME.fullmatch(name):
        raise Refused(f"name: {name!r} has to be of letters, digits, dots, dashes and underscores (A-Z a-z 0-9 . - _), at most 64")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise Refused(f"rate: {rate:g} requests a second let nobody in; give a number above 0, or none for no limit")
    if name in BOOTSTRAP:
        raise Taken(f"name: {name} is the key from the settings; choose another name")
    async with store.write() as session:
        if await _valid(session, name, operator.at):
            raise Taken(f"name: there is a key {name!r}; rotate it, or choose another name")
        secret = _mint(session, name, scope, operator.at, rate, expires_at)
        session.add(operator.did("add key", subject=name, details={"scope": scope, "rate": rate}))
    return secret


async def rotate(store: Store, name: str, operator: Operator, *, grace: timedelta = GRACE) -> str:
    """Make a new secret for a key, and return it; the old one stays valid for `grace`. Raises Refused if there is none.

    The new one is what the old one was, up to when it expires.
    """
    async with store.write() as session:
        valid = await _valid(session, name, operator.at)
        if not valid:
            raise Refused(f"there is no valid key {name!r}; `sojourn keys list` shows those there are")
        newest, ends = valid[-1], operator.at + grace
        secret = _mint(session, name, newest.scope, operator.at, newest.rate, newest.expires_at)
        for old in valid:
            old.expires_at = min(old.expires_at or ends, ends)
            session.add(old)
        session.add(operator.did("rotate key", subject=name, details={"grace_seconds": grace.total_seconds()}))
    return secret


async def revoke(store: Store, name: str, operator: Operator) -> int:
    """Let nobody in by a key any more, nor by its older secrets. Raises Refused if there is none."""
    async with store.write() as session:
        valid = await _valid(session, name, operator.at)
        if not valid:
            raise Refused(f"there is no valid key {name!r}; `sojourn keys list` shows those there are")
        mine = update(Key).where(col(Key.id).in_([each.id for each in valid]))
        await session.exec(mine.values(revoked_at=operator.at))
        session.add(operator.did("revoke key", subject=name))
    return len(valid)


async def listed(store: Store) -> Sequence[Key]:
    """Return every key that there is or was, the oldest first."""
    async with store.read() as session:
        return (await session.exec(select(Key).order_by(col(Key.id)))).all()


async def _valid(session: AsyncSession, name: str, at: datetime) -> Sequence[Key]:
    """Return the valid secrets of a name, the newest last. Who makes or changes a key of that name takes turns."""
    if session.get_bind().dialect.name != "sqlite":
        await session.exec(select(func.pg_advisory_xact_lock(func.hashtext(f"key {name}"))))
    unexpired = or_(col(Key.expires_at).is_(None), col(Key.expires_at) > at)
    mine = select(Key).where(Key.name == name, col(Key.revoked_at).is_(None), unexpired)
    return (await session.exec(mine.order_by(col(Key.id)))).all()


def _mint(session: AsyncSession, name: str, scope: str, at: datetime, rate: float | None, expires_at: datetime | None) -> str:
    secret = f"sj_{scope}_{secrets.token_urlsafe(32)}"
    session.add(Key(name=name, scope=scope, hash=digest(secret), rate=rate, created_at=at, expires_at=expires_at))
    return secret
