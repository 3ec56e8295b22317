"""A worker process that fails on purpose: `python -m tests.promises.failing_worker SENDS [hasty] [forgetful]`.

It kills itself when so many messages have been sent, before it could tell Temporal of the last: the worst moment; with 0 it
never does. A `forgetful` one, besides, does not read in the ledger what has been sent already; a `hasty` one waits for
seconds where others wait for half a minute, for who is dead.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime, timedelta
from functools import partial
from unittest.mock import patch

from temporalio.worker import Worker

import worker
from activities.send import Sender
from workflows.run import Receipt
from workflows.wire import Dispatch

ATTEMPT, LEASE = timedelta(seconds=6), timedelta(seconds=8)
STICKY, RECONCILED = timedelta(seconds=1), timedelta(seconds=2)


def die_after(sends: int) -> None:
    send, done = Sender.send, 0

    async def send_and_die(self: Sender, dispatch: Dispatch, now: datetime) -> Receipt:
        nonlocal done
        receipt = await send(self, dispatch, now)
        done += receipt.status == "sent"
        if done == sends > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt

    Sender.send = send_and_die  # type: ignore[method-assign]


def hurry() -> None:
    """Give up sooner what a worker has begun that is dead: its attempts, its leases, the runs in its memory."""
    patch("workflows.temporal.SEND_TIMEOUT", ATTEMPT).start()
    for module in ("ledger", "send"):
        patch(f"activities.{module}.LEASE", LEASE).start()
    patch("worker.Worker", partial(Worker, sticky_queue_schedule_to_start_timeout=STICKY)).start()
    patch("events.reconcile.EVERY", RECONCILED).start()


if __name__ == "__main__":
    if "hasty" in sys.argv:
        hurry()
    die_after(int(sys.argv[1]))
    if "forgetful" in sys.argv:
        patch("activities.send.answered", lambda row: None).start()
    asyncio.run(worker.main())
