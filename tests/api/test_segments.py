"""Segments over HTTP and on the command line: how many, who, and what a person is in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import httpx
import pytest
from temporalio.client import Client
from typer.testing import CliRunner

import cli
from events.audience import Audience, audience
from events.route import Router
from events.sweep import fill_in
from settings import Settings
from store.session import Store
from tests.events.crowd import buyers, crowd
from tests.stage import only


@pytest.fixture(autouse=True)
def segments() -> Iterator[None]:
    with crowd(), only([]):
        yield


@pytest.fixture
async def people(admin: httpx.AsyncClient, house: Store) -> None:
    """Three buyers, and two who are none; all of them routed."""
    for place in range(5):
        call = {"type": "track", "userId": f"user-{place}", "event": "crowd bought"}
        await admin.post("/v1/batch", json={"batch": [call] * (3 if place < 3 else 1)})
    router = Router(house, cast(Client, None), Settings(_env_file=None), "router")
    while await router.round():
        pass


@pytest.mark.usefixtures("people")
async def test_every_segment_and_state_is_counted(admin: httpx.AsyncClient, house: Store) -> None:
    seen = (await admin.get("/v1/segments")).json()
    assert seen["lifecycle"] == {"new": 5, "active": 0, "at_risk": 0, "dormant": 0, "resurrected": 0}
    assert {each["name"]: each["members"] for each in seen["segments"]} == {
        "big_or_gone": 0,
        "buyers": 3,
        "fading": 0,
        "pros": 0,
        "quiet": 5,
    }
    assert {each["filling"] for each in seen["segments"]} == {True}
    await fill_in(house)
    assert {each["filling"] for each in (await admin.get("/v1/segments")).json()["segments"]} == {False}


@pytest.mark.usefixtures("people")
async def test_members_are_paged(admin: httpx.AsyncClient) -> None:
    first = (await admin.get("/v1/segments/buyers?limit=2")).json()
    second = (await admin.get(f"/v1/segments/buyers?limit=2&after={first['next']}")).json()
    assert [each["user_id"] for each in first["sample"] + second["sample"]] == ["user-0", "user-1", "user-2"]
    assert (first["members"], second["next"]) == (3, None)
    assert (await admin.get("/v1/segments/new")).json()["members"] == 5


async def test_a_segment_that_is_not_there_is_a_404(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/v1/segments/byers")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_segment")


@pytest.mark.usefixtures("people")
async def test_a_person_tells_their_state_and_segments(admin: httpx.AsyncClient) -> None:
    seen = (await admin.get("/v1/users/user-0")).json()
    assert (seen["state"], seen["segments"]) == ("new", ["buyers", "quiet"])


@pytest.mark.usefixtures("people")
async def test_an_audience_is_judged_from_the_store_and_not_from_what_was_kept(house: Store) -> None:
    later = datetime.now(UTC) + timedelta(days=10)
    assert (await audience(house, buyers, sample=2)) == Audience("buyers", 3, 5, {"new": 3}, ["user-0", "user-1"])
    assert (await audience(house, buyers, sample=2, at=later)).members == 0


async def test_the_command_line_tells_an_audience(
    settings: Settings, house: Store, people: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOJOURN_DATABASE_URL", settings.database_url)
    monkeypatch.setattr(cli, "load", lambda folder: None)
    found = await audience(house, buyers, sample=1)
    printed = await run_in_a_thread("audience", "buyers", "--json", "--sample", "1")
    assert json.loads(printed) == {**found.__dict__}
    assert "3 of 5 people are in buyers" in await run_in_a_thread("audience", "buyers")
    assert "there is no segment 'byers'" in await run_in_a_thread("audience", "byers", fails=True)


async def run_in_a_thread(*words: str, fails: bool = False) -> str:
    """Run a command as the shell would: outside this event loop."""
    done = await asyncio.to_thread(CliRunner().invoke, cli.app, list(words))
    assert (done.exit_code != 0) == fails, done.output
    return done.output if "--json" in words else " ".join(done.output.replace("│", " ").split())
