"""Erasing a person leaves no row, no bytes and no name; a late event recreates nobody."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import delete, make_url, select, text
from sqlmodel import SQLModel, col
from sqlmodel import select as select_rows
from temporalio.client import Client

from events.accept import accept
from events.calls import Clock, understand
from events.erase import erase, finish
from events.export import export
from events.operators import Operator
from events.request import request_exit, request_run
from store.belongings import belongings
from store.impersonal import Erased, Erasure
from store.outage import NotCompacted, is_outage
from store.session import Store
from store.tables import (
    AcceptedEvent,
    Assignment,
    Consent,
    Delivery,
    InboxCard,
    MailboxItem,
    Membership,
    Notice,
    Operation,
    Person,
    Run,
)
from workflows.definition import current

ABOUT_NOBODY = frozenset({"keys", "erased", "erasures", "imports", "segment_fills", "suppressions", "stops", "endpoints"})

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CLOCK = Clock(NOON)
ALIAS = {"userId": "grace", "previousId": "ada-lovelace-1815"}
BY = Operator("eve", "asked by letter", "SOJOURN_ADMIN_KEY", NOON)
SECRETS = (
    "ada-lovelace-1815",
    "ada@lovelace.example",
    "+4915112345678",
    "Marylebone",
    "tok-9f8e7d",
    "a-secret-basket",
    "is unwell",
)


async def introduce(store: Store, user: str = SECRETS[0]) -> Person:
    """Somebody of whom every table knows something."""
    traits = {"email": SECRETS[1], "phone": SECRETS[2], "city": SECRETS[3]}
    call = {"userId": user, "traits": traits, "context": {"device": {"token": SECRETS[4], "type": "ios"}}, "messageId": f"i-{user}"}
    await accept(store, [understand(call, "identify", CLOCK)], CLOCK)
    definition = current("basket_help")
    assert definition is not None
    requested = await request_run(store, definition, user, {"basket": SECRETS[5]}, CLOCK)
    run: Run = requested.run  # type: ignore[union-attr]
    await request_exit(store, run, Operator("eve", f"she {SECRETS[6]}", "ops", NOON), CLOCK)
    async with store.write() as session:
        person = (await session.exec(select_rows(Person).where(Person.user_id == user))).one()
        session.add_all(_belongings_of(person.id or 0, run))
    return person


def _belongings_of(person_id: int, run: Run) -> list[SQLModel]:
    common: dict[str, Any] = {"key": f"{run.id}:s", "person_id": person_id, "at": NOON}
    message: dict[str, Any] = {"journey": "basket_help", "template": "t", "channel": "email"}
    return [
        Consent(person_id=person_id, topic="basket_help", granted=True, source=SECRETS[6], at=NOON),
        Delivery(**common, **message, run_id=run.id, step="s", topic="t", status="sent"),
        InboxCard(**common, title="Hello", body=SECRETS[3]),
        MailboxItem(**common, **message, recipient=SECRETS[1]),
        Assignment(person_id=person_id, experiment="e", variant="v", at=NOON),
        Membership(person_id=person_id, segment="s", value="in", since=NOON, digest="d"),
        Notice(key=f"msg_{run.id}", person_id=person_id, kind="message.replied", data={"text": SECRETS[6]}, at=NOON, due_at=NOON),
    ]


async def people(store: Store) -> Sequence[str]:
    """Return what everybody is called."""
    async with store.read() as session:
        return (await session.exec(select_rows(Person.user_id))).all()


async def everything(store: Store) -> str:
    """Return all rows of all tables, as text."""
    async with store.read() as session:
        connection = await session.connection()
        return "\n".join(
            [str(tuple(row)) for table in SQLModel.metadata.sorted_tables for row in await connection.execute(select(table))]
        )


def found_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


async def test_an_erased_person_is_in_no_row_of_any_table(store: Store) -> None:
    await introduce(store)
    assert found_in(await everything(store)) == list(SECRETS)  # else this test could not fail
    assert await erase(store, SECRETS[0], BY)
    left = await everything(store)
    assert found_in(left.replace("basket_help/ada-lovelace-1815", "…")) == []
    async with store.read() as session:
        (todo,) = (await session.exec(select_rows(Erasure))).all()
        assert todo.workflow_ids == ["basket_help/ada-lovelace-1815"]  # until Temporal has its history no more
        assert (await session.exec(select_rows(Person))).all() == []


async def test_others_keep_all_they_have(store: Store) -> None:
    await introduce(store)
    other = await introduce(store, "bob-who-stays")
    await erase(store, SECRETS[0], BY)
    async with store.read() as session:
        connection = await session.connection()
        for table, theirs in belongings(other.id or 0):
            assert (await connection.execute(select(table).where(theirs))).first() is not None or table.name in (
                "devices",
                "merges",
            ), table


async def test_every_table_belongs_to_people_or_says_that_it_does_not() -> None:
    about = {table.name for table, _ in belongings(1)}
    assert about | ABOUT_NOBODY == set(SQLModel.metadata.tables)
    assert not about & ABOUT_NOBODY


async def test_a_late_event_recreates_nobody(store: Store) -> None:
    await introduce(store)
    await erase(store, SECRETS[0], BY)
    late = [
        understand({"userId": user, "event": "Basket Filled", "properties": {"basket": "b"}}, "track", CLOCK)
        for user in (SECRETS[0], "new")
    ]
    await accept(store, late, CLOCK)
    async with store.read() as session:
        assert (await session.exec(select_rows(Person.user_id))).all() == ["new"]
        hashes = (await session.exec(select_rows(Erased.hash))).all()
    assert len(hashes) == 3
    assert all(len(each) == 64 for each in hashes)


@pytest.mark.parametrize("erased", [{"userId": "ada-lovelace-1815"}, {"anonymousId": "ada-lovelace-1815"}])
async def test_an_alias_that_names_an_erased_person_is_not_kept_and_meets_nobody(store: Store, erased: dict[str, str]) -> None:
    await accept(store, [understand(erased, "identify", CLOCK)], CLOCK)
    await erase(store, erased.get("userId", f"anon:{SECRETS[0]}"), BY)
    await accept(store, [understand(ALIAS, "alias", CLOCK)], CLOCK)
    assert found_in(await everything(store)) == []
    assert await people(store) == []


async def test_whoever_does_something_is_met_though_an_alias_beside_it_is_not_kept(store: Store) -> None:
    await introduce(store)
    await erase(store, SECRETS[0], BY)
    calls = [understand(ALIAS, "alias", CLOCK), understand({"userId": "grace", "traits": {"plan": "pro"}}, "identify", CLOCK)]
    await accept(store, calls, CLOCK)
    assert await people(store) == ["grace"]
    async with store.read() as session:
        assert (await session.exec(select_rows(AcceptedEvent.kind))).all() == ["identify"]


async def test_an_alias_of_nobody_erased_still_meets_both(store: Store) -> None:
    await accept(store, [understand(ALIAS, "alias", CLOCK)], CLOCK)
    await accept(store, [understand({"userId": SECRETS[0], "traits": {"plan": "pro"}}, "identify", CLOCK)], CLOCK)
    assert await people(store) == ["grace"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"email": "Old@lovelace.example"}, {"email": "new@lovelace.example"}),
        ({"phone": "030 123456", "country": "DE"}, {"phone": "+4915112345678"}),
    ],
)
async def test_an_address_that_an_erased_person_had_before_recreates_nobody(
    store: Store, old: dict[str, str], new: dict[str, str]
) -> None:
    for traits in (old, new):
        await accept(store, [understand({"userId": SECRETS[0], "traits": traits}, "identify", CLOCK)], CLOCK)
    await erase(store, SECRETS[0], BY)
    await accept(store, [understand({"traits": old}, "identify", CLOCK)], CLOCK)
    async with store.read() as session:
        assert (await session.exec(select_rows(Person))).all() == []


async def test_the_hashes_are_keyed(store: Store, url: str) -> None:
    """Who has the database and not the key cannot try names."""
    await introduce(store)
    await erase(store, SECRETS[0], BY)
    other = Store(url, erasure_key="another")
    await accept(other, [understand({"userId": SECRETS[0], "traits": {}}, "identify", CLOCK)], CLOCK)
    await other.close()
    async with store.read() as session:
        assert (await session.exec(select_rows(Person.user_id))).all() == [SECRETS[0]]


async def test_an_erasure_is_recorded_without_the_name(store: Store) -> None:
    await introduce(store)
    await erase(store, SECRETS[0], Operator("eve", f"{SECRETS[0]} asked", "k", NOON))
    async with store.read() as session:
        (done,) = (await session.exec(select_rows(Operation))).all()
    assert (done.action, done.actor, done.reason, done.key_name) == ("erase", "eve", "… asked", "k")
    assert done.details["rows"]["messages"] == 1
    assert len(done.subject) == 64


async def test_no_name_of_the_erased_is_in_the_record_however_it_is_written(store: Store) -> None:
    call = {
        "userId": "u7",
        "anonymousId": "8f3e-1234",
        "traits": {"email": "Ada@example.org", "phone": "+4915112345678"},
        "context": {"device": {"token": "tok-123"}},
    }
    await accept(store, [understand(call, "identify", CLOCK)], CLOCK)
    reason = "ADA@Example.org, +4915112345678, cookie 8F3E-1234, device TOK-123 is U7 of menu7"
    await erase(store, "u7", Operator("u7 herself", reason, "k", NOON))
    async with store.read() as session:
        (done,) = (await session.exec(select_rows(Operation))).all()
    assert (done.actor, done.reason) == ("… herself", "…, …, cookie …, device … is … of menu7")


async def test_who_is_not_known_cannot_be_erased(store: Store) -> None:
    assert await erase(store, "nobody", BY) is None


async def test_what_is_accepted_while_somebody_is_erased_is_erased_or_refused(store: Store) -> None:
    for turn in range(5):
        user = f"somebody-{turn}"
        await introduce(store, user)
        calls = [understand({"userId": user, "traits": {"n": n}}, "identify", CLOCK) for n in range(8)]
        await asyncio.gather(*(accept(store, [call], CLOCK) for call in calls), erase(store, user, BY))
    async with store.read() as session:
        assert (await session.exec(select_rows(Person.user_id).where(col(Person.user_id).startswith("somebody")))).all() == []


async def test_an_exit_ordered_of_an_erased_run_changes_nothing(store: Store) -> None:
    await introduce(store)
    async with store.read() as session:
        run = (await session.exec(select_rows(Run))).one()
    await erase(store, SECRETS[0], BY)
    assert await request_exit(store, run, Operator("eve", "late", "ops", NOON), CLOCK) is False


async def test_an_erased_person_is_not_in_the_file(store: Store, url: str) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL's files are autovacuum's")
    await introduce(store)
    file = Path(make_url(url).database or "")
    await store.compact()
    assert len(_bytes_found(file)) == len(SECRETS)
    await erase(store, SECRETS[0], BY)
    async with store.write() as session:
        for each in (await session.exec(select_rows(Erasure))).all():
            await session.delete(each)
    await store.compact()
    assert _bytes_found(file) == []


async def test_an_erasure_is_not_done_before_the_file_is_written_anew(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL's files are autovacuum's")
    monkeypatch.setattr("store.sqlite.COMPACTING_MILLISECONDS", 50)
    monkeypatch.setattr("events.erase.delete_histories", temporal_has_none)
    await introduce(store)
    file = Path(make_url(url).database or "")
    nobody = cast(Client, None)
    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM people").fetchall()
        await erase(store, SECRETS[0], BY)
        with pytest.raises(NotCompacted):
            await finish(store, nobody)
        assert is_outage(NotCompacted())
    assert await finish(store, nobody)
    assert _bytes_found(file) == []
    async with store.read() as session:
        assert (await session.exec(select_rows(Erasure))).all() == []


async def test_what_a_person_leaves_is_found_by_indexes(store: Store) -> None:
    if not store.is_sqlite:
        pytest.skip("how PostgreSQL goes about it depends on how much there is")
    async with store.read() as session:
        connection = await session.connection()
        for table, theirs in belongings(1):
            statement = delete(table).where(theirs).compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
            plan = [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"))]
            assert not [line for line in plan if line.startswith("SCAN")], table.name


async def temporal_has_none(_: object, __: object) -> bool:
    return True


def _bytes_found(file: Path) -> list[str]:
    log = file.with_name(file.name + "-wal")
    held = file.read_bytes() + (log.read_bytes() if log.exists() else b"")
    return [secret for secret in SECRETS if secret.encode() in held]


async def test_an_export_has_all_that_is_known(store: Store) -> None:
    await introduce(store)
    known = await export(store, SECRETS[0], BY)
    assert known is not None
    assert found_in(str(known)) == list(SECRETS)
    assert set(known) == {table.name for table, _ in belongings(1)} - {"people", "operations"} | {
        "profile",
        "operator_actions",
        "histories",
    }
    assert known["profile"][0]["traits"] == {"city": SECRETS[3]}
    assert known["histories"][0]["workflow_id"] == f"basket_help/{SECRETS[0]}"
    assert [each["action"] for each in known["operator_actions"]] == ["exit", "export"]


async def test_an_export_has_nothing_of_others(store: Store) -> None:
    await introduce(store)
    await introduce(store, "bob-who-stays")
    assert "bob-who-stays" not in str(await export(store, SECRETS[0], BY))
