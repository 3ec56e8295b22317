"""`python -m bench.ingest`: how many events a second does an API process store, each durable before its answer?

The server is a process of its own, as deployed; the load comes from here, over loopback, and ends by itself. Beside each
figure stands its part of what an API does under the same load that reads the calls and stores nothing (`bench/nothing.py`).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from bench.router import databases
from engine.process import LOOPBACK, free_ports, running
from settings import DEVELOPMENT_WRITE_KEY
from store.migrate import migrate

JOURNEYS = Path(__file__).parent / "journeys"
PEOPLE = 1_000
BATCH = 100
CLIENTS = 64  # connections with single calls
SENDERS = 8  # connections with batches
LOOK_AGAIN_SECONDS = 0.05
READY_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One load: events a second by the clock, by the server's own CPU seconds, and how long an answer took, in milliseconds."""

    database: str
    load: str
    per_second: float
    per_cpu_second: float
    p50: float
    p99: float
    of_nothing: float = 1.0  # its `per_cpu_second`, as a part of that of an API that stores nothing


@dataclass(frozen=True)
class Served:
    """An API to measure: what Python runs, which takes a `--port`, and in which environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def main(
    singles: Annotated[int, typer.Option(help="Single track calls.")] = 6_000,
    batches: Annotated[int, typer.Option(help=f"Batches of {BATCH}.")] = 300,
    on: Annotated[str, typer.Option(help="sqlite, postgresql, or both.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure single calls and batches on SQLite, then on PostgreSQL, or on one of them."""
    nothing = asyncio.run(_measure("none", _nothing(), singles, batches))
    found = [
        replace(each, of_nothing=each.per_cpu_second / least.per_cpu_second)
        for name, url in databases(on)
        for each, least in zip(asyncio.run(_measure_storing(name, url, singles, batches)), nothing, strict=True)
    ]
    if as_json:
        Console().print_json(json.dumps([vars(each) for each in found]))
    else:
        Console().print(_table(found))


async def _measure_storing(name: str, url: str, singles: int, batches: int) -> list[Measured]:
    """Measure the API on that database, without anybody who routes."""
    await asyncio.to_thread(migrate, url)
    environment = {"SOJOURN_DATABASE_URL": url, "SOJOURN_JOURNEYS": str(JOURNEYS), "SOJOURN_SHED_AT": "10000000"}
    return await _measure(name, Served(("-m", "cli", "api"), environment), singles, batches)


def _nothing() -> Served:
    return Served(("-m", "uvicorn", "bench.nothing:app", "--no-access-log", "--log-level", "warning"), {})


async def _measure(name: str, served: Served, singles: int, batches: int) -> list[Measured]:
    async with _server(served) as (port, process):
        await _load(port, _singles(PEOPLE), 16)  # everybody is met, and every path is warm
        return [
            await _timed(name, f"single track, {CLIENTS} at once", port, process, _singles(singles), CLIENTS, 1),
            await _timed(name, f"batches of {BATCH}, {SENDERS} at once", port, process, _batches(batches), SENDERS, BATCH),
        ]


@asynccontextmanager
async def _server(served: Served) -> AsyncIterator[tuple[int, subprocess.Popen[bytes]]]:
    with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as folder:
        with free_ports(1) as (port,):
            pass
        command = [sys.executable, *served.command, "--port", str(port)]
        with running(command, log=Path(folder) / "api.log", env={**os.environ, **served.environment}) as process:
            async with asyncio.timeout(READY_SECONDS):
                while not await _answers(port):
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
            yield port, process


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _timed(
    database: str, load: str, port: int, process: subprocess.Popen[bytes], bodies: Sequence[bytes], at_once: int, events: int
) -> Measured:
    used, began = _cpu_seconds(process), time.perf_counter()
    taken = await _load(port, bodies, at_once)
    wall, cpu = time.perf_counter() - began, _cpu_seconds(process) - used
    count = len(bodies) * events
    percentiles = statistics.quantiles(taken, n=100)
    return Measured(database, load, count / wall, count / cpu, 1000 * percentiles[49], 1000 * percentiles[98])


async def _load(port: int, bodies: Sequence[bytes], at_once: int) -> list[float]:
    """Send these requests over so many connections, each its next as soon as it has its answer; return how long each took."""
    waiting = iter(bodies)
    taken: list[float] = []
    await asyncio.gather(*(_one_connection(port, waiting, taken) for _ in range(at_once)))
    return taken


async def _one_connection(port: int, waiting: Iterator[bytes], taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    for request in waiting:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the API answered {head.splitlines()[0].decode()}")
        length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length"))
        await reader.readexactly(length)
        taken.append(time.perf_counter() - began)
    writer.close()


def _singles(count: int) -> list[bytes]:
    return [_request("/v1/track", _call(number)) for number in range(count)]


def _batches(count: int) -> list[bytes]:
    calls = ([{"type": "track", **_call(number + each)} for each in range(BATCH)] for number in range(0, count * BATCH, BATCH))
    return [_request("/v1/batch", {"batch": each}) for each in calls]


def _call(number: int) -> dict[str, object]:
    person = number * 7919 % PEOPLE  # no two calls of a batch are about one person, and none comes in the order of the rows
    context = {"library": {"name": "bench"}, "timezone": "Europe/Berlin", "locale": "de-DE"}
    properties = {"plan": "team", "seats": number % 7}
    return {
        "userId": f"person-{person}",
        "event": "acted",
        "messageId": uuid4().hex,
        "properties": properties,
        "context": context,
    }


def _request(path: str, body: object) -> bytes:
    content = json.dumps(body).encode()
    key = b64encode(f"{DEVELOPMENT_WRITE_KEY}:".encode()).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {key}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return what a process has used of the processors so far, by Linux's own accounting (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _table(found: Sequence[Measured]) -> Table:
    table = Table("database", "load", "events/s", "events per CPU second of the API", "of one that stores nothing", "p50", "p99")
    for each in found:
        speed = (f"{each.per_second:,.0f}", f"{each.per_cpu_second:,.0f}", f"{each.of_nothing:.2f}")
        table.add_row(each.database, each.load, *speed, f"{each.p50:.1f} ms", f"{each.p99:.1f} ms")
    return table


if __name__ == "__main__":
    typer.run(main)
