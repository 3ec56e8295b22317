"""docker-compose.yml without containers: the same processes with the same settings, of the image's files, on this machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client

from deploy.polling import pollers
from engine.build import SCHEMA_TOOL, built
from engine.postgres import throwaway_postgres
from engine.process import LOOPBACK, free_ports, last_words, running
from engine.server import serve_postgres
from tests.production.compose import CHECKOUT, Service, environment, services
from tests.production.image import unpack
from tests.production.sink import Sink, sink

JOURNEYS = Path(__file__).parent / "journeys"
ADMIN_KEY = "an-admin-key-of-production"
WRITE_KEY = "a-write-key-of-production"
NAMESPACE = "lifecycles"  # one that nobody has registered: `ready-temporal` has to
READY_SECONDS = 60.0


@dataclass
class House:
    """What is up. `where` says what stands in, on this machine, for an address in the file."""

    folder: Path
    image: Path
    mail: Sink
    where: dict[str, str]
    variables: dict[str, str]
    apis: list[httpx.AsyncClient] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    exits: AsyncExitStack = field(default_factory=AsyncExitStack)

    def service(self, name: str) -> Service:
        return services(self.variables)[name]

    def environment(self, name: str) -> dict[str, str]:
        given = {variable: self.here(value) for variable, value in environment(self.service(name), self.variables).items()}
        return {"PATH": os.environ["PATH"], "PYTHONTZPATH": "", **given}

    def here(self, word: str) -> str:
        for there, here in self.where.items():
            word = word.replace(there, here)
        return word

    def command(self, name: str) -> list[str]:
        """Return how that service is started here: in the image's working directory, by our Python."""
        service = self.service(name)
        words = [*service.get("entrypoint", ["python", "-m", "cli"]), *service.get("command", [])]
        return ["env", f"--chdir={self.image}", *(sys.executable if word == "python" else self.here(word) for word in words)]

    def once(self, name: str) -> None:
        """Run a one-shot service to its end."""
        subprocess.run(self.command(name), env=self.environment(name), check=True)

    def start(self, name: str, log: str) -> subprocess.Popen[bytes]:
        started = running(self.command(name), log=self.folder / f"{log}.log", env=self.environment(name), patience=15)
        return self.exits.enter_context(started)

    async def add_api(self) -> None:
        with free_ports(1) as (port,):
            self.where["8000"] = str(port)
        self.start("api", f"api-{len(self.apis)}")
        client = httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=30)
        self.apis.append(await self.exits.enter_async_context(client))

    def add_worker(self) -> None:
        self.workers.append(self.start("worker", f"worker-{len(self.workers)}"))

    async def temporal(self) -> Client:
        return await Client.connect(self.where["temporal:7233"], namespace=NAMESPACE)

    async def is_well(self, name: str) -> bool:
        """Say what the service's own health check says."""
        program = [
            sys.executable if word == "python" else self.here(word) for word in self.service(name)["healthcheck"]["test"][1:]
        ]
        check = await asyncio.create_subprocess_exec(*program, env=self.environment(name), cwd=self.image)
        return await check.wait() == 0

    def words(self) -> str:
        """Return what each process said last, for a test that fails."""
        return "\n".join(f"{log.name}: {last_words(log)}" for log in sorted(self.folder.glob("*.log")))


@asynccontextmanager
async def house(folder: Path, slowness: float = 0) -> AsyncIterator[House]:
    """Bring everything up as docker-compose.yml says, two APIs and two workers, and end it with the block.

    Raises PostgresMissing or SupplyError where PostgreSQL or the official server cannot be had.
    """
    async with AsyncExitStack() as exits:
        url = urlsplit(exits.enter_context(throwaway_postgres()))
        await _add_database(url.geturl(), "sojourn")
        _set_schema_up(folder, url.hostname or LOOPBACK, url.port or 5432, url.password or "")
        engine = await exits.enter_async_context(serve_postgres(url.geturl()))
        mail = await exits.enter_async_context(sink(slowness))
        where = {
            "postgres:5432": f"{url.hostname}:{url.port}",
            "temporal:7233": engine.address,
            "mailpit:1025": mail.address,
            "0.0.0.0": LOOPBACK,
        }
        image = folder / "image"
        image.mkdir()
        up = House(folder, unpack(image), mail, where, _variables(url.password or ""))
        await exits.enter_async_context(up.exits)
        for name in ("migrate", "ready-temporal"):
            await asyncio.to_thread(up.once, name)
        for _ in range(2):
            up.add_worker()
            await up.add_api()
        await eventually(lambda: _all_ready(up), READY_SECONDS, up.words)
        yield up


async def eventually(holds: Callable[[], object], seconds: float, words: Callable[[], str]) -> None:
    """Return once `holds` (or the coroutine it returns) is true; raises AssertionError with `words` after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not await _true(holds()):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:.0f} s\n{words()}") from None


async def _true(answer: object) -> bool:
    return bool(await answer if asyncio.iscoroutine(answer) else answer)


async def _all_ready(up: House) -> bool:
    """Say whether every API accepts events and every worker asks for work."""
    try:
        serving = [(await api.get("/readyz")).status_code == 200 for api in up.apis]
    except httpx.TransportError:
        return False
    return all(serving) and len(await pollers(await up.temporal(), "journeys")) == len(up.workers)


def _variables(password: str) -> dict[str, str]:
    """Return what an operator would write into `.env`."""
    return {
        "POSTGRES_PASSWORD": password,
        "SOJOURN_WRITE_KEY": WRITE_KEY,
        "SOJOURN_ADMIN_KEY": ADMIN_KEY,
        "SOJOURN_ERASURE_KEY": "an-erasure-key-of-production",
        "SOJOURN_LINK_KEY": "a-link-key-of-production",
        "SOJOURN_EMAIL_FROM": "Sojourn <hello@example.org>",
        "SOJOURN_ON_AMBIGUOUS": '{"email": "resend"}',
        "SOJOURN_JOURNEYS": str(JOURNEYS),
        "TEMPORAL_NAMESPACE": NAMESPACE,
    }


async def _add_database(url: str, name: str) -> None:
    server = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await server.dispose()


def _set_schema_up(folder: Path, host: str, port: int, password: str) -> None:
    """Run the schema job's script, twice, as each deployment will."""
    (folder / "temporal-sql-tool").symlink_to(built(SCHEMA_TOOL, print))
    given = {"SQL_HOST": host, "SQL_PORT": str(port), "SQL_USER": "sojourn", "SQL_PASSWORD": password}
    for _ in range(2):
        script = ["sh", str(CHECKOUT / "deploy/temporal/schema.sh")]
        done = subprocess.run(script, env={"PATH": f"{folder}:{os.environ['PATH']}", **given}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
