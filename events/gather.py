"""Calls that come at one time are stored in one transaction: one wait for the disk for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import takewhile

from events.accept import accept
from events.calls import Call, Clock
from events.route import is_outage
from store.session import Store

log = logging.getLogger(__name__)

TOGETHER = 200  # calls at most
SIDE_BY_SIDE = 4  # transactions on PostgreSQL, so that a person whose lock is taken holds up few


@dataclass(frozen=True)
class Waiting:
    """A call that is to be stored, and who waits for that."""

    call: Call
    clock: Clock
    stored: asyncio.Future[None]


class Gathering:
    """Stores single calls. Whatever comes while a transaction is under way shares the next one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[Waiting] = deque()
        self._storing: set[asyncio.Task[None]] = set()

    async def accept(self, call: Call, clock: Clock) -> None:
        """Store the call: when this returns, it is durable. Raises what storing this one call raises.

        Who is cancelled meanwhile does not know whether it is stored, and may send it again under its message id.
        """
        waiting = Waiting(call, clock, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._storing) < (1 if self._store.is_sqlite else SIDE_BY_SIDE):
            task = asyncio.create_task(self._store_all())
            self._storing.add(task)
            task.add_done_callback(self._storing.discard)
        await waiting.stored

    async def close(self) -> None:
        """Return when all that waits is stored."""
        while self._storing:
            await asyncio.wait(self._storing)

    async def _store_all(self) -> None:
        while group := self._next():
            try:
                await self._store_group(group)
            finally:
                for each in group:  # only if this task itself is cancelled
                    each.stored.cancel()
        self._storing.discard(asyncio.current_task())  # at once: the next call begins another

    def _next(self) -> list[Waiting]:
        """Take what can be stored together: calls of now, or one of a played stream, whose clock is its own."""
        group = list(
            takewhile(lambda each: not each.clock.offset, (self._waiting[i] for i in range(min(TOGETHER, len(self._waiting)))))
        )
        group = group or ([self._waiting[0]] if self._waiting else [])
        for _ in group:
            self._waiting.popleft()
        return group

    async def _store_group(self, group: list[Waiting]) -> None:
        clock = max((each.clock for each in group), key=lambda clock: clock.at)
        try:
            await accept(self._store, [each.call for each in group], clock)
        except Exception as error:
            if len(group) == 1 or is_outage(error):
                _fail(group, error)
                return
            log.warning("%s calls could not be stored together, so each is by itself: %s", len(group), type(error).__name__)
            for each in group:
                await self._store_group([each])
            return
        for each in group:
            if not each.stored.done():
                each.stored.set_result(None)


def _fail(group: list[Waiting], error: Exception) -> None:
    for each in group:
        if not each.stored.done():
            each.stored.set_exception(error)
