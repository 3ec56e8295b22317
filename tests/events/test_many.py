"""Many values and many rows in one statement are what they would be one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite
from sqlmodel import col, select

from events.accept import already
from events.profiles import known_people
from store.many import among, insert_rows, update_rows
from store.session import Store
from store.tables import Person

people = Person.__table__  # type: ignore[attr-defined]

NOON = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=5, minutes=30)))
ODD = ["plain", "quo'te", 'dou"ble', "back\\slash", "{brace}", "null", "ünï 🎉", "a,b"]


def somebody(user: str, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "zone": "", "locale": "", "email": None, "traits": {}, "trait_times": {}, "created_at": NOON, **more}


async def test_rows_are_kept_in_their_order_as_they_were_given(store: Store) -> None:
    traits = {"text": "x'y\"z\\", "none": None, "yes": True, "large": 2**60, "small": -0.5, "list": [1, {"a": []}]}
    async with store.write() as session:
        await insert_rows(await session.connection(), people, [somebody(user, traits=traits) for user in ODD])
    async with store.read() as session:
        kept = (await session.exec(select(Person).order_by(col(Person.id)))).all()
    assert [each.user_id for each in kept] == ODD
    assert all(each.traits == traits and each.email is None and each.created_at == NOON for each in kept)


async def test_a_moment_is_read_by_comparisons_as_one_that_was_written_alone(store: Store) -> None:
    async with store.write() as session:
        await insert_rows(await session.connection(), people, [somebody("ada")])
        session.add(Person(user_id="bob", created_at=NOON))
    async with store.read() as session:
        found = (await session.exec(select(Person.user_id).where(Person.created_at == NOON.astimezone(UTC)))).all()
    assert sorted(found) == ["ada", "bob"]


async def test_each_row_is_updated_by_its_id_and_nobody_else_is(store: Store) -> None:
    async with store.write() as session:
        connection = await session.connection()
        await insert_rows(connection, people, [somebody(user) for user in ("ada", "bob", "eve")])
        ids = dict((await session.exec(select(Person.user_id, Person.id))).all())
        rows = [{"traits": {"is": user}, "email": f"{user}@example.org", "id": ids[user]} for user in ("eve", "ada")]
        await update_rows(connection, people, rows)
    async with store.read() as session:
        kept = {each.user_id: (each.traits, each.email) for each in (await session.exec(select(Person))).all()}
    assert kept == {"ada": ({"is": "ada"}, "ada@example.org"), "bob": ({}, None), "eve": ({"is": "eve"}, "eve@example.org")}


@pytest.mark.parametrize("asked", [[], ["nobody"], ODD[:1], ODD, {*ODD, "nobody"}])
async def test_those_who_are_among_some_are_found_and_no_others(store: Store, asked: Any) -> None:
    async with store.write() as session:
        await insert_rows(await session.connection(), people, [somebody(user) for user in [*ODD, "other"]])
    async with store.read() as session:
        found = (await session.exec(select(Person).where(among(col(Person.user_id), "asked")), params={"asked": asked})).all()
        numbers = [each.id for each in found]
        again = (await session.exec(select(Person.id).where(among(col(Person.id), "asked")), params={"asked": numbers})).all()
    assert {each.user_id for each in found} == set(asked) & set(ODD)
    assert set(again) == set(numbers)


@pytest.mark.parametrize("query", [known_people, already], ids=["people by name", "calls by message id"])
async def test_what_every_call_asks_is_answered_from_an_index(store: Store, query: Any) -> None:
    if not store.is_sqlite:
        pytest.skip("how PostgreSQL goes about it depends on how much there is")
    compiled = query.compile(dialect=sqlite.dialect(paramstyle="named"))
    async with store.engine.connect() as connection:
        plan = (await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"), dict.fromkeys(compiled.params, '["a"]'))).all()
    scans = [row[-1] for row in plan if row[-1].startswith("SCAN") and "json_each" not in row[-1]]
    assert (len(plan) > 1, scans) == (True, [])
