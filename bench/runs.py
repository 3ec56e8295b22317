"""How many runs a second, from the first event to the last message, beside the bare workflow?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench.house import House
from bench.sends import Sends

AT_ONCE = 32
BATCH = 100


async def ours(up: House, people: Sequence[str]) -> float:
    """Take so many people through the yardstick journey by HTTP; return the seconds it took."""
    return await _timed(up.provider, people, lambda: begin_ours(up, people), lambda: _tell(up, people, "acted"))


async def bare(up: House, people: Sequence[str]) -> float:
    """Take so many people through the bare workflow; return the seconds it took."""
    return await _timed(up.bare, people, lambda: begin_bare(up, people), lambda: _act_bare(up, people))


async def begin_ours(up: House, people: Sequence[str]) -> None:
    """Let them arrive, in batches."""
    calls = [{"type": "identify", "userId": person, "traits": {"email": f"{person}@example.org"}} for person in people]
    await _post(up, calls)
    await _tell(up, people, "arrived")


async def begin_bare(up: House, people: Sequence[str]) -> None:
    """Start the workflow for each of them, as many at once as our router does."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def start(person: str) -> None:
        async with turns:
            await up.temporal.start_workflow("bare_onboarding", person, id=f"bare/{person}", task_queue="bare")

    await asyncio.gather(*(start(person) for person in people))


async def _act_bare(up: House, people: Sequence[str]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def act(person: str) -> None:
        async with turns:
            await up.temporal.get_workflow_handle(f"bare/{person}").signal("acted")

    await asyncio.gather(*(act(person) for person in people))


async def _tell(up: House, people: Sequence[str], event: str) -> None:
    await _post(up, [{"type": "track", "userId": person, "event": event} for person in people])


async def _post(up: House, calls: Sequence[dict[str, Any]]) -> None:
    for first in range(0, len(calls), BATCH):
        (await up.api.post("/v1/batch", json={"batch": calls[first : first + BATCH]})).raise_for_status()


async def _timed(
    sends: Sends, people: Sequence[str], begin: Callable[[], Awaitable[None]], act: Callable[[], Awaitable[None]]
) -> float:
    """Both contenders go in the same two waves: all begin and are written to, then all act and are written to again."""
    began = time.perf_counter()
    for wave, of_all in enumerate((begin, act), 1):
        all_sent = sent_to_all(sends, people, wave)
        await of_all()
        await all_sent
    return time.perf_counter() - began


def sent_to_all(sends: Sends, people: Sequence[str], count: int) -> asyncio.Future[None]:
    """Return what is done once each of them has been sent so many messages."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    left = set(people)

    def on_sent(person: str) -> None:
        if len(sends.moments[person]) >= count:
            left.discard(person)
        if not left and not done.done():
            done.set_result(None)

    sends.on_sent = on_sent
    return done
