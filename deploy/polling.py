"""`python -m deploy.polling`: end with status 0 if a worker of this host asks Temporal for work, else with 1: its health check."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from connecting import connect
from deploy.ending import end
from settings import Settings

LATELY = timedelta(seconds=90)  # a poll is held open for up to a minute


async def main() -> bool:
    """Say whether a worker of this host polls for workflow tasks."""
    settings = Settings()
    asking = await pollers(await connect(settings), settings.task_queue)
    return any(is_ours(poller, datetime.now(UTC)) for poller in asking)


async def pollers(client: Client, task_queue: str) -> Sequence[PollerInfo]:
    """Return who has asked for workflow tasks of that queue in the last few minutes."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    return (await client.workflow_service.describe_task_queue(request)).pollers


def is_ours(poller: PollerInfo, now: datetime) -> bool:
    """Say whether that poller is on this host (identities are pid@host) and was seen lately."""
    seen = poller.last_access_time.ToDatetime(tzinfo=UTC)
    return poller.identity.endswith(f"@{socket.gethostname()}") and now - seen < LATELY


if __name__ == "__main__":
    end(not asyncio.run(main()))
