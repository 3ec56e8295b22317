"""`sojourn import`: every line once, whatever interrupts it; refused lines are told; nothing starts unless it is asked to."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

import events.imports
from events.accept import accept
from events.calls import Clock, understand
from events.files import BadFile, digest, opened
from events.forecast import forecast
from events.imports import Refusal, Tally, progress_of, run
from events.operators import Operator
from importing import Wish, import_file
from settings import Settings
from store.session import Store
from store.tables import BACKLOG, AcceptedEvent, Person
from tests.promises.house import CHECKOUT

BY = Operator("eve", "from the old system", "command line", datetime(2025, 3, 1, tzinfo=UTC))
AT = "2025-03-01T08:00:00Z"
FILLED = {"type": "track", "userId": "ada", "event": "Basket Filled", "properties": {"basket": "b1"}, "timestamp": AT}


def jsonl(file: Path, calls: Sequence[Any]) -> Path:
    file.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in calls))
    return file


class Imports:
    """The command, on a database of its own, and what has come of it."""

    def __init__(self, url: str, printed: pytest.CaptureFixture[str]) -> None:
        self.url, self.printed = url, printed

    def __call__(self, file: Path | str, **wish: Any) -> dict[str, Any]:
        import_file(Wish(str(file), as_json=True, **wish), Settings(database_url=self.url, _env_file=None))
        told: dict[str, Any] = json.loads(self.printed.readouterr().out)
        return told

    def rows(self) -> list[AcceptedEvent]:
        return asyncio.run(self._rows())

    async def _rows(self) -> list[AcceptedEvent]:
        store = Store(self.url)
        async with store.read() as session:
            rows = list((await session.exec(select(AcceptedEvent).order_by(col(AcceptedEvent.id)))).all())
        await store.close()
        return rows

    def person(self, name: str) -> Person:
        return asyncio.run(self._person(name))

    async def _person(self, name: str) -> Person:
        store = Store(self.url)
        async with store.read() as session:
            person = (await session.exec(select(Person).where(Person.user_id == name))).one()
        await store.close()
        return person


@pytest.fixture
def imports(url: str, shop: None, capsys: pytest.CaptureFixture[str]) -> Imports:
    return Imports(url, capsys)


def test_a_call_is_imported_as_of_its_own_time_into_the_backlog_and_starts_nothing(imports: Imports, tmp_path: Path) -> None:
    identify = {"type": "identify", "userId": "ada", "traits": {"plan": "pro"}, "timestamp": AT}
    told = imports(jsonl(tmp_path / "calls.jsonl", [identify, FILLED]))
    assert (told["accepted"], told["refused"], told["report"]) == (2, 0, None)
    rows = imports.rows()
    assert [(row.lane, row.starts, row.occurred_at.isoformat()) for row in rows] == [
        (BACKLOG, False, "2025-03-01T08:00:00+00:00")
    ] * 2
    assert imports.person("ada").traits == {"plan": "pro"}


def test_csv_says_the_same_as_jsonl(imports: Imports, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text(
        "type,userId,event,timestamp,messageId,properties.basket,properties.worth,traits.address.city,traits.zip\n"
        f"track,ada,Basket Filled,{AT},m-1,b1,12,,\n"
        f'identify,007,,{AT},m-2,,,"Berlin,\nMitte","""01234"""\n'
        f"track,bob,Basket Filled,{AT},m-3,b2,much,,\n"
    )
    told = imports(file)
    assert (told["accepted"], told["refused"]) == (2, 1)
    first, second = imports.rows()
    assert (first.message_id, first.name, first.data) == ("m-1", "Basket Filled", {"basket": "b1", "worth": 12})
    assert (second.kind, second.data) == ("identify", {"address": {"city": "Berlin,\nMitte"}, "zip": "01234"})
    assert imports.person("007").traits["zip"] == "01234"
    assert report(f"{file}.refused.jsonl") == [(5, "worth: Input should be a valid integer, unable to parse string as an integer")]


def report(file: Path | str) -> list[tuple[int, str]]:
    return [(each["line"], each["reason"]) for each in map(json.loads, Path(file).read_text().splitlines())]


def test_refused_lines_are_told_with_number_and_reason_and_the_others_are_imported(imports: Imports, tmp_path: Path) -> None:
    lines = [
        FILLED,
        '{"type": "track", "userId": "eve"',
        "",
        "[1]",
        {**FILLED, "userId": None},
        {**FILLED, "type": "dance"},
        {**FILLED, "timestamp": "yesterday"},
        {**FILLED, "properties": {}},
        {**FILLED, "properties": {"basket": "x" * 40_000}},
        {**FILLED, "event": "Unheard Of"},
    ]
    told = imports(jsonl(tmp_path / "calls.jsonl", lines), report=tmp_path / "wrong.jsonl")
    assert (told["accepted"], told["refused"], told["unknown"]) == (2, 7, 1)
    refused = dict(report(tmp_path / "wrong.jsonl"))
    assert refused.pop(2).startswith("it is not JSON: ")
    assert refused.pop(9).endswith("characters, and a call at most 32,768")
    assert refused == {
        4: "it is JSON, but not an object",
        5: "it has no userId, no anonymousId, and no valid email or phone among its traits",
        6: "type: 'dance' is not one of identify, track, page, screen, group, alias",
        7: "timestamp: 'yesterday' is not ISO 8601 with a zone",
        8: "basket: Field required",
    }


def test_a_csv_with_a_column_that_nobody_knows_is_refused_as_a_whole(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("userId,evnt\nada,seen\n")
    with pytest.raises(BadFile, match="line 1: the columns evnt are not known; there are type, userId"):
        imports(tmp_path / "calls.csv")


def test_a_file_that_is_imported_again_changes_nothing_zipped_or_by_another_name(imports: Imports, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "calls.jsonl", [FILLED, FILLED])
    imports(file)
    assert imports(file)["accepted"] == 2
    again = imports(file.rename(tmp_path / "other.jsonl"))
    assert (again["finished"], len(imports.rows())) == (True, 2)


def test_a_gzipped_file_is_read_as_what_it_holds(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl.gz").write_bytes(gzip.compress(f"{json.dumps(FILLED)}\n".encode()))
    assert imports(tmp_path / "calls.jsonl.gz")["accepted"] == 1


def test_message_ids_that_were_accepted_before_are_known(imports: Imports, tmp_path: Path) -> None:
    named = [{**FILLED, "messageId": f"m-{number}"} for number in range(3)]
    imports(jsonl(tmp_path / "some.jsonl", named[:2]))
    told = imports(jsonl(tmp_path / "all.jsonl", named))
    assert (told["accepted"], told["known"], len(imports.rows())) == (1, 2, 3)


async def test_an_import_that_is_cut_off_goes_on_where_it_was_and_doubles_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.imports, "BATCH", 10)
    lines: list[Any] = [{**FILLED, "userId": f"user-{number}"} for number in range(95)]
    file = jsonl(tmp_path / "calls.jsonl", [*lines[:15], "broken", *lines[15:]])

    with pytest.raises(KeyboardInterrupt):
        await sit(store, file, until=40)
    tally = await progress_of(store, digest(file))
    assert (tally.lines, tally.accepted, tally.refused, tally.finished) == (40, 39, 1, False)
    read_on = await sit(store, file)
    assert (read_on.lines, read_on.accepted, read_on.refused, read_on.known) == (96, 95, 1, 0)
    async with store.read() as session:
        assert len((await session.exec(select(AcceptedEvent.id))).all()) == 95


async def sit(store: Store, file: Path, until: int = 0) -> Tally:
    """Import in one sitting, which ends after so many lines if it is told to."""

    def watch(tally: Tally) -> None:
        if tally.lines == until:
            raise KeyboardInterrupt

    nobody: Callable[[Sequence[Refusal]], None] = lambda refused: None  # noqa: E731
    tally, source = await progress_of(store, digest(file)), opened(file)
    try:
        await run(store, source, digest(file), file.name, tally, BY, starts=False, report=nobody, watch=watch)
    finally:
        source.close()
    return tally


async def test_of_two_imports_of_one_file_at_once_one_gives_up(store: Store, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "calls.jsonl", [FILLED])
    stale = await progress_of(store, digest(file))
    await sit(store, file)
    source = opened(file)
    with pytest.raises(BadFile, match="another import of this very file is at work"):
        await run(store, source, digest(file), "", stale, BY, starts=False, report=lambda _: None, watch=lambda _: None)
    source.close()


def test_it_says_how_many_runs_it_would_start_and_starts_them_only_when_told_yes(
    imports: Imports, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = [{**FILLED, "userId": user, "properties": {"basket": each}} for user in ("ada", "bob") for each in ("1", "2", "2")]
    file = jsonl(tmp_path / "calls.jsonl", people)
    with pytest.raises(BadFile, match="say --yes too"):
        imports(file, trigger=True)
    assert capsys.readouterr().err.splitlines() == [
        "4 runs of basket_by_basket would start.",
        "2 runs of basket_help would start.",
    ]
    assert imports.rows() == []
    imports(file, trigger=True, yes=True)
    assert {row.starts for row in imports.rows()} == {True}


def test_what_is_piped_in_is_imported(databases: Any, tmp_path: Path) -> None:
    environment = {**os.environ, "SOJOURN_DATABASE_URL": databases.migrated()}
    command = [sys.executable, "-m", "cli", "import", "-", "--json", "--report", str(tmp_path / "wrong.jsonl")]
    calls = json.dumps({"userId": "ada", "event": "Unheard Of", "timestamp": AT}) + "\nbroken\n"
    told = subprocess.run(command, cwd=CHECKOUT, env=environment, input=calls, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) | {"report": ""} == {
        "lines": 2,
        "accepted": 1,
        "refused": 1,
        "known": 0,
        "unknown": 1,
        "finished": True,
        "report": "",
    }


async def test_the_forecast_leaves_out_what_is_known_already(store: Store) -> None:
    clock = Clock.real()
    known, new = (understand({**FILLED, "messageId": each, "userId": each}, "track", clock) for each in ("known", "new"))
    assert set((await forecast(store, [known, new], clock.at)).values()) == {2}
    await accept(store, [known], clock)
    assert set((await forecast(store, [known, new], clock.at)).values()) == {1}
