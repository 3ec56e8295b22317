"""How runs are started and told of events on Temporal, and what it says of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from pydantic import ValidationError
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from store.tables import Run
from workflows.wire import Enrolment, Signal, Standing

USER = SearchAttributeKey.for_keyword("JourneyUser")
VERSION = SearchAttributeKey.for_int("JourneyVersion")
TRIGGER = SearchAttributeKey.for_keyword("JourneyTrigger")
MEMO = "run_id"
ANSWERS_WITHIN = timedelta(seconds=10)  # or is asked again: less than a claim lasts, so that no call of an old one comes late
OPEN = ("RUNNING", "PAUSED")
QUERY_SECONDS = 2
PAGE = 1000


class Told(Enum):
    """What became of a signal."""

    REACHED = "the run has it"
    CLOSED = "there is no open run of that id"
    REFUSED = "it can never have it"


class Held(Exception):
    """The person's last run of a journey is still open in Temporal, where the next one cannot start beside it."""


async def start(client: Client, run: Run, enrolment: Enrolment, task_queue: str) -> bool:
    """Start the run's workflow. Doing it again is harmless. False if another run of that id has not closed yet."""
    try:
        await client.start_workflow(
            run.journey,
            enrolment,
            id=run.workflow_id,
            task_queue=task_queue,
            memo={MEMO: run.id},
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(USER, enrolment.user.id),
                    SearchAttributePair(VERSION, run.version),
                    SearchAttributePair(TRIGGER, run.trigger),
                ]
            ),
            static_summary=f"{enrolment.user.id}: {run.journey} since {run.trigger}, {_minute(run.started_at)}",
            rpc_timeout=ANSWERS_WITHIN,
        )
    except WorkflowAlreadyStartedError:
        other = await look(client, run.workflow_id)
        return other is not None and other.is_open and other.run_id == run.id
    return True


async def tell(client: Client, run: Run, event: str, signal: Signal) -> Told:
    """Signal an event to a run, by the event's own name. A run that has it already takes no notice."""
    try:
        await client.get_workflow_handle(run.workflow_id).signal(event, signal, rpc_timeout=ANSWERS_WITHIN)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return Told.CLOSED
        raise
    return Told.REACHED


@dataclass(frozen=True)
class Seen:
    """A workflow as Temporal knows it: our run's id, and its status by Temporal's name (RUNNING, TERMINATED, …).

    `execution` is Temporal's own id of it, under the workflow's.
    """

    run_id: str
    status: str
    workflow_id: str
    execution: str
    started_at: datetime

    @property
    def is_open(self) -> bool:
        return self.status in OPEN


async def describe(client: Client, workflow_id: str) -> DescribeWorkflowExecutionResponse | None:
    """Return all that Temporal tells of the latest workflow under that id, or None if it knows none.

    Asked of the raw service: the SDK's own `describe` cannot read the status of a run that was paused in the UI.
    """
    request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id))
    try:
        return await client.workflow_service.describe_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def listed(client: Client, query: str) -> AsyncIterator[WorkflowExecutionInfo]:
    """List the workflows that a query finds. Asked of the raw service: the SDK's own list stumbles over paused ones."""
    token = b""
    while True:
        request = ListWorkflowExecutionsRequest(namespace=client.namespace, page_size=PAGE, next_page_token=token, query=query)
        answer = await client.workflow_service.list_workflow_executions(request, retry=True)
        for info in answer.executions:
            yield info
        token = answer.next_page_token
        if not token:
            return


async def look(client: Client, workflow_id: str) -> Seen | None:
    """Return the latest workflow under that id, or None if Temporal knows none."""
    answer = await describe(client, workflow_id)
    return None if answer is None else seen(answer.workflow_execution_info)


async def standing(client: Client | None, run: Run) -> Standing | None:
    """Ask a run where it stands. None if it is between two steps, or does not say within two seconds."""
    if client is None or run.ended_at is not None:
        return None
    handle: WorkflowHandle[object, object] = client.get_workflow_handle(run.workflow_id)
    limit = timedelta(seconds=QUERY_SECONDS)
    try:
        async with asyncio.timeout(QUERY_SECONDS):
            said: Standing | None = await handle.query("standing", result_type=Standing, rpc_timeout=limit)
    except (RPCError, RuntimeError, OSError, TimeoutError, WorkflowQueryFailedError):
        return None
    return said


def seen(info: WorkflowExecutionInfo) -> Seen:
    """Read what Temporal says of a workflow."""
    memo = info.memo.fields.get(MEMO)
    status = WorkflowExecutionStatus.Name(info.status).removeprefix("WORKFLOW_EXECUTION_STATUS_")
    began = info.start_time.ToDatetime(UTC)
    return Seen(json.loads(memo.data) if memo else "", status, info.execution.workflow_id, info.execution.run_id, began)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def is_final(error: ValidationError | RPCError) -> bool:
    """Say whether trying again can never help: Temporal takes no such id, size or number of signals."""
    return isinstance(error, ValidationError) or error.status == RPCStatusCode.INVALID_ARGUMENT


def why(error: ValidationError | RPCError) -> str:
    """Say what is wrong without the values, which may be private."""
    if isinstance(error, RPCError):
        return error.message
    wrong = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong)
