"""`python -m bench.router`: what the router costs, and how soon a live trigger acts beside a backlog that is imported."""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from sqlalchemy import func, insert, text
from sqlmodel import col, select
from temporalio.client import Client

from connecting import connect, open_store
from engine.postgres import throwaway_postgres
from engine.server import serve
from events.accept import Manner, accept
from events.calls import Clock, understand
from events.meeting import meet
from events.route import Router
from loading import load
from settings import Settings
from store.migrate import migrate
from store.session import Store
from store.tables import BACKLOG, Person, Run

JOURNEYS = Path(__file__).parent / "journeys"
BATCH = 1000
LOOK_AGAIN_SECONDS = 0.001
IMPORTED = Manner(BACKLOG, starts=False, durable=False)
console = Console(stderr=True)


@dataclass(frozen=True)
class Bench:
    """A store with nobody in it yet, a real Temporal server, and a router that is asked for one round after the other."""

    store: Store
    temporal: Client
    router: Router


def main(
    events: Annotated[int, typer.Option(help="Events of each throughput measurement.")] = 5_000,
    parked: Annotated[int, typer.Option(help="Open runs of the larger measurement.")] = 50_000,
    backlog: Annotated[int, typer.Option(help="Imported events beside which live triggers come.")] = 200_000,
    triggers: Annotated[int, typer.Option(help="Live triggers.")] = 50,
    on: Annotated[str, typer.Option(help="sqlite, postgresql, or both.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure on SQLite, then on PostgreSQL, or on one of them. What is found is told as it is found."""
    found = {name: asyncio.run(_measure(url, events, parked, backlog, triggers)) for name, url in databases(on)}
    if as_json:
        Console().print_json(json.dumps(found))


def databases(on: str) -> Iterator[tuple[str, str]]:
    """Yield the name and URL of a fresh database of each kind asked for."""
    if on != "postgresql":
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
            yield "sqlite", f"sqlite+aiosqlite:///{folder}/sojourn.db"
    if on != "sqlite":
        with throwaway_postgres(durable=True) as server:
            yield "postgresql", server.replace("postgresql:", "postgresql+asyncpg:", 1)


async def _measure(url: str, events: int, parked: int, backlog: int, triggers: int) -> dict[str, Any]:
    async with _bench(url) as up:
        await _rate(up, 2 * BATCH, 5)  # to warm up
        measurements: dict[str, Callable[[], Awaitable[Any]]] = {
            "events a second, by share that is heard": lambda: _rates(up, events),
            "seconds for 1000 events that nobody hears": lambda: _with_open_runs(up, (1_000, parked)),
            "milliseconds from a trigger to its run": lambda: _latency(up, triggers),
            f"the same beside {backlog} imported events": lambda: _beside(up, backlog),
        }
        found = {}
        for name, measure in measurements.items():
            found[name] = await measure()
            console.print(f"{up.store.engine.dialect.name}: {name}: {found[name]}")
    return found


async def _rates(up: Bench, events: int) -> dict[str, float]:
    return {f"{share} %": await _rate(up, events, share) for share in (1, 10, 100)}


@asynccontextmanager
async def _bench(url: str) -> AsyncIterator[Bench]:
    load(JOURNEYS)
    await asyncio.to_thread(migrate, url)
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        async with serve(data_dir=Path(folder) / "temporal", ui_port=None) as engine:
            settings = Settings(
                TEMPORAL_ADDRESS=engine.address, TEMPORAL_NAMESPACE=engine.namespace, database_url=url, _env_file=None
            )
            store, temporal = open_store(settings), await connect(settings)
            yield Bench(store, temporal, Router(store, temporal, settings, "bench"))
            await store.close()


async def _send(up: Bench, people: Sequence[str], event: str, manner: Manner) -> None:
    for first in range(0, len(people), BATCH):
        clock = Clock.real()
        bodies = [{"userId": each, "event": event, "messageId": uuid4().hex} for each in people[first : first + BATCH]]
        await accept(up.store, [understand(body, "track", clock) for body in bodies], clock, manner)


async def _routed(up: Bench) -> float:
    """Route all there is, and return the seconds it took."""
    began = time.perf_counter()
    while await up.router.round():
        pass
    return time.perf_counter() - began


async def _rate(up: Bench, count: int, share: int) -> float:
    """So many people do something, of whom so many of a hundred are in a run that listens; return events a second."""
    people = [f"{share}-{number}" for number in range(count)]
    inside = people[:: 100 // share]
    await _send(up, inside, "arrived", Manner())
    await _routed(up)
    await _send(up, people, "acted", Manner(starts=False))
    return round(count / await _routed(up))


async def _with_open_runs(up: Bench, counts: Sequence[int]) -> dict[str, float]:
    """Park so many runs, in the store alone, and return what a thousand events cost that none of them listens to."""
    found = {}
    for count in counts:
        await _park(up, count)
        people = [f"parked-{number}" for number in range(BATCH)]
        taken = []
        for _ in range(5):
            await _send(up, people, "arrived", Manner(starts=False))
            taken.append(await _routed(up))
        found[f"{count} open runs"] = round(statistics.median(taken), 3)
    return found


async def _park(up: Bench, count: int) -> None:
    async with up.store.read() as session:
        there = (await session.exec(select(func.count()).where(col(Run.workflow_id).like("parked/%")))).one()
    clock = Clock.real()
    for first in range(there, count, BATCH):
        names = [f"parked-{number}" for number in range(first, min(first + BATCH, count))]
        async with up.store.write(durable=False) as session:
            connection = await session.connection()
            people = await meet(connection, names, clock)
            await connection.execute(insert(Run), [_parked(people[name].id, name, clock.at) for name in names])
    if not up.store.is_sqlite:
        async with up.store.write() as session:
            await session.exec(text("ANALYZE"))  # type: ignore[call-overload]


def _parked(person_id: int, name: str, now: datetime) -> dict[str, Any]:
    run = {"journey": "yardstick", "version": 1, "status": "running", "trigger": "arrived", "started_at": now, "requested_at": now}
    return {**run, "id": f"r_{name}", "person_id": person_id, "workflow_id": f"parked/{name}"}


async def _latency(up: Bench, triggers: int) -> dict[str, float]:
    """Let people arrive one by one while the router runs; return the milliseconds from before acceptance to their started run."""
    async with _routing(up):
        return _spread([await _arrival(up) for _ in range(triggers)])


async def _beside(up: Bench, backlog: int) -> dict[str, float]:
    """The same for as long as the router is at work on so many imported events."""
    await _send(up, [f"imported-{number % (backlog // 10)}" for number in range(backlog)], "acted", IMPORTED)
    taken = []
    async with _routing(up):
        began, left = time.perf_counter(), asyncio.create_task(_backlog_is_done(up))
        while not left.done():
            taken.append(await _arrival(up))
        seconds = time.perf_counter() - began
    return {**_spread(taken), "triggers": len(taken), "seconds until all are routed": round(seconds, 1)}


async def _backlog_is_done(up: Bench) -> None:
    while await _waits(up):
        await asyncio.sleep(0.1)


async def _waits(up: Bench) -> bool:
    waiting = "SELECT id FROM events WHERE lane = 1 AND (status = 'pending' OR reconsider IS NOT NULL) LIMIT 1"
    async with up.store.read() as session:
        return (await session.exec(text(waiting))).first() is not None  # type: ignore[call-overload]


async def _arrival(up: Bench) -> float:
    person, began = uuid4().hex, time.perf_counter()
    await _send(up, [person], "arrived", Manner())
    while not await _has_started(up, person):
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return 1000 * (time.perf_counter() - began)


def _spread(taken: Sequence[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(taken), 1), "max": round(max(taken), 1)}


async def _has_started(up: Bench, person: str) -> bool:
    mine = select(Run.status).join(Person, col(Person.id) == Run.person_id).where(Person.user_id == person)
    async with up.store.read() as session:
        return (await session.exec(mine)).first() == "running"


@asynccontextmanager
async def _routing(up: Bench) -> AsyncIterator[None]:
    routing = asyncio.create_task(up.router.run())
    try:
        yield
    finally:
        routing.cancel()
        await asyncio.wait([routing])


if __name__ == "__main__":
    typer.run(main)
