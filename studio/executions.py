"""What does a Temporal server have of journeys' runs: which there are, which steps they took, and their histories?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from events.temporal import VERSION, listed
from studio.recorded import Recorded, recorded
from workflows.wire import Standing, Steps

OURS = f"{VERSION.name} IS NOT NULL"  # every run of a journey has it, and nothing else does
OPEN = f"{OURS} AND ExecutionStatus = 'Running'"
ANSWERS_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True)
class Execution:
    """One workflow of Temporal's that is a journey's run, or a part of one that continued as new."""

    journey: str
    version: int
    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class Told:
    """What a run has said of itself. `steps` are None if its worker is of a release that tells the step it stands in alone."""

    standing: str
    steps: tuple[str, ...] | None


async def executions(client: Client, query: str) -> AsyncIterator[Execution]:
    """Yield the runs that a query of Temporal's finds. Raises RPCError."""
    async for info in listed(client, query):
        yield Execution(info.type.name, _version(info), info.execution.workflow_id, info.execution.run_id)


async def asked(client: Client, one: Execution) -> Told | None:
    """Ask a run for its steps: a worker of its release answers. None if none does within five seconds."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN.total_seconds()):
            return await _told(client.get_workflow_handle(one.workflow_id, run_id=one.run_id))
    except (RPCError, RuntimeError, OSError, TimeoutError, WorkflowQueryFailedError):
        return None


async def _told(handle: WorkflowHandle[Any, Any]) -> Told:
    try:
        steps: Steps = await handle.query("steps", result_type=Steps, rpc_timeout=ANSWERS_WITHIN)
    except WorkflowQueryFailedError:
        at: Standing | None = await handle.query("standing", result_type=Standing, rpc_timeout=ANSWERS_WITHIN)
        return Told(at.step if at else "", None)
    return Told(steps.standing, steps.all)


async def fetched(client: Client, one: Execution) -> Recorded | None:
    """Fetch the history of a run; None of one that has been deleted meanwhile."""
    try:
        history = await client.get_workflow_handle(one.workflow_id, run_id=one.run_id).fetch_history()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return recorded(one.workflow_id, history)


def _version(info: WorkflowExecutionInfo) -> int:
    return int(json.loads(info.search_attributes.indexed_fields[VERSION.name].data))
