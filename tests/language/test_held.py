"""A message in doubt on a channel that holds: its run waits for an operator, who says what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlmodel import col, select
from temporalio.client import Client
from typer.testing import CliRunner

from activities.transport import Ambiguous
from cli import app
from events.outcomes import Outcome, came
from store.tables import AcceptedEvent, Delivery, Operation, Run
from tests.activities.house import Provider
from tests.language.both import HOME, JOURNEYS
from tests.language.words import Entered, days
from tests.stage import Stage, eventually, only, stage
from workflows.definition import journey
from workflows.journey import Journey
from workflows.messages import Email, InApp

HELD = "held: an attempt was cut off and may have arrived"
BY = {"X-Actor": "ada", "X-Reason": "looked it up"}


@journey()
async def writes_and_says(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Email("note", {"text": "hello"}, expires=days(2)))
    await j.send(InApp("note", {"text": f"{receipt.status} {receipt.reason}"}))


PROVIDER = Provider()


@pytest.fixture(scope="module")
async def up(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('held') / 'house.db'}"
    live: dict[str, Any] = {"live": True, "allow_recipients": ["@example.org"], "on_ambiguous": {"email": "hold"}}
    with patch("activities.outlets.configured", lambda *_: {"email": PROVIDER}), only([writes_and_says]):
        async with stage(temporal, url, JOURNEYS, zone=HOME, **live) as house:
            yield house


async def row(up: Stage, run: Run) -> Delivery:
    async with up.store.read() as session:
        return (await session.exec(select(Delivery).where(Delivery.run_id == run.id, Delivery.channel == "email"))).one()


async def said(up: Stage, user: str) -> str:
    """Return what the run said of its receipt."""
    (card,) = (await up.api.get(f"/v1/users/{user}/inbox")).json()["cards"]
    return str(card["body"]).strip()


async def hold(up: Stage) -> tuple[str, Run]:
    """Let the provider take somebody's message and say nothing; return them, and their run that waits."""
    PROVIDER.calls.clear()
    PROVIDER.answers[:] = [Ambiguous("the connection broke")]
    user = await up.somebody()
    await up.track(user, Entered())
    run = await up.started(user)

    async def is_held() -> bool:
        async with up.store.read() as session:
            mine = select(Delivery).where(Delivery.run_id == run.id, Delivery.status == "held")
            return (await session.exec(mine)).first() is not None

    await eventually(is_held)
    return user, run


async def resolve(up: Stage, run: Run, fate: str) -> Any:
    key = (await row(up, run)).key
    return await up.api.post(f"/v1/messages/{key}/resolve", json={"as": fate}, headers=BY)


@pytest.mark.parametrize(
    ("fate", "status", "calls", "receipt"),
    [
        ("sent", "sent", 1, "sent"),
        ("drop", "unknown", 1, "failed unknown: given up by ada: looked it up"),
        ("resend", "sent", 2, "sent"),
    ],
)
async def test_an_operator_says_what_became_of_it_and_the_run_goes_on_at_once(
    up: Stage, fate: str, status: str, calls: int, receipt: str
) -> None:
    user, run = await hold(up)
    assert (await up.run(user)).ended_at is None

    answer = await resolve(up, run, fate)
    assert answer.status_code == 200, answer.text
    await up.over(user)

    message = await row(up, run)
    assert (message.status, message.doubted, len(PROVIDER.calls)) == (status, True, calls)
    assert await said(up, user) == receipt
    async with up.store.read() as session:
        done = (await session.exec(select(Operation).where(Operation.run_id == run.id))).one()
    assert (done.action, done.actor, done.reason, done.details) == ("resolve", "ada", "looked it up", {"as": fate, "was": "held"})


async def test_what_nobody_resolves_stays_held_and_has_failed_when_it_expires(up: Stage) -> None:
    user, run = await hold(up)
    await up.forward(run, timedelta(days=2))
    await up.over(user)

    message = await row(up, run)
    assert (message.status, message.reason, message.retry_at, len(PROVIDER.calls)) == ("held", HELD, None, 1)
    assert await said(up, user) == f"failed {HELD}"
    late = await resolve(up, run, "resend")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "not_in_doubt")
    assert (await resolve(up, run, "sent")).json() == {"key": message.key, "status": "sent", "reason": ""}


async def test_a_late_status_settles_what_is_held_and_the_run_goes_on_at_once(up: Stage) -> None:
    user, run = await hold(up)
    message = await row(up, run)

    await came(up.store, Outcome("sent", "status-1", datetime.now(UTC), key=message.key, channel="email", provider_id="p-1"))
    await up.over(user)

    message = await row(up, run)
    assert (message.status, message.provider_id, len(PROVIDER.calls)) == ("sent", "p-1", 1)
    assert await said(up, user) == "sent"


async def test_what_is_held_is_listed_a_page_at_a_time_and_what_was_given_up_can_still_have_been_sent(up: Stage) -> None:
    people = [await hold(up) for _ in range(2)]
    keys = sorted([(await row(up, run)).key for _, run in people])
    listed, after = [], ""
    while after is not None:
        page = (await up.api.get("/v1/messages", params={"status": "held", "limit": 1, "after": after})).json()
        listed += page["messages"]
        after = page["next"]
    mine = [each for each in listed if each["key"] in keys]
    assert [each["key"] for each in mine] == keys
    assert {(each["status"], each["reason"], each["user_id"] in dict(people)) for each in mine} == {("held", HELD, True)}

    for user, run in people:
        await resolve(up, run, "drop")
        await up.over(user)
    given_up = (await up.api.get("/v1/messages", params={"status": "unknown"})).json()["messages"]
    assert set(keys) <= {each["key"] for each in given_up}
    run = people[0][1]
    assert (await resolve(up, run, "resend")).status_code == 409
    assert (await resolve(up, run, "sent")).json()["status"] == "sent"
    assert (await resolve(up, run, "sent")).status_code == 409


async def test_what_is_not_there_cannot_be_resolved(up: Stage) -> None:
    answer = await up.api.post("/v1/messages/r_gone:send:1/resolve", json={"as": "sent"}, headers=BY)
    assert answer.status_code == 404
    unsigned = await up.api.post("/v1/messages/r_gone:send:1/resolve", json={"as": "sent"})
    assert unsigned.status_code == 422


async def test_the_command_line_lists_and_resolves(up: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user, run = await hold(up)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOJOURN_DATABASE_URL", up.settings.database_url)

    def sojourn(*words: str) -> Any:
        return CliRunner().invoke(app, words)

    listed = await asyncio.to_thread(sojourn, "held", "--json")
    (mine,) = [each for each in json.loads(listed.stdout) if each["user_id"] == user]
    assert (mine["channel"], mine["reason"]) == ("email", HELD)
    done = await asyncio.to_thread(sojourn, "resolve", mine["key"], "sent", "--reason", "the provider's log", "--actor", "ada")
    assert (done.exit_code, done.stdout) == (0, f"{mine['key']} is sent.\n")
    await up.over(user)
    again = await asyncio.to_thread(sojourn, "resolve", mine["key"], "drop", "--reason", "the provider's log")
    assert again.exit_code == 2
    async with up.store.read() as session:
        released = select(AcceptedEvent).where(AcceptedEvent.run_id == run.id).order_by(col(AcceptedEvent.id))
        assert [each.kind for each in (await session.exec(released)).all()] == ["release"]
