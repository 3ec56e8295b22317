"""A worker that sends through the stand-in, in haste, and dies where it is told to: `python -m tests.promises.chaotic_worker`.

CHAOS_POINT names where, CHAOS_TIME the how many-eth time it comes there; `forgetful` in CHAOS_POINT makes it not read in the
ledger what has been sent. Attempts are given up sooner than the stand-in's slow answers come, and leases are short.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from temporalio.common import RetryPolicy
from temporalio.worker import Worker

import worker
from activities.http import client, speaking_to
from activities.send import Attempt, Sender
from activities.transport import Ambiguous, OutOfReach, Parcel, Throttled
from workflows.run import Receipt

POINTS = (
    "before the intent",
    "after the intent",
    "after the provider has accepted, before it answers",
    "after the answer, before the record",
    "after the record, before the activity completes",
)
ATTEMPT = timedelta(seconds=1.5)
LEASE = timedelta(seconds=2)
STICKY = timedelta(seconds=0.5)
PROVIDER_SECONDS = 4.0


class Doom:
    """Where this process is to die, and how often it has come there."""

    def __init__(self, point: str, time: int) -> None:
        self.point, self.left = point, time

    def comes_to(self, point: str) -> bool:
        self.left -= point == self.point
        return self.left == 0 and point == self.point

    def at(self, point: str) -> None:
        if self.comes_to(point):
            os._exit(9)


class StandIn:
    """The stand-in as a transport."""

    def __init__(self, url: str, log: Path, channel: str, doom: Doom, *, keyed: bool = False) -> None:
        self.url, self.log, self.channel, self.doom, self.keyed = url, log, channel, doom, keyed

    async def deliver(self, parcel: Parcel) -> str:
        message = {"key": parcel.key, "to": parcel.recipients[0], "text": parcel.content.text}
        headers = {"Idempotency-Key": parcel.key} if self.keyed else {}
        lingers = self.doom.comes_to(POINTS[2])
        if lingers:
            asyncio.get_running_loop().create_task(self._die_once_accepted(parcel.key))
        with speaking_to("the stand-in"):
            async with client(headers | ({"X-Linger": "1"} if lingers else {})) as http:
                answer = await http.post(f"{self.url}/{self.channel}", json=message)
        match answer.status_code:
            case 200:
                return str(answer.json()["id"])
            case 429:
                raise Throttled("slow down", timedelta(seconds=0.5))
            case 503:
                raise OutOfReach("away")
        raise Ambiguous(f"{answer.status_code}")

    async def _die_once_accepted(self, key: str) -> None:
        while key not in self.log.read_text():
            await asyncio.sleep(0.01)
        os._exit(9)


class Searchable(StandIn):
    """The stand-in, where it can be asked what it has accepted."""

    async def find(self, parcel: Parcel, since: datetime) -> Sequence[str]:
        asked = {"to": parcel.recipients[0], "text": parcel.content.text}
        with speaking_to("the stand-in"):
            async with client() as http:
                answer = await http.get(f"{self.url}/{self.channel}", params=asked)
        answer.raise_for_status()
        return [str(each) for each in answer.json()["ids"]]


def arm(doom: Doom) -> None:
    """Let the process die at its point of a send."""
    claim, end, send = Sender._claim, Sender._end, Sender.send

    async def claiming(self: Sender, *args: Any) -> Any:
        doom.at(POINTS[0])
        claimed = await claim(self, *args)
        if isinstance(claimed, Attempt):
            doom.at(POINTS[1])
        return claimed

    async def ending(self: Sender, attempt: Attempt, status: str, *args: Any, **options: Any) -> Receipt:
        if status == "sent":
            doom.at(POINTS[3])
        return await end(self, attempt, status, *args, **options)

    async def sending(self: Sender, *args: Any) -> Receipt:
        receipt = await send(self, *args)
        if receipt.status == "sent":
            doom.at(POINTS[4])
        return receipt

    _replace(claim=claiming, end=ending, send=sending)


def _replace(claim: Callable[..., Awaitable[Any]], end: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]) -> None:
    patch.object(Sender, "_claim", claim).start()
    patch.object(Sender, "_end", end).start()
    patch.object(Sender, "send", send).start()


def hurry() -> None:
    """Give attempts little time, and wait hardly at all for who is dead and had a run in its memory."""
    patch("workflows.temporal.SEND_TIMEOUT", ATTEMPT).start()
    patch("workflows.temporal.RETRIES", RetryPolicy(timedelta(seconds=0.3), maximum_interval=timedelta(seconds=2))).start()
    for module in ("ledger", "send"):
        patch(f"activities.{module}.LEASE", LEASE).start()
    patch("activities.send.PROVIDER_SECONDS", PROVIDER_SECONDS).start()
    patch("worker.Worker", partial(Worker, sticky_queue_schedule_to_start_timeout=STICKY)).start()


def main() -> None:
    point = os.environ.get("CHAOS_POINT", "")
    doom = Doom(point, int(os.environ.get("CHAOS_TIME", "1")))
    url, log = os.environ["CHAOS_PROVIDER"], Path(os.environ["CHAOS_LOG"])
    providers = {
        "email": StandIn(url, log, "email", doom, keyed=True),
        "sms": Searchable(url, log, "sms", doom),
        "push": StandIn(url, log, "push", doom),
    }
    patch("worker.configured", lambda *_: providers).start()
    patch("activities.outlets._allowed", lambda *_: True).start()
    hurry()
    arm(doom)
    if "forgetful" in point:
        patch("activities.send.answered", lambda row: None).start()
    asyncio.run(worker.main())


if __name__ == "__main__":
    main()
