"""Hearing on PostgreSQL that something was announced: one connection a process listens, and comes back after an outage."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.ext.asyncio import AsyncEngine

log = logging.getLogger(__name__)

CHANNEL = "sojourn_accepted"
AT_LATEST_SECONDS = 1.0  # leases run out without a notice, and a pooler in between may keep them from us
AGAIN_SECONDS = 1.0
OF_THE_POOL = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_fallback", "async_creator_fn")


class Notices:
    """How many notices have come. It begins to listen when somebody first waits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.count = 0
        self._engine = engine
        self._came = asyncio.Event()
        self._listens = False
        self._listening: asyncio.Task[None] | None = None

    async def since(self, before: object, unheard_seconds: float) -> None:
        """Return once more have come than `before`: a second at the latest, or sooner while nobody listens."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen_for_ever())
        if self.count != before:
            return
        seconds = AT_LATEST_SECONDS if self._listens else unheard_seconds
        try:
            await asyncio.wait_for(self._came.wait(), seconds)
        except TimeoutError:
            return

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
            self._listening = None

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("nothing is heard from PostgreSQL, which is asked every moment instead: %s", error)
            self._listens = False
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self) -> None:
        """Listen until the connection ends."""
        _, options = self._engine.dialect.create_connect_args(self._engine.url)
        gone = asyncio.Event()
        connection: Any = await asyncpg.connect(**{name: value for name, value in options.items() if name not in OF_THE_POOL})
        try:
            connection.add_termination_listener(lambda _: gone.set())
            await connection.add_listener(CHANNEL, lambda *_: self._come())
            self._listens = True
            self._come()  # whatever was announced while nobody listened
            await gone.wait()
        finally:
            connection.terminate()

    def _come(self) -> None:
        self.count += 1
        self._came.set()
        self._came = asyncio.Event()
