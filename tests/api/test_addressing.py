"""Suppressions and endpoints from the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlmodel import col, select
from typer.testing import CliRunner

import cli
from settings import DEVELOPMENT_ERASURE_KEY
from store.session import Store
from store.tables import Endpoint, Operation
from tests.databases import SqliteDatabases

Sojourn = Callable[..., str]
BY = ("--reason", "asked by letter", "--actor", "eve")
THEN = datetime(2025, 1, 6, 12, tzinfo=UTC)


@pytest.fixture
def database(sqlite: SqliteDatabases, monkeypatch: pytest.MonkeyPatch) -> str:
    url = sqlite.migrated()
    monkeypatch.setenv("SOJOURN_DATABASE_URL", url)
    at = {"url": "https://crm.example/in?token=t0ken", "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}
    monkeypatch.setenv("SOJOURN_ENDPOINTS", json.dumps({"crm": at}))
    return url


@pytest.fixture
def sojourn(database: str) -> Sojourn:
    def run(*words: str, exits: int = 0) -> str:
        result = CliRunner().invoke(cli.app, list(words))
        assert result.exit_code == exits, result.output
        return result.output

    return run


async def audited(database: str) -> list[tuple[str, str, str]]:
    store = Store(database, erasure_key=DEVELOPMENT_ERASURE_KEY)
    async with store.read() as session:
        found = (await session.exec(select(Operation).order_by(col(Operation.id)))).all()
    await store.close()
    return [(each.action, each.actor, each.reason) for each in found]


def test_an_address_is_suppressed_looked_up_and_let_go(database: str, sojourn: Sojourn) -> None:
    assert sojourn("suppressions", "show", "email", "Ada@example.org", exits=1) == "It is not suppressed on email.\n"
    assert sojourn("suppressions", "add", "email", "ada@example.org", *BY) == "Nothing goes there on email any more.\n"
    assert sojourn("suppressions", "add", "email", "ada@example.org", *BY) == "It was suppressed on email before.\n"
    assert "manual (operator)" in sojourn("suppressions", "show", "email", "Ada@Example.org")
    said = json.loads(sojourn("suppressions", "show", "email", "ada@example.org", "--json"))
    assert (said["channel"], said["cause"], said["source"]) == ("email", "manual", "operator")
    assert sojourn("suppressions", "lift", "email", "ada@example.org", *BY) == "Messages may go there on email again.\n"
    assert sojourn("suppressions", "lift", "email", "ada@example.org", *BY) == "It was not suppressed on email.\n"
    assert sojourn("suppressions", "show", "email", "ada@example.org", "--json", exits=1) == "null\n"
    assert asyncio.run(audited(database)) == [("suppress", "eve", "asked by letter"), ("lift", "eve", "asked by letter")]


def test_a_person_is_suppressed_whatever_the_channel_and_for_a_cause_of_the_teams(sojourn: Sojourn) -> None:
    assert "any channel" in sojourn("suppressions", "add", "*", "ada", "--cause", "lawyer", *BY)
    assert "lawyer (operator)" in sojourn("suppressions", "show", "*", "ada")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("suppressions", "add", "fax", "ada", *BY), "none of"),
        (("suppressions", "add", "email", " \0", *BY), "is needed"),
        (("suppressions", "add", "email", "ada@example.org", "--reason", " "), "say why"),
        (("suppressions", "lift", "email", "ada@example.org"), "--reason"),
        (("endpoints", "enable", "billing", *BY), "SOJOURN_ENDPOINTS"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(sojourn: Sojourn, words: tuple[str, ...], said: str) -> None:
    assert said in sojourn(*words, exits=2)


def test_an_endpoint_that_was_disabled_is_listed_and_enabled_again(database: str, sojourn: Sojourn) -> None:
    async def disable() -> None:
        store = Store(database, erasure_key=DEVELOPMENT_ERASURE_KEY)
        async with store.write() as session:
            session.add(Endpoint(name="crm", disabled_at=THEN, reason="it answered 410, so it is gone"))
        await store.close()

    asyncio.run(disable())
    (known,) = json.loads(sojourn("endpoints", "list", "--json"))
    assert (known["name"], known["host"], known["reason"]) == ("crm", "crm.example", "it answered 410, so it is gone")
    assert "2025-01-06" in sojourn("endpoints", "list")
    assert sojourn("endpoints", "enable", "crm", *BY) == "Webhooks go to crm (crm.example) again.\n"
    (known,) = json.loads(sojourn("endpoints", "list", "--json"))
    assert known["disabled_at"] is None
    assert asyncio.run(audited(database)) == [("enable", "eve", "asked by letter")]
