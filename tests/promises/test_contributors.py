"""A real stream through the HTTP API: profiles, states and segments are what plain SQL over the same file says.

The demo's excerpt, unless SOJOURN_TEST_STREAM names another file in its form, such as the whole of the stream it was cut from.
"""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from temporalio.client import Client

from api.app import create_app
from events.audience import audience
from events.route import Router
from events.sweep import sweep
from journeys.segments import drifting, lookers, newcomers, regulars
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_ERASURE_KEY, Settings
from store.session import Store
from tests.databases import SqliteDatabases
from tests.stage import only
from workflows.lifecycle import STATES

STREAM = "SOJOURN_TEST_STREAM"
EXCERPT = Path(__file__).parents[2] / "demo" / "excerpt.jsonl.gz"
BATCH = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 24 * 3600 * 1_000_000
COLUMNS = ("email", "phone", "locale", "timezone")

TABLES = """
CREATE TABLE calls (line INTEGER, user TEXT, event TEXT, at INTEGER, met INTEGER);
CREATE TABLE traits (line INTEGER, user TEXT, name TEXT, value TEXT, at INTEGER);
CREATE INDEX by_user ON calls (user, event, at);
CREATE VIEW pushed AS SELECT user, at FROM calls WHERE event = 'Commit Pushed';
CREATE VIEW people AS SELECT user, min(min(met), coalesce((SELECT min(at) FROM pushed WHERE user = calls.user), 1e18)) AS since,
    (SELECT max(at) FROM pushed WHERE user = calls.user) AS last FROM calls GROUP BY user;
"""
STATE = """
SELECT user, CASE
    WHEN :now - coalesce(last, since) >= 90 * :day THEN 'dormant'
    WHEN :now - coalesce(last, since) >= 30 * :day THEN 'at_risk'
    WHEN :now - since < 14 * :day THEN 'new'
    WHEN EXISTS (SELECT 1 FROM (SELECT at, at - lag(at, 1, since) OVER (ORDER BY at) AS silence FROM pushed
        WHERE pushed.user = people.user) WHERE silence >= 90 * :day AND :now - at < 30 * :day) THEN 'resurrected'
    ELSE 'active' END FROM people
"""
SEGMENTS = {
    "regulars": """SELECT user FROM pushed WHERE at > :now - 90 * :day GROUP BY user HAVING count(*) >= 10""",
    "drifting": """SELECT user FROM people WHERE (SELECT count(*) FROM pushed WHERE user = people.user) >= 10
        AND :now - last >= 30 * :day""",
    "newcomers": """SELECT DISTINCT user FROM calls WHERE event = 'Project Joined' AND at > :now - 30 * :day
        AND (SELECT count(*) FROM pushed WHERE user = calls.user) < 3""",
    "lookers": "SELECT DISTINCT user FROM calls WHERE user NOT IN (SELECT user FROM pushed) AND :now > 0 AND :day > 0",
}
LATEST = "SELECT user, name, value FROM traits ORDER BY at, line"


@dataclass(frozen=True)
class Known:
    """What is said of a person."""

    profile: Mapping[str, Any]
    state: str
    segments: list[str]


@pytest.fixture(scope="module")
def stream() -> list[dict[str, Any]]:
    with gzip.open(os.environ.get(STREAM, EXCERPT), "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
async def store(sqlite: SqliteDatabases) -> AsyncIterator[Store]:
    store = Store(sqlite.migrated(), erasure_key=DEVELOPMENT_ERASURE_KEY)
    yield store
    await store.close()


@pytest.fixture
async def api(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(Settings(_env_file=None), store, cast(Client, None)))
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test", headers=headers) as client:
        yield client


async def test_profiles_states_and_segments_are_those_of_a_straight_computation(
    store: Store, api: httpx.AsyncClient, stream: list[dict[str, Any]]
) -> None:
    end = moment(stream[-1]) + timedelta(days=3)
    with only([]):
        await play(store, api, stream)
        for user in {call["userId"] for call in stream}:
            await sweep(store, user, end)
    expected = straight(stream, end)
    assert {user: await told(api, user) for user in expected} == expected

    counts = (await api.get("/v1/segments")).json()
    inside = {name: sorted(user for user, known in expected.items() if name in known.segments) for name in SEGMENTS}
    assert {each["name"]: each["members"] for each in counts["segments"]} == {name: len(users) for name, users in inside.items()}
    assert counts["lifecycle"] == {state: sum(known.state == state for known in expected.values()) for state in STATES}
    assert {name: [user async for user in members(api, name)] for name in SEGMENTS} == inside
    for segment in (regulars, drifting, newcomers, lookers):
        found = await audience(store, segment, sample=len(expected), at=end)
        assert sorted(found.sample) == inside[segment.name]


async def play(store: Store, api: httpx.AsyncClient, stream: list[dict[str, Any]]) -> None:
    """Send everything, in batches that are accepted when their last call was made, and route each."""
    router = Router(store, cast(Client, None), Settings(_env_file=None), "router")
    for first in range(0, len(stream), BATCH):
        calls = stream[first : first + BATCH]
        answer = await api.post("/v1/batch", json={"batch": calls}, headers={"X-Sojourn-Clock": moment(calls[-1]).isoformat()})
        assert answer.status_code == 200
        while await router.round():
            pass


async def told(api: httpx.AsyncClient, user: str) -> Known:
    seen = (await api.get(f"/v1/users/{user}")).json()
    profile = {"timezone": seen["zone"], "locale": seen["locale"], "email": seen["email"], "phone": seen["phone"]}
    return Known({**profile, **seen["traits"]}, seen["state"], seen["segments"])


async def members(api: httpx.AsyncClient, name: str) -> AsyncIterator[str]:
    found, after = list[str](), ""
    while after is not None:
        page = (await api.get(f"/v1/segments/{name}", params={"limit": 7, "after": after})).json()
        found += [each["user_id"] for each in page["sample"]]
        after = page["next"]
    for user in sorted(found):
        yield user


def straight(stream: list[dict[str, Any]], end: datetime) -> dict[str, Known]:
    """Compute it all from the file, in a fresh database."""
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES)
    database.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?)", rows(stream))
    database.executemany("INSERT INTO traits VALUES (?, ?, ?, ?, ?)", traits(stream))
    at = {"now": micros(end), "day": DAY}
    states = dict(database.execute(STATE, at).fetchall())
    profiles: dict[str, dict[str, Any]] = {user: {"timezone": "", "locale": "", "email": None, "phone": None} for user in states}
    for user, name, value in database.execute(LATEST):
        profiles[user][name] = json.loads(value)
    inside = {name: {user for (user,) in database.execute(query, at)} for name, query in SEGMENTS.items()}
    return {
        user: Known(profiles[user], state, sorted(name for name, users in inside.items() if user in users))
        for user, state in states.items()
    }


def rows(stream: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for line, call in enumerate(stream):
        met = stream[min(line // BATCH * BATCH + BATCH, len(stream)) - 1]
        yield line, call["userId"], call.get("event", ""), micros(moment(call)), micros(moment(met))


def traits(stream: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for line, call in enumerate(stream):
        said = {"timezone": call["context"].get("timezone"), **call.get("traits", {})}
        for name, value in said.items():
            if value is not None:
                yield line, call["userId"], name, json.dumps(value), micros(moment(call))


def moment(call: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(call["timestamp"]).astimezone(UTC)


def micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
