"""The whole house in one process: a store, the API, the router and a worker, on a real Temporal server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlmodel import col, select
from temporalio.client import Client

from api.app import create_app
from events.route import Router
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_ERASURE_KEY, Settings
from store.migrate import migrate
from store.session import Store
from store.tables import Person, Run
from worker import CACHED_RUNS, worker


@dataclass(frozen=True)
class House:
    """What is up. `api` has the admin key."""

    settings: Settings
    store: Store
    temporal: Client
    api: httpx.AsyncClient
    router: Router

    async def runs(self, user: str) -> Sequence[Run]:
        """Return the person's runs, the oldest first."""
        async with self.store.read() as session:
            mine = select(Run).join(Person).where(Person.user_id == user).order_by(col(Run.id))
            return (await session.exec(mine)).all()

    async def end_open_runs(self, user: str) -> None:
        """Leave nothing running of that person: where the house is next, nobody may know their journeys."""
        for run in await self.runs(user):
            if run.ended_at is None:
                await self.temporal.get_workflow_handle(run.workflow_id).terminate("what was played is over")


@asynccontextmanager
async def house(
    temporal: Client,
    database_url: str,
    journeys: Path,
    *,
    working: bool = True,
    cached_runs: int = CACHED_RUNS,
    **settings: Any,
) -> AsyncIterator[House]:
    """Bring the house up on a database and a task queue of its own; without `working`, no worker and no router run."""
    chosen = Settings(
        database_url=database_url,
        journeys=journeys,
        task_queue=f"journeys-{uuid4().hex[:8]}",
        temporal_namespace=temporal.namespace,
        _env_file=None,
        **settings,
    )
    await asyncio.to_thread(migrate, database_url)
    store = Store(database_url, erasure_key=DEVELOPMENT_ERASURE_KEY)
    app = create_app(chosen, store, temporal)
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://house", headers=headers) as api:
            up = House(chosen, store, temporal, api, Router(store, temporal, chosen, "house"))
            if working:
                async with at_work(up, cached_runs=cached_runs):
                    yield up
            else:
                yield up
    finally:
        await store.close()


@asynccontextmanager
async def at_work(up: House, *, routing: bool = True, cached_runs: int = CACHED_RUNS) -> AsyncIterator[None]:
    """Run a worker, and a router beside it."""
    async with worker(up.settings, up.store, up.temporal, cached_runs=cached_runs), asyncio.TaskGroup() as tasks:
        router = tasks.create_task(up.router.run()) if routing else None
        yield
        if router is not None:
            router.cancel()
