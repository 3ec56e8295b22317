"""Production, natively: official server on PostgreSQL, two API and two worker processes, mail over SMTP, and a worker that dies.

SMTP takes no key, so a mail that was under way when its worker was killed may have arrived or not: with
`on_ambiguous` = `resend`, as here, it is sent again and arrives at least once, under the Message-ID it had. Every other
mail arrives exactly once. The process is production's: its keys, its environment, its image's files.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from engine.errors import SupplyError
from engine.postgres import PostgresMissing
from tests.production.house import ADMIN_KEY, WRITE_KEY, House, eventually, house

PEOPLE = [f"user-{number}" for number in range(40)]
LEAVING = PEOPLE[::10]
PATIENCE = 60.0  # seconds, of a machine that does other things too
STAYING = [user for user in PEOPLE if user not in LEAVING]


def address(user: str) -> str:
    return f"{user}@example.org"


def mails(tips: Sequence[str]) -> list[tuple[str, str]]:
    """Return what should arrive: a welcome for everybody, and tips for these."""
    return sorted([(address(user), "welcome") for user in PEOPLE] + [(address(user), "tips") for user in tips])


@asynccontextmanager
async def production(folder: Path, slowness: float = 0) -> AsyncIterator[House]:
    """Bring production up; the test is skipped where PostgreSQL or the official server cannot be had."""
    try:
        async with house(folder, slowness) as up:
            yield up
    except (PostgresMissing, SupplyError) as missing:
        pytest.skip(str(missing))


async def tell(up: House, path: str, users: Sequence[str], **call: Any) -> None:
    """Send one call about each of them, by both APIs in turn, all at once."""
    calls = [
        up.apis[turn % 2].post(
            path, json={"userId": user, "messageId": f"{user} {call}", **_about(user, call)}, auth=(WRITE_KEY, "")
        )
        for turn, user in enumerate(users)
    ]
    assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * len(users)


def _about(user: str, call: dict[str, Any]) -> dict[str, Any]:
    return call or {"traits": {"email": address(user)}}


async def ask(up: House, what: str) -> list[dict[str, Any]]:
    """Return the runs or the messages of everybody."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    answers = await asyncio.gather(
        *(up.apis[turn % 2].get(f"/v1/users/{user}/{what}", headers=headers) for turn, user in enumerate(PEOPLE))
    )
    return [each for answer in answers for each in answer.raise_for_status().json()[what]]


async def statuses(up: House, what: str) -> Counter[str]:
    return Counter(each["status"] for each in await ask(up, what))


async def are(up: House, what: str, expected: dict[str, int]) -> bool:
    return await statuses(up, what) == expected


async def sign_up(up: House) -> None:
    await tell(up, "/v1/identify", PEOPLE)
    await tell(up, "/v1/track", PEOPLE, event="Signed Up")


async def who_worked(up: House) -> set[str]:
    """Return the processes, `pid@host`, that have run workflow tasks so far, by the histories."""
    histories = [history async for history in (await up.temporal()).list_workflows("WorkflowType = 'welcoming'").map_histories()]
    done = [event.workflow_task_completed_event_attributes for history in histories for event in history.events]
    return {each.identity for each in done if each.identity}


def run_of(message_id: str) -> str:
    return message_id.strip("<").partition(".")[0]


def kill_a_worker(up: House) -> None:
    up.workers[0].send_signal(signal.SIGKILL)
    up.workers[0].wait()


async def test_every_run_ends_and_every_mail_arrives_once_though_a_worker_is_killed_while_they_wait(tmp_path: Path) -> None:
    async with production(tmp_path) as up:
        await sign_up(up)
        await eventually(lambda: are(up, "messages", {"sent": len(PEOPLE)}), PATIENCE, up.words)
        assert await up.is_well("api")
        assert await up.is_well("worker")
        assert await who_worked(up) == {f"{worker.pid}@{gethostname()}" for worker in up.workers}

        kill_a_worker(up)
        await tell(up, "/v1/track", STAYING, event="Project Created")
        await tell(up, "/v1/track", LEAVING, event="Account Closed")

        ended = {"completed": len(STAYING), "exited": len(LEAVING)}
        await eventually(lambda: are(up, "runs", ended), PATIENCE, up.words)
        assert up.mail.mails == mails(tips=STAYING)
        assert up.mail.repeated == set()
        assert await statuses(up, "messages") == {"sent": len(up.mail.mails)}


@pytest.mark.soak
async def test_only_mail_that_was_under_way_when_a_worker_was_killed_may_arrive_twice(tmp_path: Path) -> None:
    async with production(tmp_path, slowness=0.3) as up:
        await sign_up(up)
        await eventually(lambda: up.mail.times.total() >= len(PEOPLE) / 4, PATIENCE, up.words)

        kill_a_worker(up)
        done = {message["run"] for message in await ask(up, "messages") if message["status"] == "sent"}
        up.add_worker()
        await tell(up, "/v1/track", PEOPLE, event="Project Created")

        await eventually(lambda: are(up, "runs", {"completed": len(PEOPLE)}), 2 * PATIENCE, up.words)
        assert up.mail.mails == mails(tips=PEOPLE)
        assert up.mail.repeated
        assert {up.mail.subjects[message][1] for message in up.mail.repeated} == {"welcome"}
        assert not {run_of(message) for message in up.mail.repeated} & done
        assert max(up.mail.times.values()) == 2
