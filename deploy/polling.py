"""`python -m deploy.polling`: end with status 0 if a worker of this host asks Temporal for work, else with 1: its health check."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from connecting import connect
from deploy.ending import end
from settings import Settings

LATELY = timedelta(seconds=90)  # a poll is held open for up to a minute


async def main() -> bool:
    """Say whether a worker of this host polls for workflow tasks."""
    settings = Settings()
    client = await connect(settings)
    request = DescribeTaskQueueRequest(
        namespace=settings.temporal_namespace,
        task_queue=TaskQueue(name=settings.task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(request)
    return any(is_ours(poller, datetime.now(UTC)) for poller in answer.pollers)


def is_ours(poller: PollerInfo, now: datetime) -> bool:
    """Say whether that poller is on this host (identities are pid@host) and was seen lately."""
    seen = poller.last_access_time.ToDatetime(tzinfo=UTC)
    return poller.identity.endswith(f"@{socket.gethostname()}") and now - seen < LATELY


if __name__ == "__main__":
    end(not asyncio.run(main()))
