"""Ordering a run about on Temporal, which may be away."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.errors import Problem
from store.tables import Run
from workflows.run import Order

UPDATE_SECONDS = 5

AWAY = (RPCError, RuntimeError, OSError, TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError)


class NotThere(Exception):
    """Temporal has no open workflow of this run: it has not started yet, or has just ended."""


async def order(client: Client | None, run: Run, action: str, what: Order) -> None:
    """Give a run an operator's order, and wait until it has taken it.

    Raises NotThere, or a Problem: 409 if the run says no, 503 if it does not answer.
    """
    if client is None:
        raise unreachable(run)
    handle: WorkflowHandle[object, object] = client.get_workflow_handle(run.workflow_id)
    limit = timedelta(seconds=UPDATE_SECONDS)
    try:
        async with asyncio.timeout(UPDATE_SECONDS):
            await handle.execute_update(action, what, rpc_timeout=limit)
    except WorkflowUpdateFailedError as refused:
        why = refused.cause.message if isinstance(refused.cause, ApplicationError) else str(refused)
        raise Problem(409, "moved_on", f"run {run.id}: {why}") from None
    except AWAY as error:
        if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
            raise NotThere from None
        raise unreachable(run) from error


async def terminate(client: Client | None, run: Run, what: Order) -> None:
    """End a workflow that cannot end itself. One that is not there is as good as ended. Raises a Problem if Temporal is away."""
    if client is None:
        raise unreachable(run)
    handle: WorkflowHandle[object, object] = client.get_workflow_handle(run.workflow_id)
    try:
        async with asyncio.timeout(UPDATE_SECONDS):
            await handle.terminate(reason=str(what), rpc_timeout=timedelta(seconds=UPDATE_SECONDS))
    except AWAY as error:
        if not isinstance(error, RPCError) or error.status != RPCStatusCode.NOT_FOUND:
            raise unreachable(run) from error


def unreachable(run: Run) -> Problem:
    return Problem(
        503,
        "run_unreachable",
        f"run {run.id} does not answer: Temporal or the worker is away; try again when GET /healthz says that they are back",
        {"Retry-After": "5"},
    )
