"""The store's own history says what the same calls in a file do; and what was really sent is beside what would have been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import pytest
from sqlmodel import select

from backtest.cutting import opened
from events.accept import accept
from events.calls import Call, Clock
from events.lines import read
from settings import DEVELOPMENT_ERASURE_KEY
from store.migrate import migrate
from store.session import Store
from store.suppressions import suppress_name
from store.tables import Consent, Delivery, Person, Run
from tests.backtest.conftest import AT, Backtest, joined, known, pushed
from workflows.simulate import START

LATER = "2025-01-20T12:00:00Z"
PEOPLE = ("ada", "bo", "cy", "di")
CALLS: list[dict[str, Any] | str] = [
    *(known(user, email=f"{user}@example.org") for user in PEOPLE),
    *(joined(user) for user in PEOPLE),
    pushed("ada", "2025-01-07T12:00:00Z"),
    pushed("di", LATER),
]


@pytest.fixture
def database(backtest: Backtest) -> str:
    """A store into which the calls were accepted, each at its own time."""
    url = _empty(backtest)
    pieces = opened(backtest.write("calls.jsonl", CALLS))
    lines = [line for piece in pieces for line in piece.lines()]
    pieces.close()
    found = [read(line, "calls", Clock(START, offset=1.0)) for line in lines]
    asyncio.run(_accept(url, [call for call in found if isinstance(call, Call)]))
    return url


def _empty(backtest: Backtest) -> str:
    """Have the command use a store of its own, in which nobody is."""
    url = f"sqlite+aiosqlite:///{backtest.folder / 'store.db'}"
    migrate(url)
    backtest.settings["SOJOURN_DATABASE_URL"] = url
    return url


async def _accept(url: str, calls: list[Call]) -> None:
    async with _store(url) as store:
        for call in calls:
            await accept(store, [call], Clock(call.occurred_at, offset=1.0))


@asynccontextmanager
async def _store(url: str) -> AsyncIterator[Store]:
    store = Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY)
    try:
        yield store
    finally:
        await store.close()


def test_the_store_says_what_a_file_of_the_same_calls_says(backtest: Backtest, database: str) -> None:
    to = ("--to", "2025-01-20T12:00:01Z")
    from_store, from_file = (backtest.lives("onboarding", each, *to) for each in ("store", "calls.jsonl"))
    assert sorted(from_store, key=itemgetter("person")) == sorted(from_file, key=itemgetter("person"))
    assert backtest("onboarding", "store", *to)["events"]["lines"] == len(CALLS)


def test_what_people_have_said_and_addresses_that_are_suppressed_hold_from_when_they_did(backtest: Backtest, database: str) -> None:
    async def say() -> None:
        async with _store(database) as store, store.write() as session:
            people = {person.user_id: person for person in (await session.exec(select(Person))).all()}
            soon, late = datetime.fromisoformat(AT), datetime.fromisoformat(AT) + timedelta(days=3)
            no: dict[str, Any] = {"topic": "onboarding", "channel": "email", "granted": False}
            session.add(Consent(person_id=people["ada"].id or 0, at=soon, **no))
            session.add(Consent(person_id=people["bo"].id or 0, at=late, **no))
            await suppress_name(await session.connection(), "email:cy@example.org", "email", "complaint", "test", soon)

    asyncio.run(say())
    told = {life["person"]: life["runs"][0]["messages"] for life in backtest.lives("onboarding", "store")}
    first = {person: [(each["channel"], each["reason"]) for each in messages[:2]] for person, messages in told.items()}
    assert first["ada"] == [("email", "no_consent"), ("in_app", "")]
    assert first["bo"][0] == ("email", "")
    assert first["cy"] == [("email", "suppressed"), ("in_app", "")]
    assert ("email", "no_consent") in [(each["channel"], each["reason"]) for each in told["bo"]]


def test_what_was_really_sent_is_beside_what_would_have_been(backtest: Backtest, database: str) -> None:
    lives = backtest.lives("onboarding", "store")

    async def send() -> None:
        """Have the store say that all of it was so, but for Bo's welcome, which was a day later, and Cy, who got nothing."""
        async with _store(database) as store, store.write() as session:
            people = {person.user_id: person for person in (await session.exec(select(Person))).all()}
            for life in lives:
                if life["person"] != "cy":
                    await _run(session, people[life["person"]], life["runs"][0])

    asyncio.run(send())
    found = backtest("onboarding", "store", "--against", "sent")
    compared = found["compared"]
    assert found["there"]["name"] == "really sent"
    assert (compared["alike"], compared["moved"], compared["otherwise"], compared["here"], compared["there"]) == (2, 1, 0, 1, 0)
    assert found["there"]["runs"] == 3
    assert {each["person"] for each in compared["examples"]} == {"bo", "cy"}


async def _run(session: Any, person: Person, told: dict[str, Any]) -> None:
    begun = datetime.fromisoformat(told["entered"])
    of_person: dict[str, Any] = {"person_id": person.id, "journey": "onboarding"}
    run_id = f"run-{person.user_id}"
    started: dict[str, Any] = {"started_at": begun, "requested_at": begun, "trigger": "Project Joined", "workflow_id": run_id}
    ended: dict[str, Any] = {"status": told["status"], "ended_at": told["ended"] and datetime.fromisoformat(told["ended"])}
    session.add(Run(id=run_id, version=1, **of_person, **started, **ended))
    await session.flush()
    for number, each in enumerate(told["messages"]):
        at = datetime.fromisoformat(each["at"]) + timedelta(days=1 if person.user_id == "bo" and number == 0 else 0)
        what: dict[str, Any] = {name: each[name] for name in ("step", "channel", "template", "status", "reason")}
        session.add(Delivery(key=f"{run_id}:{each['step']}", run_id=run_id, topic="onboarding", at=at, **of_person, **what))


def test_a_store_without_anybody_says_so(backtest: Backtest) -> None:
    _empty(backtest)
    found = backtest("onboarding", "store", "--report", "report.html")
    assert (found["events"]["lines"], found["here"]["people"], found["here"]["runs"]) == (0, 0, 0)
    assert "0</b><span>runs" in (backtest.folder / "report.html").read_text()
