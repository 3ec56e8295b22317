"""A worker stops at once when it is told to, whatever it is waiting for, and keeps what is slow out of its workflow tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType
from typing import Any, get_type_hints
from uuid import uuid4

import pytest
from pydantic import TypeAdapter
from sqlalchemy import update
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter

import connecting
import worker
from activities.all import activities
from engine.process import LOOPBACK, free_ports
from events.matching import Matching
from settings import DEVELOPMENT_ERASURE_KEY, Settings
from store.session import Store
from store.tables import Person
from tests.activities.house import Provider
from tests.databases import SqliteDatabases
from tests.events.quiet import counts_taps
from tests.language.both import JOURNEYS
from tests.language.words import NOW, Entered, Tapped, by, days, say
from tests.stage import only, stage
from workflows.definition import journey
from workflows.journey import Journey
from workflows.segments import SEGMENTS, Segment, performed
from workflows.wire import READ

SOON = 10.0
tapped_today = SEGMENTS.pop(Segment("tapped_today", performed(Tapped, within=days(1))).name)


@journey()
async def uses_every_verb(j: Journey, entered: Entered) -> None:
    paper = await j.split("paper", {"white": "on white", "grey": "on grey"})
    tapped = await j.wait_for(Tapped, within=days(1))
    await j.send(say(f"{paper} {tapped and tapped.button} {await j.matches(tapped_today)}"))
    await j.sleep(NOW)


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


def test_all_that_an_activity_takes_or_returns_is_read_warm(tmp_path: Path) -> None:
    store = Store(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}", erasure_key=DEVELOPMENT_ERASURE_KEY)
    every = [*activities(store, Settings(_env_file=None)), *Matching(store).activities]
    kinds = {kind for each in every for kind in get_type_hints(each).values()}
    assert kinds - {NoneType} <= set(READ)


@pytest.mark.parametrize("cached_runs", [1000, 0])
async def test_no_schema_is_built_in_a_workflow_task(
    cached_runs: int, sqlite: SqliteDatabases, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, object]] = []
    build: Callable[..., None] = TypeAdapter.__init__

    def noted(self: TypeAdapter[Any], kind: Any, **options: Any) -> None:
        built.append((threading.current_thread().name, kind))
        build(self, kind, **options)

    monkeypatch.setattr(connecting, "PYDANTIC", PydanticPayloadConverter())  # one that has built nothing for other tests
    monkeypatch.setitem(SEGMENTS, tapped_today.name, tapped_today)
    monkeypatch.setattr(TypeAdapter, "__init__", noted)
    user = uuid4().hex
    with only([uses_every_verb]):
        async with stage(temporal, sqlite.migrated(), JOURNEYS, cached_runs=cached_runs, continue_after=2) as up:
            await up.track(user, Entered())
            run = await up.started(user)
            for order in ("pause", "resume"):
                answer = await up.api.post(f"/v1/runs/{run.id}/{order}", headers={"X-Actor": by().actor, "X-Reason": by().reason})
                answer.raise_for_status()
            await up.track(user, Tapped())
            assert (await up.over(user)).status == "completed"
    assert built
    assert [kind for thread, kind in built if thread.startswith("temporal_workflow")] == []


class Kept(Provider):
    """A provider to which connections are kept."""

    closed = False

    async def close(self) -> None:
        self.closed = True


async def test_connections_to_providers_are_ended_with_the_worker(
    sqlite: SqliteDatabases, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    monkeypatch.setattr(worker, "configured", lambda *_: {"email": kept, "sms": Provider()})
    with only([counts_taps]):
        async with stage(temporal, sqlite.migrated(), JOURNEYS, working=False) as up:
            stop = asyncio.Event()
            async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
                tasks.create_task(worker.work(up.settings, up.store, up.temporal, stop))
                await asyncio.sleep(0)
                assert not kept.closed
                stop.set()
    assert kept.closed
