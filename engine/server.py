"""A Temporal server for development and tests, up for as long as a block of code runs."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client
from temporalio.service import RPCError

from engine.build import SCHEMA_TOOL, SERVER, UI, built
from engine.cache import Report
from engine.commands import Commands, Ports, choose_ports, cli_server, official_server, official_ui
from engine.config import postgres_stores, sqlite_stores
from engine.errors import EngineError
from engine.home import home, remember
from engine.members import forget_members_of_file, forget_members_of_postgres
from engine.prepare import keep_histories, prepare
from engine.process import LOOPBACK, last_words, running
from engine.schema import HISTORY, VISIBILITY, set_up
from engine.supply import Cli, Official, Running, supply

READY_SECONDS = 60.0
PATIENCE_SECONDS = 3.0  # to stop in; a server ended sooner than it likes loses nothing that it had answered


@dataclass(frozen=True)
class Engine:
    """A server that is ready for journeys."""

    address: str
    ui_url: str | None
    namespace: str


def silent(message: str) -> None:
    """The report of those who do not watch."""


@asynccontextmanager
async def serve(*, data_dir: Path | None, port: int = 0, ui_port: int | None = 0, report: Report = silent) -> AsyncIterator[Engine]:
    """A server with the namespace and search attributes of journeys, time skipping and pause.

    With a `data_dir` its runs outlive it, also when it is killed; with None they are kept in memory. Port 0 is any free
    one; `ui_port` None means no UI. What was started is ended on the way out; a server of TEMPORAL_ADDRESS is only used.
    Raises EngineError, in one sentence, when no server can be had, a port is taken or the folder is in use.
    """
    source = await asyncio.to_thread(supply, report)
    if isinstance(source, Running):
        yield await _used(source)
        return
    with home(data_dir) as folder:
        ports = choose_ports(port, ui_port)
        commands = await asyncio.to_thread(_commands, source, folder, ports, data_dir is not None, report)
        async with _up(commands, folder, ports) as engine:
            yield engine


@asynccontextmanager
async def serve_postgres(url: str, *, port: int = 0, ui_port: int | None = None, report: Report = silent) -> AsyncIterator[Engine]:
    """The official server as in production, on the PostgreSQL server of `url` (postgresql://user:password@host:port/…).

    Its databases, `temporal` and `temporal_visibility`, are made or brought up to date first. Raises EngineError.
    """
    server = await asyncio.to_thread(built, SERVER, report)
    await asyncio.to_thread(set_up, await asyncio.to_thread(built, SCHEMA_TOOL, report), url)
    await forget_members_of_postgres(url, HISTORY)
    with home(None) as folder:
        ports = choose_ports(port, ui_port)
        commands = official_server(server, folder, ports, postgres_stores(url, (HISTORY, VISIBILITY)), shards=4)
        commands |= await asyncio.to_thread(_ui, folder, ports, report)
        async with _up(commands, folder, ports) as engine:
            yield engine


def _commands(source: Cli | Official, folder: Path, ports: Ports, durable: bool, report: Report) -> Commands:
    database = folder / ("temporal-cli.db" if isinstance(source, Cli) else "temporal.db") if durable else None
    if database:
        forget_members_of_file(database)
    if isinstance(source, Cli):
        return cli_server(source.executable, database, ports, _namespace())
    return official_server(source.executable, folder, ports, sqlite_stores(database), shards=1) | _ui(folder, ports, report)


def _ui(folder: Path, ports: Ports, report: Report) -> Commands:
    return {} if ports.ui is None else official_ui(built(UI, report), folder, ports, _namespace())


@asynccontextmanager
async def _up(commands: Commands, folder: Path, ports: Ports) -> AsyncIterator[Engine]:
    """Run `commands` until the block ends; entered when the server is ready and the UI, if there is one, answers."""
    ui_url = None if ports.ui is None else f"http://{LOOPBACK}:{ports.ui}"
    engine = Engine(f"{LOOPBACK}:{ports.front}", ui_url, _namespace())
    with ExitStack() as processes:
        log = folder / "server.log"
        server = processes.enter_context(running(commands["server"], log=log, patience=PATIENCE_SECONDS))
        remember(folder, [server.pid])
        await _while_alive(server, log, _server_ready(engine))
        if "ui" in commands:  # only now: a UI that finds no server asks again much later
            ui_log = folder / "ui.log"
            ui = processes.enter_context(running(commands["ui"], log=ui_log, patience=PATIENCE_SECONDS))
            remember(folder, [server.pid, ui.pid])
            await _while_alive(ui, ui_log, _ui_ready(engine))
        elif ui_url:
            await _while_alive(server, log, _ui_ready(engine))
        yield engine


async def _server_ready(engine: Engine) -> None:
    client = await _connected(engine)
    await prepare(client, timeout=READY_SECONDS)
    await keep_histories(client)


async def _connected(engine: Engine) -> Client:
    while True:
        try:
            return await Client.connect(engine.address, namespace=engine.namespace)
        except RuntimeError:
            await asyncio.sleep(0.05)


async def _ui_ready(engine: Engine) -> None:
    async with httpx.AsyncClient(base_url=engine.ui_url or "", trust_env=False) as ui:
        while True:
            with suppress(httpx.HTTPError):
                if (await ui.get("/api/v1/cluster-info")).is_success:
                    return
            await asyncio.sleep(0.05)


async def _while_alive(process: subprocess.Popen[bytes], log: Path, ready: Coroutine[Any, Any, None]) -> None:
    """Wait for `ready`; EngineError with the last words in `log` if `process` ends first, or after READY_SECONDS."""
    waiting = asyncio.ensure_future(ready)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if (await asyncio.wait([waiting], timeout=0.1))[0]:
                return await waiting
    finally:
        waiting.cancel()
    how = f"was not ready within {READY_SECONDS:.0f} s" if process.poll() is None else "ended while starting"
    raise EngineError(f"The Temporal {log.stem} {how}; the last it said: {last_words(log)}")


async def _used(source: Running) -> Engine:
    """The server at TEMPORAL_ADDRESS, with what journeys need added to it."""
    engine = Engine(source.address, os.environ.get("TEMPORAL_UI_URL"), _namespace())
    try:
        client = await Client.connect(engine.address, namespace=engine.namespace)
        await prepare(client)
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise EngineError(
            f"The Temporal server at TEMPORAL_ADDRESS={source.address} cannot be used ({error or 'it took too long'}): "
            "start it, correct the address, or unset the variable to have one started."
        ) from error
    return engine


def _namespace() -> str:
    return os.environ.get("TEMPORAL_NAMESPACE", "default")
