"""Chaos: whatever is killed, lost, delayed or told twice, each channel keeps what it promises. Counted at the provider.

`email` goes to a provider that takes our key; `sms` to one that does not, and can at times be asked what it has taken, under
`drop`; `push` to one that can only be sent to, under `resend`; `in_app` is our own.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

from engine.process import LOOPBACK, free_ports
from tests.promises.chaotic_worker import POINTS
from tests.promises.house import House, house

CHANNELS = ("email", "sms", "push", "in_app")
AT_THE_PROVIDER = ("email", "sms", "push")
SHARES = {"delay": 8, "drop": 8, "fail": 8, "lose": 5, "throttle": 8, "away": 3, "tell": 30, "blind": 50}
WORKER = "tests.promises.chaotic_worker"
BY = {"X-Actor": "ada", "X-Reason": "the provider's log"}
FEW, MANY = 3, 50  # sends at once
ONCE_EACH = 120  # seconds, after which something would be wrong
BATCH = 100


@dataclass(frozen=True)
class Row:
    """What the ledger says of a message."""

    key: str
    channel: str
    status: str
    reason: str
    doubted: bool
    provider_id: str | None


@dataclass
class Chaos:
    """A house, the provider that it sends through, and the people that it writes to."""

    up: House
    people: Sequence[str]
    log: Path
    worker: Mapping[str, str]
    chance: random.Random
    forgetful: bool = False

    def start_worker(self, point: str = "", time: int = 1) -> None:
        how = f"{point} forgetful" if self.forgetful else point
        at_once = str(FEW if point else MANY)  # few at a time, so that all who are to die come to their point
        self.up.start_worker(WORKER, **self.worker, CHAOS_POINT=how, CHAOS_TIME=str(time), SOJOURN_MAX_CONCURRENT_SENDS=at_once)

    def accepted(self) -> list[dict[str, Any]]:
        """Return what the provider has accepted, as it wrote it down."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def counts(self, channel: str) -> Counter[str]:
        return Counter(each["key"] for each in self.accepted() if each["channel"] == channel)

    def rows(self, channel: str | None = None) -> list[Row]:
        found = self.up.read("SELECT key, channel, status, reason, doubted, provider_id FROM messages")
        return [Row(*row) for row in found if channel in (None, row[1])]

    async def introduce(self) -> None:
        """Tell an address on every channel of each of them."""
        calls = [
            {
                "type": "identify",
                "userId": each,
                "traits": {"email": f"{each}@example.org", "phone": f"+4915{number:09}"},
                "context": {"device": {"token": f"token of {each}", "type": "android"}},
            }
            for number, each in enumerate(self.people)
        ]
        await self.post(calls)

    async def tell(self, event: str, people: Sequence[str]) -> None:
        """Tell the event of each of them: with the same id twice at once, and of some with another as well."""
        calls = [{"type": "track", "userId": each, "event": event, "messageId": f"{event} {each}"} for each in people]
        others = [{**each, "messageId": uuid4().hex} for each in calls if self.chance.random() < 0.2]
        await asyncio.gather(self.post(calls), self.post(calls), self.post(others))

    async def post(self, calls: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(calls), BATCH):
            answer = await self.up.api.post("/v1/batch", json={"batch": calls[first : first + BATCH]})
            assert answer.json() == {"success": True}, answer.text

    async def more_accepted(self, count: int) -> None:
        enough = len(self.accepted()) + count
        await self.up.eventually(lambda: len(self.accepted()) >= enough, ONCE_EACH)

    async def die_at_every_point(self) -> None:
        """Let workers come each to another point, and die there."""
        for point in POINTS:
            self.start_worker(point, self.chance.randrange(1, 4))
        armed = self.up.workers[-len(POINTS) :]
        await self.up.eventually(lambda: all(each.poll() is not None for each in armed), ONCE_EACH)
        assert {each.returncode for each in armed} == {9}

    async def kill_worker(self) -> None:
        self.start_worker()
        await self.more_accepted(self.chance.randrange(1, len(self.people) // 5))
        self.up.kill_worker()

    async def kill_temporal(self) -> None:
        """Kill -9 the server while a worker works, and start it again."""
        await self.more_accepted(1)
        await self.up.kill_temporal()
        await self.up.start_temporal()

    async def reset(self, people: Sequence[str]) -> None:
        """Let the runs of these people begin again, as an operator does with Temporal's own command."""
        temporal = await self.up.temporal_client()
        for each in people:
            await _reset(temporal, f"everywhere/{each}")


async def _reset(temporal: Client, workflow_id: str) -> None:
    history = temporal.get_workflow_handle(workflow_id).fetch_history_events()
    kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    first = await anext(each.event_id async for each in history if each.event_type == kind)
    request = ResetWorkflowExecutionRequest(
        namespace=temporal.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        workflow_task_finish_event_id=first,
        request_id=uuid4().hex,
        reason="chaos",
    )
    await temporal.workflow_service.reset_workflow_execution(request)


@pytest.fixture
async def chaos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[Chaos]:
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    count, seed = getattr(request, "param", (20, 1))
    settings = {
        "SOJOURN_JOURNEYS": str(Path(__file__).parent / "chaotic_journeys"),
        "SOJOURN_LIVE": "true",
        "SOJOURN_ON_AMBIGUOUS": json.dumps({"sms": "drop", "push": "resend"}),
    }
    log = tmp_path / "accepted.jsonl"
    async with house(tmp_path, ("tests.promises.chaotic_api",), **settings) as up:
        with free_ports(1) as (port,):
            pass
        callbacks = f"{up.api.base_url}/stand-in"
        up.start("stand-in", "tests.promises.provider_stand_in", str(port), str(log), callbacks, json.dumps(SHARES), str(seed))
        worker = {"CHAOS_PROVIDER": f"http://{LOOPBACK}:{port}", "CHAOS_LOG": str(log)}
        yield Chaos(up, [f"user-{seed}-{number:05}" for number in range(count)], log, worker, random.Random(seed))


async def go_through(chaos: Chaos, kills: int) -> None:
    """Everything that happens: kills at every point and at random, resets, triggers told twice; then let everybody finish."""
    await chaos.introduce()
    await chaos.tell("arrived", chaos.people)
    await chaos.die_at_every_point()
    for number in range(kills):
        await chaos.kill_worker()
        if number % 4 == 3:
            chaos.start_worker()
            await chaos.kill_temporal()
            chaos.up.kill_worker()
    chaos.start_worker()
    await chaos.kill_temporal()
    await chaos.reset(await texted(chaos))
    await chaos.tell("acted", chaos.people)


async def texted(chaos: Chaos) -> list[str]:
    """Wait until some people have had their text, and return them: their runs wait, or are about to."""
    query = (
        "SELECT user_id FROM messages JOIN people ON people.id = person_id "
        "WHERE channel = 'sms' AND status = 'sent' ORDER BY user_id LIMIT 10"
    )
    await chaos.up.eventually(lambda: len(chaos.up.read(query)) >= 5, ONCE_EACH)
    return [each for (each,) in chaos.up.read(query)]


async def over(chaos: Chaos, seconds: float) -> list[Row]:
    """Wait until every run is over, and return the ledger as it is then."""
    await chaos.up.eventually(lambda: chaos.up.runs() == {"completed": len(chaos.people)}, seconds)
    return chaos.rows()


async def reconcile(chaos: Chaos) -> None:
    """Say of what is in doubt that it was sent, if the provider's log has it: as an operator does, who can read that."""
    taken = {each["key"] for each in chaos.accepted()}
    for row in chaos.rows():
        if row.status == "unknown" and row.key in taken:
            answer = await chaos.up.api.post(f"/v1/messages/{row.key}/resolve", json={"as": "sent"}, headers=BY)
            assert answer.status_code in (200, 409), answer.text  # or a late callback has told it first


def is_kept(chaos: Chaos, before: Sequence[Row]) -> None:
    """See that each channel has kept its promise, that what was ambiguous is flagged, and that the ledger is the log."""
    keys = {channel: {row.key for row in before if row.channel == channel} for channel in CHANNELS}
    assert {channel: len(those) for channel, those in keys.items()} == dict.fromkeys(CHANNELS, len(chaos.people))
    email, sms, push = (chaos.counts(channel) for channel in AT_THE_PROVIDER)
    doubted = {row.key for row in before if row.doubted}

    assert email == Counter(keys["email"])
    assert set(sms.values()) == {1}
    assert set(push) == keys["push"]
    assert {key for key, times in push.items() if times > 1} <= doubted
    assert chaos.up.read("SELECT count(*), count(DISTINCT person_id) FROM inbox") == [(len(chaos.people), len(chaos.people))]

    in_doubt = {row.key for row in before if row.status == "unknown"}
    assert in_doubt <= doubted & keys["sms"]
    assert keys["sms"] - set(sms) <= in_doubt
    assert {row.status for row in before} <= {"sent", "unknown"}

    ids = {each["id"]: each["key"] for each in chaos.accepted()}
    after = [row for row in chaos.rows() if row.channel in AT_THE_PROVIDER]
    assert {row.key for row in after if row.status == "sent"} == {*email, *sms, *push}
    assert all(ids[row.provider_id] == row.key for row in after if row.provider_id)


def summary(chaos: Chaos, rows: Sequence[Row], began: float) -> str:
    """Return the figures of a run, for who watches it."""
    accepted = chaos.accepted()
    doubles = sum(times - 1 for channel in AT_THE_PROVIDER for times in chaos.counts(channel).values())
    return (
        f"{len(rows)} messages, {len(accepted)} accepted by the provider, {sum(row.doubted for row in rows)} doubted, "
        f"{sum(row.status == 'unknown' for row in rows)} unknown, {doubles} doubled (resend), in {time.monotonic() - began:.0f} s"
    )


@pytest.mark.parametrize(
    ("chaos", "kills", "seconds"),
    [
        pytest.param((20, 1), 1, 60, id="short"),
        pytest.param((2500, 1), 10, 1800, id="ten-thousand", marks=pytest.mark.soak),
    ],
    indirect=["chaos"],
)
async def test_every_channel_keeps_its_promise(chaos: Chaos, kills: int, seconds: float) -> None:
    began = time.monotonic()
    await go_through(chaos, kills)
    before = await over(chaos, seconds)
    await reconcile(chaos)
    print(summary(chaos, before, began))
    is_kept(chaos, before)


async def test_messages_would_be_doubled_without_the_ledger(chaos: Chaos) -> None:
    chaos.forgetful = True
    await chaos.introduce()
    await chaos.tell("arrived", chaos.people)
    chaos.start_worker()
    await chaos.reset(await texted(chaos))
    await chaos.up.eventually(lambda: max(chaos.counts("sms").values()) > 1, ONCE_EACH)
