"""What virtual time says happens to the people of a real stream is what happens to them on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path

import pytest
from sqlmodel import col, select
from temporalio.client import Client

from demo.player import Call
from demo.show import EXCERPT, read
from journeys.activation import activation
from journeys.advocacy import advocacy
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from settings import Settings
from store.tables import Delivery, Person, Run
from tests.journeys.lives import Life, lives
from tests.stage import Stage, only, stage
from workflows.simulate import live

SHIPPED = (activation, advocacy, onboarding, reengagement)
AT_ONCE = 12
A_MINUTE = timedelta(minutes=1)
DECIDED = ("sent", "suppressed", "failed", "exited")


@dataclass(frozen=True)
class Line:
    """A run, or a message of it, and what became of it. `at` is the only thing that may differ, by a minute."""

    journey: str
    run: int
    what: str
    outcome: str
    at: datetime | None


def in_virtual_time(life: Life, settings: Settings, end: datetime) -> list[Line]:
    runs = live(SHIPPED, life.happenings, life.person, fallback_zone=settings.zone, until=end)
    lines = []
    for number, run in enumerate(sorted(runs, key=lambda run: (run.definition.name, run.started))):
        name = run.definition.name
        lines.append(Line(name, number, "began", "", run.started))
        for each in run.decided:
            what = f"{each.step} as {each.message.channel}/{each.message.template}"
            lines.append(Line(name, number, what, f"{each.receipt.status} {each.receipt.reason}", each.at))
        lines.append(Line(name, number, "ended", f"{run.status} {run.reason}", run.ended))
    return lines


async def for_real(up: Stage, user: str) -> list[Line]:
    async with up.store.read() as session:
        mine = select(Delivery).join(Person).where(Person.user_id == user, col(Delivery.status).in_(DECIDED))
        messages = (await session.exec(mine.order_by(col(Delivery.at)))).all()
    lines = []
    for number, run in enumerate(sorted(await up.runs(user), key=lambda run: (run.journey, run.started_at))):
        lines.append(Line(run.journey, number, "began", "", run.started_at))
        for each in messages:
            if each.run_id == run.id:
                what = f"{each.step} as {each.channel}/{each.template}"
                lines.append(Line(run.journey, number, what, f"{each.status} {each.reason}", each.at))
        lines.append(Line(run.journey, number, "ended", f"{_status(run)} {run.reason}", run.ended_at))
    return lines


def _status(run: Run) -> str:
    return run.status if run.ended_at else "open"


def alike(one: Line, other: Line) -> bool:
    if (one.journey, one.run, one.what, one.outcome) != (other.journey, other.run, other.what, other.outcome):
        return False
    if one.at is None or other.at is None:
        return one.at is other.at
    return abs(one.at - other.at) <= A_MINUTE


def differences(expected: Sequence[Line], found: Sequence[Line]) -> list[tuple[Line | None, Line | None]]:
    pairs = zip_longest(expected, found)
    return [(one, other) for one, other in pairs if one is None or other is None or not alike(one, other)]


async def play(up: Stage, stream: Mapping[str, list[Call]], end: datetime) -> None:
    """Play the lives of these people through the HTTP API, several at once."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(user: str, calls: list[Call]) -> None:
        async with turns:
            await up.player.live(user, calls, end)

    async with asyncio.TaskGroup() as tasks:
        for user, calls in stream.items():
            tasks.create_task(one(user, calls))


def first_of_each_kind(lines: Mapping[str, Sequence[Line]]) -> list[str]:
    """Return the people who are the first to be sent a message, to be refused it or to end a run in some way."""
    known: set[tuple[str, str, str]] = set()
    chosen = []
    for user, theirs in lines.items():
        kinds = {(line.journey, line.what, line.outcome) for line in theirs}
        if kinds - known:
            chosen.append(user)
            known |= kinds
    return chosen


@pytest.mark.parametrize(
    "choose",
    [pytest.param(first_of_each_kind, id="first_of_each_kind"), pytest.param(list, id="everybody", marks=pytest.mark.soak)],
)
async def test_the_real_server_gives_the_answer_of_virtual_time(
    temporal: Client, tmp_path: Path, choose: Callable[[Mapping[str, Sequence[Line]]], list[str]]
) -> None:
    stream = read(EXCERPT)
    end = max(calls[-1].at for calls in stream.values()) + timedelta(days=1)
    with only(SHIPPED):
        async with stage(temporal, f"sqlite+aiosqlite:///{tmp_path / 'house.db'}", Settings().journeys) as up:
            expected = {user: in_virtual_time(life, up.settings, end) for user, life in lives().items()}
            people = choose(expected)
            await play(up, {user: stream[user] for user in people}, end)
            found = {user: await for_real(up, user) for user in people}

    assert {user: different for user in people if (different := differences(expected[user], found[user]))} == {}
    assert len(people) >= (10 if choose is first_of_each_kind else 100)
