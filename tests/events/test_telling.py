"""The team is told by signed webhook: again and again until its endpoint has taken it, once by however many workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlmodel import col, select, update
from standardwebhooks import Webhook

from activities.posting import post
from events.retention import retain
from events.telling import SCHEDULE, Post, tell
from settings import EndpointSetting, Settings
from store.session import Store
from store.tables import Endpoint, Notice, Person
from tests.activities.webserver import Answer, Request, WebServer, serving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def team() -> Iterator[WebServer]:
    with serving(lambda _: Answer(204, b"")) as server:
        yield server


def answering(team: WebServer, status: int, **headers: str) -> None:
    team.answer = lambda _: Answer(status, b"", headers)


def endpoint(team: WebServer) -> EndpointSetting:
    return EndpointSetting(url=f"{team.url}/hook", secrets=[SecretStr(SECRET)])


async def something_to_tell(store: Store) -> str:
    """Let somebody have replied. Returns the notice's key."""
    key = f"msg_{uuid4().hex}"
    async with store.write() as session:
        person = Person(user_id=f"ada-{key}", created_at=NOON)
        session.add(person)
        await session.flush()
        data = {"run": "r_1", "text": "No, thanks."}
        session.add(Notice(key=key, person_id=person.id, kind="message.replied", data=data, at=NOON, due_at=PAST))
    return key


TO_THIS_MACHINE: Post = partial(post, loopback=True)


async def attempt(store: Store, team: WebServer, using: Post = TO_THIS_MACHINE) -> int:
    return await tell(store, "team", endpoint(team), using)


async def notice(store: Store, key: str) -> Notice:
    async with store.read() as session:
        return (await session.exec(select(Notice).where(Notice.key == key))).one()


async def let_time_pass(store: Store) -> None:
    """Let what waits for its next attempt be due."""
    async with store.write() as session:
        await session.exec(update(Notice).where(col(Notice.due_at).is_not(None)).values(due_at=PAST))


def verified(request: Request) -> Any:
    return Webhook(SECRET).verify(request.body, dict(request.headers))


async def test_the_team_is_told_by_a_signed_webhook_and_what_was_said_is_kept_no_longer(store: Store, team: WebServer) -> None:
    key = await something_to_tell(store)
    assert await attempt(store, team) == 1
    [request] = team.requests
    assert verified(request) == {
        "type": "message.replied",
        "timestamp": "2025-01-06T12:00:00.000+00:00",
        "data": {"run": "r_1", "text": "No, thanks.", "user_id": f"ada-{key}"},
    }
    assert {name.lower(): value for name, value in request.headers.items()}["webhook-id"] == key
    told = await notice(store, key)
    assert (told.told_at is None, told.due_at, told.error, told.data) == (False, None, "", {"run": "r_1"})
    assert await attempt(store, team) == 0


@pytest.mark.parametrize("status", [500, 404, 301])
async def test_what_is_not_taken_is_told_again_after_a_while_under_the_same_id(store: Store, team: WebServer, status: int) -> None:
    key = await something_to_tell(store)
    answering(team, status)
    before = datetime.now(UTC)
    await attempt(store, team)
    waiting = await notice(store, key)
    assert waiting.due_at is not None
    assert timedelta(seconds=4) < waiting.due_at - before < timedelta(seconds=60)
    assert (waiting.error, waiting.data["text"]) == (f"the endpoint answered {status}", "No, thanks.")
    assert await attempt(store, team) == 0
    await let_time_pass(store)
    answering(team, 200)
    await attempt(store, team)
    assert len({request.headers["webhook-id"] for request in team.requests}) == 1
    assert len(team.requests) == 2
    assert (await notice(store, key)).told_at is not None


async def test_it_is_asked_again_no_sooner_than_the_endpoint_wants(store: Store, team: WebServer) -> None:
    key = await something_to_tell(store)
    answering(team, 429, **{"Retry-After": "3600"})
    before = datetime.now(UTC)
    await attempt(store, team)
    due = (await notice(store, key)).due_at
    assert due is not None
    assert due - before > timedelta(minutes=59)


async def test_after_the_last_attempt_it_is_given_up_and_says_why(
    store: Store, team: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    key = await something_to_tell(store)
    team.answer = lambda _: Answer(0)
    for _ in range(len(SCHEDULE) + 1):
        await let_time_pass(store)
        await attempt(store, team)
    over = await notice(store, key)
    assert (over.due_at, over.told_at, over.attempts) == (None, None, 10)
    assert over.error == "the endpoint did not answer: RemoteProtocolError"
    assert f"notice {key} could not be told in 10 attempts, and is given up" in caplog.text
    assert "No, thanks." not in caplog.text


async def test_an_endpoint_that_is_gone_is_left_alone_until_it_is_enabled_again(store: Store, team: WebServer) -> None:
    key = await something_to_tell(store)
    answering(team, 410)
    await attempt(store, team)
    await let_time_pass(store)
    assert await attempt(store, team) == 0
    async with store.write() as session:
        gone = await session.get_one(Endpoint, "team")
        assert gone.disabled_at is not None
        gone.disabled_at = None
    answering(team, 200)
    await attempt(store, team)
    assert (await notice(store, key)).told_at is not None


async def test_several_workers_tell_it_once(store: Store, team: WebServer) -> None:
    for _ in range(3):
        await something_to_tell(store)
    tried = await asyncio.gather(*(attempt(store, team) for _ in range(4)))
    assert sum(tried) == 3
    assert len({request.headers["webhook-id"] for request in team.requests}) == len(team.requests) == 3


async def test_a_worker_that_died_over_it_leaves_it_to_another(store: Store, team: WebServer) -> None:
    key = await something_to_tell(store)

    async def dies(*_: object) -> tuple[int, None]:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await attempt(store, team, dies)
    assert await attempt(store, team) == 0
    await let_time_pass(store)
    assert await attempt(store, team) == 1
    assert (await notice(store, key)).attempts == 2


async def test_the_word_of_an_attempt_whose_time_was_over_changes_nothing(store: Store, team: WebServer) -> None:
    key = await something_to_tell(store)

    async def is_late(*told: Any) -> tuple[int, None]:
        await let_time_pass(store)
        await attempt(store, team)
        return 500, None

    await attempt(store, team, is_late)
    assert (await notice(store, key)).told_at is not None


async def test_what_has_been_told_goes_with_old_messages(store: Store, team: WebServer) -> None:
    await something_to_tell(store)
    settings, later = Settings(_env_file=None, retain_messages_days=30), NOON + timedelta(days=31)
    await retain(store, settings, later)
    await attempt(store, team)
    assert await retain(store, settings, later) == 1
    async with store.read() as session:
        assert (await session.exec(select(Notice))).all() == []
