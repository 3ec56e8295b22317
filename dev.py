"""Everything on one machine, in one process tree: Temporal with its UI, the API, a worker, and SQLite."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import httpx

from engine.errors import EngineError
from engine.process import last_words, require_free, running
from engine.server import serve
from settings import Settings
from store.migrate import migrate

READY_SECONDS = 60.0
WATCH_SECONDS = 0.5
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Options:
    """How `sojourn dev` was called. `data_dir` None keeps nothing. `settings` are more of them, by the names of their variables."""

    data_dir: Path | None
    port: int
    ui_port: int
    journeys: Path
    live: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class House:
    """What is up, and where."""

    url: str
    settings: Settings
    logs: Path
    processes: Mapping[str, subprocess.Popen[bytes]]

    @property
    def ui_url(self) -> str:
        return self.settings.temporal_ui_url

    async def watch(self) -> NoReturn:
        """Raise EngineError, with its last words, as soon as the API or the worker has ended by itself."""
        while True:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise EngineError(f"The {name} has ended; its last words: {last_words(self.logs / f'{name}.log')}")
            await asyncio.sleep(WATCH_SECONDS)


@asynccontextmanager
async def house(options: Options, report: Callable[[str], None]) -> AsyncIterator[House]:
    """Bring everything up, and end what was started on the way out. Raises EngineError with one sentence if it cannot."""
    require_free(options.port, "--port")
    with _folder(options.data_dir) as folder:
        async with serve(data_dir=options.data_dir, ui_port=options.ui_port, report=report) as engine:
            environment = {
                **os.environ,
                "TEMPORAL_ADDRESS": engine.address,
                "TEMPORAL_NAMESPACE": engine.namespace,
                "SOJOURN_TEMPORAL_UI_URL": engine.ui_url or "",
                "SOJOURN_DATABASE_URL": f"sqlite+aiosqlite:///{folder.resolve() / 'sojourn.db'}",
                "SOJOURN_JOURNEYS": str(options.journeys.resolve()),
                "SOJOURN_LIVE": "true" if options.live else "false",
                "SOJOURN_PUBLIC_URL": _public_url(options.port),
                **options.settings,
            }
            settings = _settings(environment, before=dict(os.environ))
            report("bringing up the API and the worker")
            await asyncio.to_thread(migrate, settings.database_url)
            with ExitStack() as stack:
                processes = {}
                for name, command in _commands(options.port):
                    log = folder / f"{name}.log"
                    log.unlink(missing_ok=True)
                    processes[name] = stack.enter_context(running(command, log=log, env=environment, patience=15))
                up = House(f"http://127.0.0.1:{options.port}", settings, folder, processes)
                await _until_ready(up)
                yield up


def _public_url(port: int) -> str:
    """Return where links in messages lead: to this API, unless the team has said how it is reached from outside."""
    settings = Settings()
    return settings.public_url if "public_url" in settings.model_fields_set else f"http://localhost:{port}"


def _settings(environment: dict[str, str], before: dict[str, str]) -> Settings:
    """Read the settings as the processes that we start will read them."""
    os.environ.update(environment)
    try:
        return Settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _commands(port: int) -> list[tuple[str, list[str]]]:
    sojourn = [sys.executable, "-m", "cli"]
    return [("api", [*sojourn, "api", "--port", str(port)]), ("worker", [*sojourn, "worker"])]


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="sojourn-") as folder:
            yield Path(folder)
    else:
        data_dir.mkdir(parents=True, exist_ok=True)
        yield data_dir


async def _until_ready(up: House) -> None:
    watching = asyncio.ensure_future(up.watch())
    try:
        async with httpx.AsyncClient(base_url=up.url, trust_env=False) as api, asyncio.timeout(READY_SECONDS):
            while not await _is_ready(api):
                if watching.done():
                    watching.result()
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise _not_up(up) from None
    finally:
        watching.cancel()


async def _is_ready(api: httpx.AsyncClient) -> bool:
    try:
        return (await api.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


def _not_up(up: House) -> EngineError:
    return EngineError(
        f"The API or the worker did not come up within {READY_SECONDS:.0f} s; "
        f"the API's last words: {last_words(up.logs / 'api.log')}; the worker's: {last_words(up.logs / 'worker.log')}"
    )
