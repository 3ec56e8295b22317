"""A worker process that fails on purpose: `python -m tests.promises.failing_worker SENDS [forgetful]`.

It kills itself when so many messages have been sent, before it could tell Temporal of the last: the worst moment. A
`forgetful` one, besides, does not read in the ledger what has been sent already.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime
from unittest.mock import patch

from activities.send import Sender
from worker import main
from workflows.run import Receipt
from workflows.wire import Dispatch


def die_after(sends: int) -> None:
    send, done = Sender.send, 0

    async def send_and_die(self: Sender, dispatch: Dispatch, now: datetime) -> Receipt:
        nonlocal done
        receipt = await send(self, dispatch, now)
        done += receipt.status == "sent"
        if done == sends:
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt

    Sender.send = send_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[1]))
    if "forgetful" in sys.argv:
        patch("activities.send.answered", lambda row: None).start()
    asyncio.run(main())
