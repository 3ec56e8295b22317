"""A worker that is told to stop does so at once, whatever it is waiting for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update
from temporalio.client import Client

import worker
from engine.process import LOOPBACK, free_ports
from settings import Settings
from store.tables import Person
from tests.activities.house import Provider
from tests.databases import SqliteDatabases
from tests.events.quiet import counts_taps
from tests.language.both import JOURNEYS
from tests.language.words import Entered
from tests.stage import only, stage

SOON = 10.0


async def test_a_worker_that_waits_for_temporal_stops_when_it_is_told_to(sqlite: SqliteDatabases) -> None:
    with free_ports(1) as (port,):
        pass
    settings = Settings(database_url=sqlite.migrated(), journeys=JOURNEYS, TEMPORAL_ADDRESS=f"{LOOPBACK}:{port}", _env_file=None)
    stop = asyncio.Event()
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run(settings, stop))
        stop.set()


async def test_a_worker_that_routes_what_has_been_waiting_stops_when_it_is_told_to(
    sqlite: SqliteDatabases, temporal: Client
) -> None:
    with only([counts_taps]):
        async with stage(temporal, sqlite.migrated(), JOURNEYS, working=False) as up:
            await up.track(uuid4().hex, Entered())
            async with up.store.write() as session:  # as if another router worked on them
                await session.exec(
                    update(Person).values(claimed_by="another", claimed_until=datetime.now(UTC) + timedelta(hours=1))
                )
            stop = asyncio.Event()
            async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
                working = tasks.create_task(worker.work(up.settings, up.store, up.temporal, stop))
                await asyncio.wait([working], timeout=0.2)
                assert not working.done()
                stop.set()


class Kept(Provider):
    """A provider to which connections are kept."""

    closed = False

    async def close(self) -> None:
        self.closed = True


async def test_connections_to_providers_are_ended_with_the_worker(
    sqlite: SqliteDatabases, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, stop = Kept(), asyncio.Event()

    def configured(*_: object) -> dict[str, Provider]:
        stop.set()
        return {"email": kept, "sms": Provider()}

    monkeypatch.setattr(worker, "configured", configured)
    with only([counts_taps]):
        async with stage(temporal, sqlite.migrated(), JOURNEYS, working=False) as up, asyncio.timeout(SOON):
            await worker.work(up.settings, up.store, up.temporal, stop)
    assert kept.closed
