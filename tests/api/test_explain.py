"""Why somebody got a message, or did not, over HTTP and from the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlmodel import select
from typer.testing import CliRunner

import cli
from commands import operating
from settings import Settings
from store.session import Store
from store.tables import Delivery, Run
from tests.api.conftest import WRITE
from tests.api.test_collect import refused
from tests.api.test_keys import made
from tests.api.test_people import NOON, delivery
from workflows.traits import TRAITS, Private, Trait

KNOWN = {"userId": "ada", "traits": {"email": "ada@example.org"}, "context": {"timezone": "Asia/Kolkata"}}
QUIET = {"zones": ["Asia/Kolkata"], "opens": "2026-03-02T20:00:00+00:00"}


@pytest.fixture
async def ada(admin: httpx.AsyncClient, house: Store) -> str:
    """Somebody whose message waits for quiet hours to end. Returns her run's id."""
    await admin.post("/v1/identify", json=KNOWN)
    await admin.post("/v1/journeys/basket_help/runs", json={"user_id": "ada", "data": {"basket": "b1"}})
    async with house.write() as session:
        run = (await session.exec(select(Run))).one()
        row = delivery(run, f"{run.id}:send:email/basket", "deferred", "quiet_hours", NOON)
        row.retry_at, row.saw = NOON.replace(hour=20), QUIET
        session.add(row)
    return run.id


async def explained(client: httpx.AsyncClient, query: str = "", headers: dict[str, str] | None = None) -> Any:
    answer = await client.get(f"/v1/users/ada/explain{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_message_is_told_with_its_run_its_rule_and_its_page_in_the_ui(admin: httpx.AsyncClient, ada: str) -> None:
    found = await explained(admin, "?journey=basket_help&message=basket")
    run = found["journeys"][0]["runs"][0]
    (message,) = run["messages"]
    assert found["said"] == (
        "Waits until Tue 3 Mar 2026 01:30 IST (2 Mar 20:00 UTC): it is quiet hours for email in Asia/Kolkata until "
        "Tue 3 Mar 2026 01:30 IST (2 Mar 20:00 UTC)."
    )
    assert (message["status"], message["reason"], message["saw"], message["retry_at"]) == (
        "deferred",
        "quiet_hours",
        QUIET,
        "2026-03-02T20:00:00Z",
    )
    assert run["ui_url"].endswith("/workflows/basket_help%2Fada")
    assert found["zone"] == "Asia/Kolkata"


async def test_it_says_what_the_gate_would_decide_now(admin: httpx.AsyncClient, ada: str) -> None:
    said = {"topic": "basket_help", "granted": False, "source": "app"}
    await admin.put("/v1/users/ada/consent", json=said)
    would = (await explained(admin, "?journey=basket_help&message=basket"))["journeys"][0]["runs"][0]["would"]
    assert (would["decision"], would["reason"]) == ("suppressed", "no_consent")
    assert [rule["rule"] for rule in would["rules"]][:4] == ["run_exited", "suppressed", "no_address", "no_consent"]


async def test_what_there_is_not_is_answered_404_with_what_there_is(admin: httpx.AsyncClient, ada: str) -> None:
    for query, there_is in (
        ("?journey=basket_halp", "did you mean 'basket_help'?"),
        ("?journey=basket_help&message=basked", "did you mean 'basket'?"),
    ):
        answer = await admin.get(f"/v1/users/ada/explain{query}")
        assert refused(answer) == (404, "not_found")
        assert there_is in answer.json()["error"]["message"]
    assert refused(await admin.get("/v1/users/nobody/explain")) == (404, "not_found")


async def test_a_read_key_is_told_nothing_that_is_private(
    admin: httpx.AsyncClient, ada: str, house: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.post("/v1/identify", json={"userId": "ada", "traits": {"country": "LI"}})
    async with house.write() as session:
        row = await session.get_one(Delivery, f"{ada}:send:email/basket")
        row.saw = {**QUIET, "country": "LI"}
    key = await made(admin, "support", "read")
    for private in (False, True):
        monkeypatch.setitem(TRAITS, "country", Trait("country", Private[str] if private else str))
        seen = json.dumps(await explained(admin, "?message=basket", key))
        listed = json.dumps((await admin.get("/v1/users/ada/messages", headers=key)).json())
        assert [text.count('"LI"') for text in (seen, listed)] == ([0, 0] if private else [2, 1])
        assert json.dumps(await explained(admin, "?message=basket")).count('"LI"') == 2


async def test_a_write_key_is_told_nothing(api: httpx.AsyncClient, house: Store) -> None:
    assert refused(await api.get("/v1/users/ada/explain", headers=WRITE)) == (403, "forbidden")


async def test_an_operator_reads_the_same_from_the_command_line(
    admin: httpx.AsyncClient, ada: str, settings: Settings, house: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (await explained(admin, "?message=basket"))["said"]
    monkeypatch.setattr(operating, "Settings", lambda: settings)
    monkeypatch.setattr(operating, "load", lambda folder: None)
    monkeypatch.setattr(operating.console, "width", 200)
    shown = await _command("explain", "ada", "basket_help", "basket")
    told = json.loads(await _command("explain", "ada", "basket_help", "basket", "--json"))
    assert said in shown
    assert "no_consent" in shown
    assert (told["said"], told["journeys"][0]["runs"][0]["run_id"]) == (said, ada)
    assert "did you mean 'basket_help'" in await _command("explain", "ada", "basket_halp", code=2)
    assert "nobody is known as 'bob'" in await _command("explain", "bob", code=2)


async def _command(*words: str, code: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli.app, list(words))
    assert result.exit_code == code, result.output
    return " ".join(result.output.replace("│", " ").split()) if "--json" not in words else result.output
