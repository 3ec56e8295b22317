"""What Temporal says of a workflow from outside: its clock, and whether it rests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import Client

from events.temporal import describe, seen


class Unrest(Enum):
    """Why there is nothing to be said of a workflow's rest."""

    BUSY = "it has work in hand, or has just ended"
    OVER = "it is over, whatever the row of its run says, or there is none"


@dataclass(frozen=True)
class Rest:
    """An open workflow without work in hand. `execution` and `length` of its history are others once it has moved.

    `ahead` is what its clock is ahead of ours; `attempt` the moment, by that clock, at which an activity is tried again.
    """

    execution: str
    length: int
    ahead: timedelta
    attempt: datetime | None

    @property
    def now(self) -> datetime:
        """Its clock."""
        return datetime.now(UTC) + self.ahead


async def look(temporal: Client, workflow_id: str) -> Rest | Unrest:
    """Look at the latest workflow of that id, with one call."""
    found = await describe(temporal, workflow_id)
    if found is None:
        return Unrest.OVER
    match seen(found.workflow_execution_info).status:
        case "RUNNING" | "PAUSED":
            return _rest(found)
        case "COMPLETED" | "CONTINUED_AS_NEW":
            return Unrest.BUSY  # it closes its row before it ends, and its successor is there at once: look again
        case _:
            return Unrest.OVER


def _rest(found: DescribeWorkflowExecutionResponse) -> Rest | Unrest:
    clock = _clock(found)
    attempts = [_next_attempt(each) for each in found.pending_activities]
    if found.HasField("pending_workflow_task") or any(at is None or at <= clock for at in attempts):
        return Unrest.BUSY
    info = found.workflow_execution_info
    soonest = min((at for at in attempts if at), default=None)
    return Rest(info.execution.run_id, info.history_length, clock - datetime.now(UTC), soonest)


def _clock(found: DescribeWorkflowExecutionResponse) -> datetime:
    """Return the workflow's clock: ours, until it is brought forward for the first time."""
    extended = found.workflow_extended_info
    if not extended.HasField("time_skipping_info"):
        return datetime.now(UTC)
    return extended.time_skipping_info.current_time.ToDatetime(UTC)


def _next_attempt(activity: PendingActivityInfo) -> datetime | None:
    """Return when the activity is tried again; None for one that is being tried."""
    if activity.attempt > 1 and activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
        return activity.scheduled_time.ToDatetime(UTC)
    return None
