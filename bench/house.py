"""Sojourn and the bare workflow, side by side in one process on one server: what every measurement is taken on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.all import activities
from activities.transport import Parcel
from api.app import create_app
from bench.bare import BareOnboarding, BareSends
from bench.sends import Sends
from connecting import connect, open_store
from engine.server import serve
from events.route import Router
from loading import load
from settings import DEVELOPMENT_ADMIN_KEY, Settings
from store.migrate import migrate
from store.session import Store
from workflows.temporal import JourneyWorkflow, runner

JOURNEYS = Path(__file__).parent / "journeys"


class Provider(Sends):
    """Stands where an e-mail provider would."""

    keyed = True

    async def deliver(self, parcel: Parcel) -> str:
        self.take(parcel.recipients[0].partition("@")[0])
        return parcel.key


@dataclass(frozen=True)
class House:
    """Both contenders, up and running."""

    temporal: Client
    store: Store
    api: httpx.AsyncClient
    provider: Provider
    bare: BareSends


@asynccontextmanager
async def house(database_url: str | None = None) -> AsyncIterator[House]:
    """Bring up a server on a file of its own, and on it a worker of ours with router and API, and a bare one."""
    load(JOURNEYS)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        async with serve(data_dir=Path(folder) / "temporal", ui_port=None) as engine:
            settings = Settings(
                TEMPORAL_ADDRESS=engine.address,
                TEMPORAL_NAMESPACE=engine.namespace,
                database_url=database_url or f"sqlite+aiosqlite:///{folder}/sojourn.db",
                journeys=JOURNEYS,
                live=True,
                allow_recipients=["@example.org"],
                task_queue="ours",
                _env_file=None,
            )
            await asyncio.to_thread(migrate, settings.database_url)
            async with _contenders(settings) as up:
                yield up


@asynccontextmanager
async def _contenders(settings: Settings) -> AsyncIterator[House]:
    temporal, store = await connect(settings), open_store(settings)
    provider, bare = Provider(), BareSends()
    ours = Worker(
        temporal,
        task_queue=settings.task_queue,
        workflows=[JourneyWorkflow],
        activities=activities(store, settings, {"email": provider}),
        workflow_runner=runner(),
        max_concurrent_activities=settings.max_concurrent_sends,
        build_id="bench",
    )
    theirs = Worker(
        temporal,
        task_queue="bare",
        workflows=[BareOnboarding],
        activities=[bare.send],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=settings.max_concurrent_sends,
        build_id="bench",
    )
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    app = httpx.ASGITransport(create_app(settings, store, temporal))
    async with ours, theirs, httpx.AsyncClient(transport=app, base_url="http://bench", headers=headers) as api:
        routing = asyncio.create_task(Router(store, temporal, settings, "bench").run())
        yield House(temporal, store, api, provider, bare)
        routing.cancel()
        await asyncio.wait([routing])
    await store.close()
