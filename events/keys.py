"""Keys of the API: made, listed, rotated and revoked; a secret is shown once, and only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import update
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.operators import Operator
from store.session import Store
from store.tables import Key

Scope = Literal["ingest", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
GRACE = timedelta(hours=24)
BOOTSTRAP = ("SOJOURN_WRITE_KEY", "SOJOURN_ADMIN_KEY")  # what the keys from the settings are called


class Refused(ValueError):
    """It cannot be done with that key. Says why."""


def digest(secret: str) -> str:
    """Return what is kept of a secret. It has 256 bits of chance, so that a plain SHA-256 gives nothing away."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def add(
    store: Store, name: str, scope: Scope, operator: Operator, *, rate: float | None = None, expires_at: datetime | None = None
) -> str:
    """Make a key, and return its secret. Raises Refused if there is one of that name."""
    if name in BOOTSTRAP:
        raise Refused(f"name: {name} is the key from the settings; choose another name")
    async with store.write() as session:
        if await _valid(session, name, operator.at):
            raise Refused(f"name: there is a key {name!r}; rotate it, or choose another name")
        secret = _mint(session, name, scope, operator.at, rate, expires_at)
        session.add(operator.did("add key", subject=name, details={"scope": scope, "rate": rate}))
    return secret


async def rotate(store: Store, name: str, operator: Operator, *, grace: timedelta = GRACE) -> str:
    """Make a new secret for a key, and return it; the old one stays valid for `grace`. Raises Refused if there is none."""
    async with store.write() as session:
        valid = await _valid(session, name, operator.at)
        if not valid:
            raise Refused(f"there is no valid key {name!r}; `sojourn keys list` shows those there are")
        ends = operator.at + grace
        for old in valid:
            old.expires_at = min(old.expires_at or ends, ends)
            session.add(old)
        secret = _mint(session, name, valid[-1].scope, operator.at, valid[-1].rate, None)
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
    unexpired = or_(col(Key.expires_at).is_(None), col(Key.expires_at) > at)
    mine = select(Key).where(Key.name == name, col(Key.revoked_at).is_(None), unexpired)
    return (await session.exec(mine.order_by(col(Key.id)).with_for_update())).all()


def _mint(session: AsyncSession, name: str, scope: str, at: datetime, rate: float | None, expires_at: datetime | None) -> str:
    secret = f"sj_{scope}_{secrets.token_urlsafe(32)}"
    session.add(Key(name=name, scope=scope, hash=digest(secret), rate=rate, created_at=at, expires_at=expires_at))
    return secret
