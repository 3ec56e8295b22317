"""Who belongs to the crowd's segments: written a second time, as plain SQL over all that was accepted, whatever it costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, select

from store.session import Store
from store.tables import AcceptedEvent, Person

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = 24 * 3600 * 1_000_000

TABLES = """
CREATE TABLE people (id INTEGER, created INTEGER, plan TEXT);
CREATE TABLE done (person INTEGER, name TEXT, size INTEGER, at INTEGER);
"""
QUERIES = {
    "buyers": """SELECT id FROM people WHERE (SELECT count(*) FROM done WHERE person = id AND name = 'crowd bought'
        AND at <= :now AND at > :now - 10 * :day) >= 3""",
    "quiet": """SELECT id FROM people WHERE NOT EXISTS (SELECT 1 FROM done WHERE person = id AND name = 'crowd visited'
        AND at <= :now AND at > :now - 5 * :day)""",
    "pros": """SELECT id FROM people WHERE plan = 'pro' AND id IN (SELECT person FROM done WHERE name = 'crowd visited'
        AND at <= :now)""",
    "big_or_gone": """SELECT person FROM done WHERE name = 'crowd bought' AND size = 2 AND at <= :now
        UNION SELECT id FROM states WHERE state = 'dormant'""",
    "fading": """SELECT id FROM states WHERE state IN ('at_risk', 'dormant') AND (SELECT count(*) FROM done WHERE person = id
        AND name = 'crowd complained' AND at <= :now AND at > :now - 20 * :day) < 2""",
}
STATES = """
WITH acted AS (SELECT person, at FROM done WHERE name IN ('crowd bought', 'crowd visited') AND at <= :now),
known AS (SELECT id, min(created, coalesce((SELECT min(at) FROM acted WHERE person = id), created)) AS since,
    (SELECT max(at) FROM acted WHERE person = id) AS last FROM people),
silences AS (SELECT person, at, at - lag(at, 1, (SELECT since FROM known WHERE id = person)) OVER
    (PARTITION BY person ORDER BY at) AS silence FROM acted)
SELECT id, CASE
    WHEN :now - coalesce(last, since) >= 12 * :day THEN 'dormant'
    WHEN :now - coalesce(last, since) >= 5 * :day THEN 'at_risk'
    WHEN :now - since < 3 * :day THEN 'new'
    WHEN EXISTS (SELECT 1 FROM silences WHERE person = id AND silence >= 12 * :day AND :now - at < 4 * :day) THEN 'resurrected'
    ELSE 'active' END AS state
FROM known
"""


async def brute_force(store: Store, now: datetime, world: str) -> dict[tuple[int, str], str]:
    """Return everybody's state, and whether they are in or out of each segment, at that moment: of those whose ids begin so."""
    async with store.read() as session:
        people = (await session.exec(select(Person).where(col(Person.user_id).startswith(world)))).all()
        theirs = select(AcceptedEvent).join(Person).where(col(Person.user_id).startswith(world))
        events = (await session.exec(theirs.where(col(AcceptedEvent.status).in_(["pending", "routed", "dead"])))).all()
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES)
    database.executemany(
        "INSERT INTO people VALUES (?, ?, ?)",
        [(each.id, micros(each.created_at), each.traits.get("plan")) for each in people],
    )
    database.executemany("INSERT INTO done VALUES (?, ?, ?, ?)", list(_done(events)))
    at = {"now": micros(now), "day": DAY}
    database.execute("CREATE TABLE states (id INTEGER, state TEXT)")
    database.executemany("INSERT INTO states VALUES (?, ?)", database.execute(STATES, at).fetchall())
    found = {(person, "lifecycle"): state for person, state in database.execute("SELECT id, state FROM states")}
    for name, query in QUERIES.items():
        inside = {person for (person,) in database.execute(query, {each: at[each] for each in at if f":{each}" in query})}
        found |= {(each.id or 0, name): "in" if each.id in inside else "out" for each in people}
    return found


def _done(events: Iterable[AcceptedEvent]) -> Iterable[tuple[Any, ...]]:
    for each in events:
        if each.kind == "track":
            yield each.person_id, each.name, each.data.get("size", 1), micros(min(each.occurred_at, each.accepted_at))


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND
