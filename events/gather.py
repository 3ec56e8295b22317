"""Requests that come at one time are stored in one transaction: one wait for the disk for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from events.accept import accept
from events.calls import Call, Clock
from store.outage import is_outage
from store.session import Store

log = logging.getLogger(__name__)

TOGETHER = 1000  # calls, beyond which no more requests join
SIDE_BY_SIDE = 2  # transactions on PostgreSQL, so that a person whose lock is taken holds up few


@dataclass(frozen=True)
class Waiting:
    """The calls of one request that are to be stored, and who waits for that."""

    calls: Sequence[Call]
    clock: Clock
    stored: asyncio.Future[None]


class Gathering:
    """Stores what requests bring. Whatever comes while a transaction is under way shares the next one."""

    def __init__(self, store: Store) -> None:
        self.waiting = 0  # calls that are not stored yet
        self._store = store
        self._waiting: deque[Waiting] = deque()
        self._storing: set[asyncio.Task[None]] = set()

    async def accept(self, calls: Sequence[Call], clock: Clock) -> None:
        """Store these calls, all or none: when this returns, they are durable. Raises what storing these by themselves raises.

        Who is cancelled meanwhile does not know whether they are stored, and may send them again under their message ids.
        """
        if not calls:
            return
        waiting = Waiting(calls, clock, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self.waiting += len(calls)
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
                for each in group:
                    self.waiting -= len(each.calls)
                    each.stored.cancel()  # only if this task itself is cancelled
        self._storing.discard(asyncio.current_task())  # at once: the next call begins another

    def _next(self) -> list[Waiting]:
        """Take what can be stored together: requests of now, or one of a played stream, whose clock is its own."""
        group = [self._waiting.popleft()] if self._waiting else []
        count = sum(len(each.calls) for each in group)
        while self._waiting and not group[0].clock.offset and not self._waiting[0].clock.offset:
            count += len(self._waiting[0].calls)
            if count > TOGETHER:
                break
            group.append(self._waiting.popleft())
        return group

    async def _store_group(self, group: list[Waiting]) -> None:
        clock = max((each.clock for each in group), key=lambda clock: clock.at)
        try:
            await accept(self._store, [call for each in group for call in each.calls], clock)
        except Exception as error:
            if len(group) == 1 or is_outage(error):
                _fail(group, error)
                return
            log.warning("%s requests could not be stored together, so each is by itself: %s", len(group), type(error).__name__)
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
