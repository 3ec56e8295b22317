"""How long from an event to the call of the channel, at a light load, beside the bare workflow?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.house import House
from bench.sends import Sends

PAUSE_SECONDS = 0.05


async def ours(up: House, people: Sequence[str]) -> list[float]:
    """People who wait act one by one; return the seconds from just before the HTTP call to the provider's."""
    taken = []
    for person in people:
        called, asked = _called(up.provider, person), datetime.now(UTC)
        (await up.api.post("/v1/track", json={"userId": person, "event": "acted"})).raise_for_status()
        taken.append((await called - asked).total_seconds())
        await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def bare(up: House, people: Sequence[str]) -> list[float]:
    """The same with a bare signal."""
    taken = []
    for person in people:
        called, asked = _called(up.bare, person), datetime.now(UTC)
        await up.temporal.get_workflow_handle(f"bare/{person}").signal("acted")
        taken.append((await called - asked).total_seconds())
        await asyncio.sleep(PAUSE_SECONDS)
    return taken


def _called(sends: Sends, person: str) -> asyncio.Future[datetime]:
    called: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()

    def on_sent(recipient: str) -> None:
        if recipient == person and not called.done():
            called.set_result(datetime.now(UTC))

    sends.on_sent = on_sent
    return called
