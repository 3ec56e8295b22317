"""The histories that this session's runs have made replay clean: in Temporal's sandbox and out of it, whatever Python's hash seed.

It comes last; on its own it has nothing to replay. Where processes share the session out, each replays what it has played.
Hundreds of people went the same way through the same journey: one of each way is replayed, in the sandbox under one seed and
out of it under another; in a soak all of them, in both under each.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecution, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from tests.replaying import DIVERGED, MODULES, PLAIN, SANDBOXED
from tests.sharing import PROCESSES
from tests.stage import PLAYED

AT_ONCE = 32
SEEDS = (0, 1, 2)
OF_EACH_WAY, ALL = "one of each way", "all"


@pytest.fixture(scope="module")
async def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two: one of the histories of the session, and one of one of each way."""
    folder = tmp_path_factory.mktemp("histories")
    for name in (OF_EACH_WAY, ALL):
        (folder / name).mkdir()
        (folder / name / MODULES).write_text("\n".join(sorted(PLAYED.modules)))
    ways: set[tuple[object, ...]] = set()
    for client, queue in PLAYED.queues:
        runs = [run async for run in client.list_workflows(f"TaskQueue = '{queue}'")]
        for start in range(0, len(runs), AT_ONCE):
            some = runs[start : start + AT_ONCE]
            for run, history in zip(some, await asyncio.gather(*(fetched(client, run) for run in some)), strict=True):
                if history is None:
                    continue
                way = (run.workflow_type, *(event.event_type for event in history.events))
                for name in (ALL,) if way in ways else (ALL, OF_EACH_WAY):
                    (folder / name / f"{run.run_id}.json").write_text(history.to_json())
                ways.add(way)
    return folder


async def fetched(client: Client, run: WorkflowExecution) -> WorkflowHistory | None:
    """Return the history of a run; None of one that has been deleted, and is still listed."""
    try:
        return await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None


@pytest.mark.real
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("which", [OF_EACH_WAY, pytest.param(ALL, marks=pytest.mark.soak)])
async def test_the_histories_of_this_session_replay_under_any_hash_seed_sandboxed_and_not(
    histories: Path, which: str, process: str
) -> None:
    assert process == os.environ.get("PYTEST_XDIST_WORKER", process)
    if not PLAYED.queues:
        pytest.skip("no run was played in this session")
    how = [(seed, runner) for seed in SEEDS for runner in (PLAIN, SANDBOXED)] if which == ALL else [(0, SANDBOXED), (1, PLAIN)]
    assert await asyncio.gather(*(replayed(histories / which, *each) for each in how)) == [(0, [])] * len(how)


async def replayed(histories: Path, seed: int, runner: str) -> tuple[int | None, list[str]]:
    """Replay them in a process of that hash seed, in the sandbox or out of it; return how it ended and what did not replay."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.replaying",
        str(histories),
        runner,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join((*PLAYED.folders, *sys.path))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # refused journeys fail their tasks here too, and say so at length
    )
    said, _ = await process.communicate()
    return process.returncode, [line for line in said.decode().splitlines() if line.startswith(DIVERGED)]
