"""Deleting what Temporal has of workflows, every execution of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from events.temporal import describe, listed


async def delete_histories(client: Client, workflow_ids: Sequence[str]) -> bool:
    """Ask for every execution under these ids to be ended and deleted. True once Temporal knows none; it takes some seconds."""
    clean = True
    for workflow_id in workflow_ids:
        found = {each async for each in _executions(client, workflow_id)}
        for run_id in found:
            await _delete(client, workflow_id, run_id)
        clean = clean and not found
    return clean


async def delete_execution(client: Client, workflow_id: str, run_id: str) -> None:
    """Ask for that execution, and those that it continues, to be ended and deleted."""
    while run_id:
        before = await _continued(client, workflow_id, run_id)
        await _delete(client, workflow_id, run_id)
        run_id = before


async def _executions(client: Client, workflow_id: str) -> AsyncIterator[str]:
    """Find the executions: the list may lag behind, so the latest is asked for too, and those that it continues."""
    async for info in listed(client, f"WorkflowId = {_quoted(workflow_id)}"):
        yield info.execution.run_id
    latest = await describe(client, workflow_id)
    run_id = latest.workflow_execution_info.execution.run_id if latest is not None else ""
    while run_id:
        yield run_id
        run_id = await _continued(client, workflow_id, run_id)


async def _continued(client: Client, workflow_id: str, run_id: str) -> str:
    """Return the execution that this one goes on from, '' if none."""
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id), maximum_page_size=1
    )
    try:
        answer = await client.workflow_service.get_workflow_execution_history(request, retry=True)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return ""
        raise
    return answer.history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id


async def _delete(client: Client, workflow_id: str, run_id: str) -> None:
    execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
    try:
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution), retry=True
        )
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
