"""Too much: when more waits than can be served soon, calls are refused at once, before anything of them is read."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from fastapi import Request
from sqlmodel import func, select

from api.access import fresh_keys, granted_by_header
from api.errors import Problem
from api.keyring import Grant
from events.claim import to_route
from events.gather import Gathering
from settings import Settings
from store.session import Store
from store.tables import LIVE, AcceptedEvent

AGAIN = {"Retry-After": "1", "X-RateLimit-Reset": "1"}  # seconds


@dataclass
class Load:
    """How many live events wait for the router, as of some time ago."""

    every: float = 1.0  # seconds at least from one count to the next
    waiting: int = 0
    counted_at: float = float("-inf")

    async def unrouted(self, store: Store, most: int) -> int:
        """Return how many live events wait to be routed, up to one more than `most`; during a count, the last one."""
        if monotonic() - self.counted_at >= self.every:
            self.counted_at = monotonic()
            few = select(AcceptedEvent.id).where(AcceptedEvent.lane == LIVE, to_route).limit(most + 1).subquery()
            async with store.read() as session:
                self.waiting = (await session.exec(select(func.count()).select_from(few))).one()
        return self.waiting


async def refuse_unread(request: Request) -> Grant | None:
    """Refuse a call by what is known before its body is: too much waits already, or the key in its header is none.

    Returns what that key grants.
    """
    load: Load = request.app.state.load
    settings: Settings = request.app.state.settings
    refuse_unstored(request)
    if await load.unrouted(request.app.state.store, settings.shed_at) > settings.shed_at:
        raise Problem(429, "overloaded", "too many events wait to be routed; send this again in a second", AGAIN)
    await fresh_keys(request)
    return granted_by_header(request, settings)


def refuse_unstored(request: Request) -> None:
    """Refuse a call while too many wait to be stored. To be asked once more when it is read: others have come meanwhile."""
    gathering: Gathering = request.app.state.gathering
    settings: Settings = request.app.state.settings
    if gathering.waiting >= settings.shed_waiting:
        raise Problem(429, "overloaded", "too many calls wait to be stored; send this again in a second", AGAIN)
