"""The house as it is deployed on one machine: a Temporal server on a folder, an API and a worker process, SQLite."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client

from engine.process import LOOPBACK, free_ports, last_words, running
from engine.server import serve
from settings import DEVELOPMENT_ADMIN_KEY
from store.migrate import migrate

CHECKOUT = Path(__file__).parents[2]
JOURNEYS = Path(__file__).parent / "journeys"
LOOK_AGAIN_SECONDS = 0.05
BATCH = 100

# A sink that counts for itself: whatever is put into the mailbox is written down, by its key, where nothing else writes.
SINK = """
CREATE TABLE arrived (key TEXT NOT NULL);
CREATE TRIGGER arrives AFTER INSERT ON mailbox BEGIN INSERT INTO arrived VALUES (new.key); END;
"""


@dataclass
class House:
    """What is up. Each part can be killed, and started again on what it left."""

    folder: Path
    temporal_port: int
    environment: dict[str, str]
    api: httpx.AsyncClient
    processes: AsyncExitStack
    temporal: AsyncExitStack = field(default_factory=AsyncExitStack)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    apis: list[subprocess.Popen[bytes]] = field(default_factory=list)

    async def start_temporal(self) -> None:
        """Start the Temporal server, on what it had if it was there before."""
        await self.temporal.enter_async_context(serve(data_dir=self.folder, port=self.temporal_port, ui_port=None))

    async def end_temporal(self) -> None:
        """Ask the Temporal server to stop, as an operator does."""
        await self.temporal.aclose()

    async def kill_temporal(self) -> None:
        """Kill -9 the Temporal server."""
        for pid in json.loads((self.folder / "temporal" / "processes.json").read_text()):
            os.kill(pid, signal.SIGKILL)
        await self.temporal.aclose()

    async def temporal_client(self) -> Client:
        return await Client.connect(f"{LOOPBACK}:{self.temporal_port}")

    def start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        words = ["env", f"--chdir={CHECKOUT}", sys.executable, "-m", *command]
        started = running(words, log=self.folder / f"{name}.log", patience=15, env=self.environment | environment)
        return self.processes.enter_context(started)

    async def start_api(self, *command: str) -> None:
        """Start the API: `python -m cli api`, or another command. Returns when it is ready."""
        port = ("--port", str(self.api.base_url.port))
        self.apis.append(self.start(f"api-{len(self.apis)}", *(command or ("cli", "api")), *port))
        await self.eventually(lambda: _ready(self), 60)

    def kill_api(self) -> None:
        """Kill -9 the last API, if it is still there."""
        self.apis[-1].kill()
        self.apis[-1].wait()

    def start_worker(self, *command: str, **environment: str) -> None:
        """Start a worker: `python -m cli worker`, or another command."""
        self.workers.append(self.start(f"worker-{len(self.workers)}", *(command or ("cli", "worker")), **environment))

    def kill_worker(self) -> None:
        """Kill -9 the last worker."""
        self.workers[-1].kill()
        self.workers[-1].wait()

    async def worker_is_dead(self) -> bool:
        return self.workers[-1].poll() is not None

    async def tell(self, event: str, people: Sequence[str]) -> None:
        """Send the event for each of them, through the HTTP API, and be told that it is accepted."""
        calls = [{"type": "track", "userId": each, "event": event, "messageId": f"{event} {each}"} for each in people]
        for first in range(0, len(calls), BATCH):
            await self._post({"batch": calls[first : first + BATCH]})

    async def introduce(self, people: Sequence[str]) -> None:
        """Tell the address of each of them."""
        await self._post(
            {"batch": [{"type": "identify", "userId": each, "traits": {"email": f"{each}@example.org"}} for each in people]}
        )

    async def _post(self, body: dict[str, Any]) -> None:
        answer = await self.api.post("/v1/batch", json=body)
        assert answer.json() == {"success": True}, answer.text

    async def ask(self, person: str) -> httpx.Response:
        """Ask for a run of that person."""
        return await self.api.post("/v1/journeys/yardstick/runs", json={"user_id": person, "data": {}})

    def read(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.folder / "sojourn.db", timeout=30)) as database:
            return database.execute(query).fetchall()

    def arrived(self) -> Counter[tuple[str, str]]:
        """Return how often each message has arrived, by person and template."""
        rows = self.read(
            "SELECT user_id, template FROM arrived JOIN messages USING (key) JOIN people ON people.id = messages.person_id"
        )
        return Counter(rows)

    def runs(self) -> Counter[str]:
        """Return how many runs there are of each status."""
        return Counter(status for (status,) in self.read("SELECT status FROM runs"))

    def words(self) -> str:
        """Return what each process said last, for a test that fails."""
        return "\n".join(f"{log.name}: {last_words(log)}" for log in sorted(self.folder.glob("*.log")))

    async def eventually(self, holds: Callable[[], object], seconds: float) -> None:
        """Return once it holds; AssertionError with how things stand if it does not within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not await _true(holds()):
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
        except TimeoutError:
            raise AssertionError(
                f"not within {seconds:.0f} s: runs {dict(self.runs())}, {self.arrived().total()} arrived\n{self.words()}"
            ) from None


async def _true(answer: object) -> bool:
    return bool(await answer if isinstance(answer, Awaitable) else answer)


@asynccontextmanager
async def house(folder: Path, api: Sequence[str] = (), **more: str) -> AsyncIterator[House]:
    """Bring up Temporal and the API, without a worker yet, and end whatever is up with the block.

    `api` is its command, `more` what else is in everybody's environment.
    """
    with free_ports(2) as (port, temporal_port):
        environment = {
            **os.environ,
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{temporal_port}",
            "TEMPORAL_NAMESPACE": "default",
            "SOJOURN_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'sojourn.db'}",
            "SOJOURN_JOURNEYS": str(JOURNEYS),
            **more,
        }
    await asyncio.to_thread(migrate, environment["SOJOURN_DATABASE_URL"])
    with closing(sqlite3.connect(folder / "sojourn.db")) as database:
        database.executescript(SINK)
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    async with (
        AsyncExitStack() as processes,
        httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", headers=headers, timeout=30, trust_env=False) as http,
    ):
        up = House(folder, temporal_port, environment, http, processes)
        processes.push_async_callback(up.end_temporal)
        await up.start_temporal()
        await up.start_api(*api)
        yield up


async def _ready(up: House) -> bool:
    try:
        return (await up.api.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False
