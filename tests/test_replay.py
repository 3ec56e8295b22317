"""The histories that this session's runs have made replay clean: in Temporal's sandbox and out of it, whatever Python's hash seed.

It comes last; on its own it has nothing to replay. Where processes share the session out, each replays what it has played.
Hundreds of people went the same way through the same journey: a few of each way are replayed, in the sandbox under one
seed; in a soak all of them, in both under each.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecution, WorkflowHistory

from tests.replaying import DIVERGED, MODULES, SANDBOXED
from tests.sharing import PROCESSES
from tests.stage import PLAYED

AT_ONCE = 32
SEEDS = (0, 1, 2)
FEW, ALL = "few", "all"
OF_EACH_WAY = 2


@pytest.fixture(scope="module")
async def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two: one of the histories of the session, and one of a few of each way."""
    folder = tmp_path_factory.mktemp("histories")
    for name in (FEW, ALL):
        (folder / name).mkdir()
        (folder / name / MODULES).write_text("\n".join(sorted(PLAYED.modules)))
    ways: Counter[tuple[object, ...]] = Counter()
    for client, queue in PLAYED.queues:
        runs = [run async for run in client.list_workflows(f"TaskQueue = '{queue}'")]
        for start in range(0, len(runs), AT_ONCE):
            some = runs[start : start + AT_ONCE]
            for run, history in zip(some, await asyncio.gather(*(fetched(client, run) for run in some)), strict=True):
                way = (run.workflow_type, *(event.event_type for event in history.events))
                ways[way] += 1
                for name in (ALL, FEW) if ways[way] <= OF_EACH_WAY else (ALL,):
                    (folder / name / f"{run.run_id}.json").write_text(history.to_json())
    return folder


async def fetched(client: Client, run: WorkflowExecution) -> WorkflowHistory:
    return await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()


@pytest.mark.real
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("which", [FEW, pytest.param(ALL, marks=pytest.mark.soak)])
async def test_the_histories_of_this_session_replay_under_any_hash_seed_sandboxed_and_not(
    histories: Path, which: str, process: str
) -> None:
    assert process == os.environ.get("PYTEST_XDIST_WORKER", process)
    if not PLAYED.queues:
        pytest.skip("no run was played in this session")
    processes = (replayed(histories / which, seed, sandboxed=which == ALL or not seed) for seed in SEEDS)
    assert await asyncio.gather(*processes) == [(0, [])] * len(SEEDS)


async def replayed(histories: Path, seed: int, *, sandboxed: bool) -> tuple[int | None, list[str]]:
    """Replay them in a process of that hash seed, also in the sandbox if so; return how it ended and what did not replay."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.replaying",
        str(histories),
        *([SANDBOXED] if sandboxed else []),
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # refused journeys fail their tasks here too, and say so at length
    )
    said, _ = await process.communicate()
    return process.returncode, [line for line in said.decode().splitlines() if line.startswith(DIVERGED)]
