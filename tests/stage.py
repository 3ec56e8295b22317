"""The whole house in one process, for tests: a store, the API, the router and a worker, on a real Temporal server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from api.app import create_app
from store.migrate import migrate
from sqlmodel import col, select
from temporalio.client import Client, WorkflowHandle

from demo.player import Player
from events.route import Router
from settings import DEVELOPMENT_ADMIN_KEY, Settings
from store.session import Store
from store.tables import Person, Run
from worker import CACHED_RUNS, worker
from workflows.definition import JOURNEYS, Definition


@dataclass(frozen=True)
class Stage:
    """What a test acts on."""

    settings: Settings
    store: Store
    temporal: Client
    api: httpx.AsyncClient
    router: Router

    @property
    def player(self) -> Player:
        return Player(self.store, self.temporal, self.api)

    async def runs(self, user: str) -> Sequence[Run]:
        """Return the person's runs, the oldest first."""
        async with self.store.read() as session:
            mine = select(Run).join(Person).where(Person.user_id == user).order_by(col(Run.id))
            return (await session.exec(mine)).all()

    async def run(self, user: str) -> Run:
        """Return the person's last run."""
        return (await self.runs(user))[-1]

    def workflow(self, run: Run) -> WorkflowHandle[Any, Any]:
        """Return the handle of a run's workflow."""
        return self.temporal.get_workflow_handle(run.workflow_id)


@contextmanager
def only(definitions: Sequence[Definition[Any]]) -> Iterator[None]:
    """Let these be the only journeys there are."""
    before = dict(JOURNEYS)
    JOURNEYS.clear()
    JOURNEYS.update({(each.name, each.version): each for each in definitions})
    try:
        yield
    finally:
        JOURNEYS.clear()
        JOURNEYS.update(before)


@asynccontextmanager
async def stage(
    temporal: Client,
    database_url: str,
    journeys: Path,
    *,
    working: bool = True,
    cached_runs: int = CACHED_RUNS,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Bring the house up on a database of its own; without `working`, no worker and no router run."""
    chosen = Settings(
        database_url=database_url,
        journeys=journeys,
        task_queue=f"journeys-{uuid4().hex[:8]}",
        temporal_namespace=temporal.namespace,
        _env_file=None,
        **settings,
    )
    await asyncio.to_thread(migrate, database_url)
    store = Store(database_url)
    app = create_app(chosen, store, temporal)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://stage", headers=headers) as api:
            up = Stage(chosen, store, temporal, api, Router(store, temporal, chosen, "stage"))
            if working:
                async with at_work(up, cached_runs=cached_runs):
                    yield up
            else:
                yield up
    finally:
        await store.close()


@asynccontextmanager
async def at_work(up: Stage, *, cached_runs: int = CACHED_RUNS) -> AsyncIterator[None]:
    """Run a router and a worker."""
    async with worker(up.settings, up.store, up.temporal, cached_runs=cached_runs):
        routing = asyncio.create_task(up.router.run())
        try:
            yield
        finally:
            routing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await routing
