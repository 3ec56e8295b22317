"""A real development server that plays scenarios for whoever waits for the answer: each in a house of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from temporalio.client import Client

from connecting import data_converter
from engine.server import serve
from store.migrate import migrate
from studio.house import house
from studio.real import play
from studio.scenario import Scenario
from studio.story import Ran, told

Job = tuple[Scenario, "Future[list[Ran]]"]


class Server:
    """Started for the first scenario, in a thread of its own; `stop` ends it. `journeys` is the folder with the templates."""

    def __init__(self, journeys: Path, report: Callable[[str], None]) -> None:
        self.journeys, self.report = journeys, report
        self.loop = asyncio.new_event_loop()
        self.jobs = asyncio.Queue[Job | None]()
        self.thread: Thread | None = None
        self.stopping = False

    def told(self, scenario: Scenario) -> list[Ran]:
        """Play a scenario, and tell what came of it. Raises EngineError where no server can be had."""
        if self.thread is None:
            self.thread = Thread(target=self.loop.run_until_complete, args=(self._work(),), daemon=True)
            self.thread.start()
        answer = Future[list[Ran]]()
        self.loop.call_soon_threadsafe(self.jobs.put_nowait, (scenario, answer))
        return answer.result()

    def stop(self) -> None:
        self.stopping = True
        if self.thread is not None:
            self.loop.call_soon_threadsafe(self.jobs.put_nowait, None)
            self.thread.join()
        self.loop.close()

    async def _work(self) -> None:
        """Play one scenario after the other; if there is no server, tell so whoever asks."""
        try:
            with tempfile.TemporaryDirectory(prefix="sojourn-test-") as folder:
                await self._serve(Path(folder))
        except Exception as error:
            while not self.stopping and (job := await self.jobs.get()) is not None:
                job[1].set_exception(error)

    async def _serve(self, folder: Path) -> None:
        job = await self.jobs.get()
        if job is None:
            return
        try:
            async with serve(data_dir=None, ui_port=None, report=self.report) as engine:
                temporal = await Client.connect(engine.address, namespace=engine.namespace, data_converter=data_converter)
                empty = folder / "empty.db"
                await asyncio.to_thread(migrate, _url(empty))
                while job is not None:
                    await self._answer(job, temporal, Path(shutil.copy(empty, folder / "house.db")))
                    job = await self.jobs.get()
        except Exception as error:
            if job is not None and not job[1].done():
                job[1].set_exception(error)
            raise

    async def _answer(self, job: Job, temporal: Client, database: Path) -> None:
        scenario, answer = job
        try:
            answer.set_result(await self._played(scenario, temporal, database))
        except Exception as error:
            answer.set_exception(error)

    async def _played(self, scenario: Scenario, temporal: Client, database: Path) -> list[Ran]:
        """Play it among people of its own: whoever it is about is nobody that another test has sent to."""
        user = scenario.person.user.id
        options: dict[str, Any] = {"zone": scenario.fallback_zone, "live": False, "environment": "development"}
        async with house(temporal, _url(database), self.journeys, **options) as up:
            try:
                await play(up, scenario)
                return await told(up.store, user, scenario.start)
            finally:
                await up.end_open_runs(user)


def _url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"
