"""Too much: when what waits is more than can be served soon, calls are refused at once, before anything of them is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from fastapi import Request
from sqlmodel import func, select

from api.errors import Problem
from events.claim import to_route
from settings import Settings
from store.session import Store
from store.tables import LIVE, AcceptedEvent

AGAIN = {"Retry-After": "1", "X-RateLimit-Reset": "1"}  # seconds


@dataclass
class Load:
    """What waits: live events for the router, as of some time ago, and calls inside this process."""

    every: float = 1.0  # seconds at least from one count to the next
    waiting: int = 0
    inside: int = 0
    counted_at: float = float("-inf")

    async def unrouted(self, store: Store, most: int) -> int:
        """Return how many live events wait to be routed, up to one more than `most`; during a count, the last one."""
        if monotonic() - self.counted_at >= self.every:
            self.counted_at = monotonic()
            few = select(AcceptedEvent.id).where(AcceptedEvent.lane == LIVE, to_route).limit(most + 1).subquery()
            async with store.read() as session:
                self.waiting = (await session.exec(select(func.count()).select_from(few))).one()
        return self.waiting


@asynccontextmanager
async def admitted(request: Request) -> AsyncIterator[None]:
    """Let a call in, or answer 429."""
    load: Load = request.app.state.load
    settings: Settings = request.app.state.settings
    if load.inside >= settings.shed_waiting:
        raise Problem(429, "overloaded", "too many calls wait to be stored; send this again in a second", AGAIN)
    load.inside += 1
    try:
        if await load.unrouted(request.app.state.store, settings.shed_at) > settings.shed_at:
            raise Problem(429, "overloaded", "too many events wait to be routed; send this again in a second", AGAIN)
        yield
    finally:
        load.inside -= 1
