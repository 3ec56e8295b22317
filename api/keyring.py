"""The keys that let in, as this process knows them: read anew every two seconds, so that a request costs no query."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select

from events.keys import BOOTSTRAP, digest
from settings import Settings
from store.impersonal import Key
from store.session import Store

FRESH_SECONDS = 2.0
COARSE = timedelta(minutes=5)  # to which `last_used_at` is kept


@dataclass(frozen=True)
class Grant:
    """What a key may do. Without `id` it is from the settings. Secrets of one name share its rate."""

    name: str
    scope: str
    id: int = 0
    rate: float | None = None
    expires_at: datetime | None = None


@dataclass
class Bucket:
    """Tokens, of which a request takes one; they come back at the key's rate, up to those of one second."""

    tokens: float
    at: float


@dataclass
class Keyring:
    """Who is let in. `clock` is monotonic, in seconds."""

    clock: Callable[[], float] = time.monotonic
    grants: dict[str, Grant] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    read_at: float = float("-inf")
    forgotten: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self, store: Store) -> None:
        """Read the keys if that was long ago. A key that was added or revoked counts within two seconds, here and elsewhere."""
        if self.clock() - self.read_at < FRESH_SECONDS:
            return
        async with self.turn:
            if self.clock() - self.read_at >= FRESH_SECONDS:
                await self._read(store)

    def forget(self) -> None:
        """Read the keys anew before the next request; what is being read just now may be of before."""
        self.forgotten += 1
        self.read_at = float("-inf")

    def grant(self, secret: str, settings: Settings, now: datetime) -> Grant | None:
        """Return what a secret grants, if it is one. Compared in a time that tells nothing about it."""
        for name, key, scope in zip(BOOTSTRAP, (settings.write_key, settings.admin_key), ("ingest", "admin"), strict=True):
            if hmac.compare_digest(secret.encode(), key.get_secret_value().encode()):
                return Grant(name, scope)
        found = self.grants.get(digest(secret))
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        self.used.add(found.id)
        return found

    def wait(self, grant: Grant) -> float:
        """Take a token, and return 0; or, if none is left, in how many seconds there is one."""
        if grant.rate is None:
            return 0
        now, most = self.clock(), max(grant.rate, 1.0)
        bucket = self.buckets.setdefault(grant.name, Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * grant.rate)
        bucket.at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / grant.rate
        bucket.tokens -= 1
        return 0

    async def _read(self, store: Store) -> None:
        used, self.used = self.used, set()
        forgotten, begun_at = self.forgotten, self.clock()
        now = datetime.now(UTC)
        async with store.read() as session:
            keys = (await session.exec(select(Key).where(col(Key.revoked_at).is_(None)))).all()
        self.grants = {each.hash: Grant(each.name, each.scope, each.id or 0, each.rate, each.expires_at) for each in keys}
        if forgotten == self.forgotten:
            self.read_at = begun_at
        stale = [each.id for each in keys if each.id in used and (each.last_used_at or now - 2 * COARSE) < now - COARSE]
        if stale:
            async with store.write(durable=False) as session:
                await session.exec(update(Key).where(col(Key.id).in_(stale)).values(last_used_at=now))
