"""A served server is ready for journeys, keeps their runs, plays months in moments, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from temporalio import workflow
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from engine.errors import EngineError
from engine.process import command_of
from engine.server import Engine, serve
from tests.engine.conftest import Install

DAY = timedelta(days=1)
QUEUE = "engine-tests"

USER = SearchAttributeKey.for_keyword("JourneyUser")
VERSION = SearchAttributeKey.for_int("JourneyVersion")
TRIGGER = SearchAttributeKey.for_keyword("JourneyTrigger")


@workflow.defn
class Sleeper:
    @workflow.run
    async def run(self, days: int, again: int = 0) -> str:
        for _ in range(days):
            await workflow.sleep(DAY)
        if again:
            workflow.continue_as_new(args=[days, again - 1])
        return workflow.now().isoformat()


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[Engine]:
    async with serve(data_dir=None) as engine:
        yield engine


@pytest.fixture(scope="module")
async def client(engine: Engine) -> AsyncIterator[Client]:
    client = await Client.connect(engine.address, namespace=engine.namespace)
    async with Worker(client, task_queue=QUEUE, workflows=[Sleeper], workflow_runner=UnsandboxedWorkflowRunner()):
        yield client


async def start(client: Client, days: int, again: int = 0, user: str = "user-42") -> WorkflowHandle[Sleeper, str]:
    return await client.start_workflow(
        Sleeper.run,
        args=[days, again],
        id=f"sleeper/{uuid4()}",
        task_queue=QUEUE,
        search_attributes=TypedSearchAttributes(
            [SearchAttributePair(USER, user), SearchAttributePair(VERSION, 1), SearchAttributePair(TRIGGER, "signed_up")]
        ),
    )


def skipper(client: Client) -> TimeSkipper:
    return TimeSkipper(client, config=TimeSkippingConfig(enabled=False))


def listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def eventually(happened: Callable[[], bool], within: float = 60) -> None:
    """Fail unless `happened()` comes true."""
    async with asyncio.timeout(within):
        while not happened():
            await asyncio.sleep(0.02)


async def test_a_run_is_found_by_its_user_version_and_trigger(client: Client) -> None:
    user = f"user-{uuid4()}"
    handle = await start(client, days=1, user=user)
    query = f"JourneyUser = '{user}' AND JourneyVersion = 1 AND JourneyTrigger = 'signed_up'"

    async with asyncio.timeout(60):
        while not (found := [run.id async for run in client.list_workflows(query)]):
            await asyncio.sleep(0.02)
    assert found == [handle.id]


async def test_a_month_of_thirty_timers_takes_moments(client: Client) -> None:
    handle = await start(client, days=30)

    async with asyncio.timeout(25):  # a second each, were the server to look at its timers as seldom as in production
        assert await skipper(client).fast_forward(handle, 31 * DAY) is False  # it ended before


async def test_a_run_that_continues_as_new_keeps_its_skipped_clock_exactly(client: Client) -> None:
    handle = await start(client, days=3, again=4)
    began = (await handle.describe()).start_time

    await skipper(client).fast_forward(handle, 16 * DAY)

    (ended,) = [
        run.close_time async for run in client.list_workflows(f"WorkflowId = '{handle.id}' AND ExecutionStatus = 'Completed'")
    ]
    assert ended
    assert timedelta(0) <= ended - began - 15 * DAY < timedelta(minutes=1)


async def test_the_ui_shows_the_namespace(engine: Engine) -> None:
    async with httpx.AsyncClient(base_url=engine.ui_url or "", trust_env=False) as ui:
        answer = await ui.get("/api/v1/namespaces")

    assert engine.namespace in answer.text


async def test_closed_runs_are_kept_for_three_months(client: Client) -> None:
    known = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))

    assert known.config.workflow_execution_retention_ttl.ToTimedelta() == 90 * DAY


async def test_runs_outlive_a_server_that_is_killed_and_go_on_at_once(tmp_path: Path) -> None:
    async with serve(data_dir=tmp_path, ui_port=None) as engine:
        handle = await start(await Client.connect(engine.address), days=3)
        (pid,) = json.loads((tmp_path / "temporal" / "processes.json").read_text())
        os.kill(pid, signal.SIGKILL)

    async with serve(data_dir=tmp_path, ui_port=None) as engine, asyncio.timeout(60):
        client = await Client.connect(engine.address)
        async with Worker(client, task_queue=QUEUE, workflows=[Sleeper], workflow_runner=UnsandboxedWorkflowRunner()):
            again = client.get_workflow_handle(handle.id)
            await skipper(client).fast_forward(again, 4 * DAY)
            assert await again.result()


async def test_what_was_started_has_ended_after_the_block(tmp_path: Path) -> None:
    async with serve(data_dir=tmp_path) as engine:
        pids = json.loads((tmp_path / "temporal" / "processes.json").read_text())
        assert listens(engine.address)

    assert pids
    assert not any(command_of(pid) for pid in pids)
    assert engine.ui_url
    assert not listens(engine.address)
    assert not listens(engine.ui_url)


SERVES_FOREVER = """
import asyncio, sys
from pathlib import Path
from engine.server import serve

async def main():
    async with serve(data_dir=Path(sys.argv[1]), ui_port=None) as engine:
        print(engine.address, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def serving(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVES_FOREVER, str(folder), stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout
    return process, (await process.stdout.readline()).decode().strip()


async def test_a_server_dies_with_the_process_that_was_killed_over_it(tmp_path: Path) -> None:
    process, address = await serving(tmp_path)
    assert listens(address)

    process.kill()
    await process.wait()

    await eventually(lambda: not listens(address))


async def test_a_second_user_of_a_data_folder_is_told_to_choose_another(tmp_path: Path) -> None:
    process, address = await serving(tmp_path)
    try:
        with pytest.raises(EngineError, match=r"Another Sojourn runs on .*--data-dir"):
            async with serve(data_dir=tmp_path, ui_port=None):
                pass
        assert listens(address)
    finally:
        process.terminate()
        await process.wait()


@contextmanager
def noted(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that `folder` notes as a server of its former user."""
    with subprocess.Popen(command, start_new_session=True) as process:
        (folder / "processes.json").write_text(json.dumps([process.pid]))
        try:
            yield process
        finally:
            process.kill()


async def test_a_server_left_by_a_killed_user_of_the_folder_is_ended_first(tmp_path: Path) -> None:
    folder = tmp_path / "temporal"
    folder.mkdir()
    with noted(folder, "sh", "-c", "sleep 600; :", str(folder / "server.json")) as left:
        async with serve(data_dir=tmp_path, ui_port=None):
            assert left.wait(timeout=60) == -signal.SIGTERM


async def test_a_process_that_now_has_the_number_of_an_old_server_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "temporal"
    folder.mkdir()
    with noted(folder, "sleep", "600") as stranger:
        async with serve(data_dir=tmp_path, ui_port=None):
            assert stranger.poll() is None


@pytest.mark.parametrize(("argument", "option"), [("port", "--port"), ("ui_port", "--ui-port")])
async def test_a_taken_port_is_named_with_the_option_that_changes_it(argument: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=rf"Port {port} .*{option}\."):
            async with serve(data_dir=None, **{argument: port}):
                pass


async def test_a_chosen_port_is_the_one_served_on(unused_tcp_port: int) -> None:
    async with serve(data_dir=None, port=unused_tcp_port, ui_port=None) as engine:
        assert engine == Engine(f"127.0.0.1:{unused_tcp_port}", None, "default")


async def test_a_server_that_is_up_is_prepared_used_and_left_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", engine.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "elsewhere")

    async with serve(data_dir=None) as used:
        await start(await Client.connect(used.address, namespace=used.namespace), days=1)

    assert used == Engine(engine.address, None, "elsewhere")
    assert listens(engine.address)


async def test_an_address_where_no_server_is_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")

    with pytest.raises(EngineError, match=r"TEMPORAL_ADDRESS=127\.0\.0\.1:9 cannot be used .*unset the variable"):
        async with serve(data_dir=None):
            pass


async def test_a_server_that_cannot_start_says_its_last_words(install: Install) -> None:
    install("temporal", 'test "$1" = --version && echo "Server 1.32.0" || { echo "no room left on the moon"; exit 1; }')

    with pytest.raises(EngineError, match=r"The Temporal server ended while starting; .* no room left on the moon"):
        async with serve(data_dir=None, ui_port=None):
            pass


async def test_a_damaged_database_is_named_and_not_overwritten(tmp_path: Path) -> None:
    async with serve(data_dir=tmp_path, ui_port=None):
        (database,) = (tmp_path / "temporal").glob("*.db")
    for file in database.parent.glob(f"{database.name}*"):
        file.write_bytes(b"this is no database " * 100)

    with pytest.raises(EngineError, match=rf"{database} cannot be read .*--data-dir"):
        async with serve(data_dir=tmp_path, ui_port=None):
            pass
    assert database.read_bytes() == b"this is no database " * 100
