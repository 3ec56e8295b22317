"""Every history that this session's runs have made replays clean: in Temporal's sandbox and out of it, whatever Python's hash seed.

It comes last; on its own it has nothing to replay.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecution

from tests.replaying import DIVERGED, MODULES
from tests.stage import PLAYED

AT_ONCE = 32
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
async def histories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every history of the session."""
    folder = tmp_path_factory.mktemp("histories")
    (folder / MODULES).write_text("\n".join(sorted(PLAYED.modules)))
    for client, queue in PLAYED.queues:
        runs = [run async for run in client.list_workflows(f"TaskQueue = '{queue}'")]
        for start in range(0, len(runs), AT_ONCE):
            await asyncio.gather(*(keep(folder, client, run) for run in runs[start : start + AT_ONCE]))
    return folder


async def keep(folder: Path, client: Client, run: WorkflowExecution) -> None:
    history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    (folder / f"{run.run_id}.json").write_text(history.to_json())


@pytest.mark.real
async def test_every_history_of_this_session_replays_under_any_hash_seed_sandboxed_and_not(histories: Path) -> None:
    if not PLAYED.queues:
        pytest.skip("no run was played in this session")
    assert await asyncio.gather(*(replayed(histories, seed) for seed in SEEDS)) == [(0, [])] * len(SEEDS)


async def replayed(histories: Path, seed: int) -> tuple[int | None, list[str]]:
    """Replay them in a process of that hash seed; return how it ended and what did not replay."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.replaying",
        str(histories),
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # refused journeys fail their tasks here too, and say so at length
    )
    said, _ = await process.communicate()
    return process.returncode, [line for line in said.decode().splitlines() if line.startswith(DIVERGED)]
