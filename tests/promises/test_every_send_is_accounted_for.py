"""Every step that could have sent ends in one of sent, suppressed, failed, held, unknown or exited, or is visibly deferred."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from engine.process import LOOPBACK, free_ports
from events import reconcile
from store.closing import CUT_SHORT
from store.tables import Delivery, Person, Run, Stop
from studio.scenario import under
from tests.language.both import JOURNEYS
from tests.language.words import Entered, Left, Tapped, days, hours, say
from tests.stage import Stage, eventually, only, stage
from workflows.definition import journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push, Sms
from workflows.policy import Cap, Policy, QuietHours

FINAL = {"sent", "suppressed", "failed", "held", "unknown", "exited"}
BY = {"X-Actor": "ada", "X-Reason": "why not"}
CALLS_AT_ONCE = 20

# How each of them fares: what becomes of their messages by step, in the order of the steps.
FARES: dict[str, list[tuple[str, str]]] = {
    "well": [("sent", "")],
    "optout": [("suppressed", "no_consent")],
    "nowhere": [("suppressed", "no_address")],
    "bounces": [("failed", "")],
    "flaky": [("sent", "")],
    "broken": [("failed", "")],
    "skips": [("sent", ""), ("suppressed", "frequency_cap")],
    "hurries": [("sent", ""), ("suppressed", "frequency_cap")],
    "instead": [("sent", ""), ("suppressed", "frequency_cap"), ("sent", "")],
    "leaves": [],  # while they wait for something else: they never come to the send
    "stopped": [("deferred", "kill_switch")],
    "night": [("deferred", "quiet_hours")],
    "waits": [("sent", ""), ("deferred", "frequency_cap")],
    "exits": [("sent", ""), ("exited", "left")],
    "skipped": [("sent", ""), ("suppressed", "skipped by an operator")],
    "ended": [("sent", ""), ("exited", "terminated in Temporal")],
    "cancelled": [("sent", ""), ("exited", "cancelled in Temporal")],
    "down": [("exited", "terminated in Temporal")],
    "slow": [("sent", "")],
    "failed": [("sent", "")],
}
ENDED = ("ended", "down", "slow")  # whose runs are terminated in the Temporal UI
OPEN = ("stopped", "night", "waits")


@journey(exits_on=Left, topic="accounts")
async def could_send(j: Journey, entered: Entered) -> None:
    if entered.via == "leaves":
        await j.wait_for(Tapped, within=days(3))
        await j.send(say("too late"))
    elif entered.via == "broken":
        await j.send(Email("broken"))
    elif entered.via == "stopped":
        await j.send(Push("note", {"text": "stopped"}))
    elif entered.via == "night":
        await j.send(Sms("note", {"text": "at night"}))
    elif entered.via in ("waits", "exits", "skipped", "ended", "cancelled"):
        await j.send(InApp("note", {"text": "the first"}))
        await j.send(InApp("note", {"text": "the second"}, expires=days(2)))
    elif entered.via in ("skips", "hurries", "instead"):
        await j.send(say("the first"))
        if entered.via == "skips":
            await j.send(Email("note", {"text": "the second"}, capped="skip"))
        elif entered.via == "hurries":
            await j.send(Email("note", {"text": "the second"}, expires=hours(1)))
        else:
            await j.send(Email("note", {"text": "the second"}, capped=InApp("note", {"text": "inside"})))
    else:
        await j.send(say("hello"))


@dataclass
class PostOffice:
    """A mail server that takes, refuses, stumbles or dawdles, by the recipient; with a log of what it took."""

    port: int
    taken: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        (recipient,) = envelope.rcpt_tos
        kind = recipient.partition("-")[0]
        self.met[recipient] += 1
        if kind == "bounces":
            return "550 no such mailbox"
        if kind == "down" or (kind == "flaky" and self.met[recipient] == 1):
            return "451 try again later"
        if kind in ("slow", "failed"):
            await self.goes_on.wait()
        self.taken.append(recipient)
        return "250 OK"

    @contextmanager
    def open(self) -> Iterator[Controller]:
        controller = Controller(self, hostname=LOOPBACK, port=self.port)
        controller.start()
        try:
            yield controller
        finally:
            controller.stop()


@dataclass(frozen=True)
class Account:
    """What is known of one person's run when all is over: the send steps of its history, and its rows in the ledger."""

    kind: str
    run: Run
    scheduled: list[str]  # the keys of messages that it handed to a send activity, each once
    rows: Sequence[Delivery]


@pytest.fixture
def post_office() -> PostOffice:
    with free_ports(1) as (port,):
        return PostOffice(port)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long this machine takes, no attempt is given up: what dawdles is in the middle of one until it is let go on."""
    for name in ("activities.smtp.BEFORE_SECONDS", "activities.smtp.TIMEOUT_SECONDS", "activities.send.PROVIDER_SECONDS"):
        monkeypatch.setattr(name, 600)
    for name in ("workflows.temporal.SEND_TIMEOUT", "activities.ledger.LEASE", "activities.send.LEASE"):
        monkeypatch.setattr(name, timedelta(minutes=20))


@pytest.fixture
async def house(temporal: Client, tmp_path: Path, post_office: PostOffice, patience: None) -> AsyncIterator[Stage]:
    url, smtp = f"sqlite+aiosqlite:///{tmp_path / 'house.db'}", f"smtp://{LOOPBACK}:{post_office.port}"
    async with stage(temporal, url, JOURNEYS, live=True, smtp_url=smtp, allow_recipients=["@example.org"]) as up:
        yield up


def lays_down() -> Policy:
    """It is quiet for texts by now, and for some hours more, whatever the time of day is."""
    now = datetime.now(UTC)
    quiet = QuietHours((now - hours(1)).time(), (now + hours(8)).time())
    caps = (Cap(1, hours(30), channel="email"), Cap(1, hours(30), channel="in_app"))
    return Policy(caps=caps, quiet_hours={"sms": quiet})


@pytest.mark.parametrize("each", [3, pytest.param(12, marks=pytest.mark.soak)], ids=["60 people", "240 people"])
async def test_every_step_that_could_have_sent_ends_in_one_way_or_is_visibly_deferred(
    house: Stage, post_office: PostOffice, monkeypatch: pytest.MonkeyPatch, each: int
) -> None:
    monkeypatch.setattr(reconcile, "SETTLING", timedelta(0))
    people = {f"{kind}-{number}-{uuid4().hex[:8]}": kind for number in range(each) for kind in FARES}
    with only([could_send]), under(lays_down()), post_office.open() as server:
        await arrive(house, people)
        await eventually(lambda: all_rest(house, people))
        await end_in_every_way(house, people)
        server.loop.call_soon_threadsafe(post_office.goes_on.set)
        await eventually(lambda: all_are_over(house, people))
        accounts = [await account(house, user, kind) for user, kind in people.items()]
        for each_one in accounts:
            assert_it_adds_up(each_one)
        assert_ledger_is_what_the_provider_took(accounts, post_office)
        await leave_nothing_running(house, accounts)


def assert_it_adds_up(found: Account) -> None:
    """Each step that was handed over has one row, and each row one end, or is deferred, of an open run, to a moment to come."""
    assert sorted(row.key for row in found.rows) == sorted(found.scheduled), found.kind
    assert [(row.status, _rule(row)) for row in found.rows] == FARES[found.kind], found.kind
    for row in found.rows:
        if row.status == "deferred":
            assert found.run.ended_at is None
            assert row.retry_at is not None
            assert row.retry_at > datetime.now(UTC)
            assert row.saw, row
        else:
            assert row.status in FINAL
            assert (row.retry_at, row.leased_until) == (None, None)
    assert (found.run.ended_at is None) == (found.kind in OPEN)


def _rule(row: Delivery) -> str:
    return "" if row.status == "failed" else row.reason


def assert_ledger_is_what_the_provider_took(accounts: Sequence[Account], post_office: PostOffice) -> None:
    sent = [
        f"{user}@example.org"
        for found in accounts
        for row in found.rows
        if (row.channel, row.status) == ("email", "sent")
        for user in [found.run.workflow_id.partition("/")[2]]
    ]
    assert sorted(post_office.taken) == sorted(sent)


async def arrive(house: Stage, people: dict[str, str]) -> None:
    """Let everybody be known, say what they will, and enter."""
    async with house.store.write() as session:
        session.add(Stop(scope="channel", name="push", actor="ada", reason="a mistake", at=datetime.now(UTC)))
    gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def comes(user: str, kind: str) -> None:
        async with gate:
            await house.identify(user, traits={"email": None} if kind == "nowhere" else {})
            if kind == "optout":
                said = {"topic": "accounts", "granted": False, "source": "test"}
                (await house.api.put(f"/v1/users/{user}/consent", json=said)).raise_for_status()
            await house.track(user, Entered(via=kind))

    await asyncio.gather(*(comes(user, kind) for user, kind in people.items()))


async def the_rows(house: Stage, user: str) -> Sequence[Delivery]:
    async with house.store.read() as session:
        mine = select(Delivery).join(Person).where(Person.user_id == user).order_by(col(Delivery.step))
        return (await session.exec(mine)).all()


async def all_rest(house: Stage, people: dict[str, str]) -> bool:
    """Say whether everybody has come to where they end, or wait for what is done to them."""
    return all([await _rests(house, user, kind) for user, kind in people.items()])


async def _rests(house: Stage, user: str, kind: str) -> bool:
    runs = await house.runs(user)
    if kind in ("slow", "failed", "down"):
        return [row.status for row in await the_rows(house, user)] == ["retrying" if kind == "down" else "intent"]
    if kind == "leaves":
        return [run.status for run in runs] == ["running"]
    if kind in OPEN or kind in ("exits", "skipped", "ended", "cancelled"):
        return [row.status for row in await the_rows(house, user)][-1:] == ["deferred"]
    return bool(runs) and runs[0].ended_at is not None


async def end_in_every_way(house: Stage, people: dict[str, str]) -> None:
    """The dawdlers first: they are in the middle of an attempt."""
    for user, kind in sorted(people.items(), key=lambda each: each[1] not in ("slow", "failed")):
        run = await house.run(user)
        if kind in ("slow", "failed"):
            await (house.workflow(run).terminate("by hand") if kind == "slow" else fail_activity(house, run))
        elif kind in ENDED:
            await house.workflow(run).terminate("by hand")
        elif kind == "cancelled":
            await house.workflow(run).cancel()
        elif kind in ("exits", "leaves"):
            await house.track(user, Left())
        elif kind == "skipped":
            await eventually(lambda run=run: _is_skipped(house, run))  # type: ignore[misc]
    await reconcile.reconcile(house.store, house.temporal, house.settings.task_queue)
    for user, kind in people.items():
        if kind in ("slow", "failed"):
            assert [(row.status, row.reason) for row in await the_rows(house, user)] == [("unknown", CUT_SHORT)]


async def _is_skipped(house: Stage, run: Run) -> bool:
    """Skip the message; a moment before, the run may not know yet that it is deferred."""
    answer = await house.api.post(f"/v1/runs/{run.id}/skip", json={"step": "send:in_app/note#2"}, headers=BY)
    return answer.is_success


async def fail_activity(house: Stage, run: Run) -> None:
    """Fail the send in the middle of its attempt, as `temporal activity fail` does."""
    (sending,) = await scheduled(house, run)
    handle = house.temporal.get_async_activity_handle(workflow_id=run.workflow_id, run_id=None, activity_id=sending[1])
    await handle.fail(ApplicationError("failed by hand", non_retryable=True))
    await eventually(lambda: _has_ended(house, run))


async def _has_ended(house: Stage, run: Run) -> bool:
    return next(each for each in await house.runs(run.workflow_id.partition("/")[2])).ended_at is not None


async def all_are_over(house: Stage, people: dict[str, str]) -> bool:
    try:
        await reconcile.reconcile(house.store, house.temporal, house.settings.task_queue)
    except RPCError:  # the server is busy
        return False
    closed = [run.ended_at is not None for user, kind in people.items() if kind not in OPEN for run in await house.runs(user)]
    unsettled = [row for user in people for row in await the_rows(house, user) if row.leased_until is not None]
    return all(closed) and not unsettled


async def account(house: Stage, user: str, kind: str) -> Account:
    (run,) = await house.runs(user)
    return Account(kind, run, list(dict.fromkeys(key for key, _ in await scheduled(house, run))), await the_rows(house, user))


async def scheduled(house: Stage, run: Run) -> list[tuple[str, str]]:
    """Return the messages that a run handed to send activities, by key, and the activities' ids, from its history."""
    found = []
    for event in await house.history(run):
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            task = event.activity_task_scheduled_event_attributes
            dispatch = json.loads(task.input.payloads[0].data)
            found.append((f"{dispatch['run_id']}:{dispatch['step']}", task.activity_id))
    return found


async def leave_nothing_running(house: Stage, accounts: Sequence[Account]) -> None:
    for found in accounts:
        if found.run.ended_at is None:
            await house.workflow(found.run).terminate("the test is over")
