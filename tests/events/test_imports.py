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
from pydantic import SecretStr
from sqlmodel import col, select

import events.imports
from commands.importing import Wish, import_file
from connecting import open_store
from events.accept import accept
from events.calls import Clock, understand
from events.erase import erase
from events.files import BadFile, digest, opened
from events.forecast import forecast
from events.imports import Tally, progress_of, run
from events.lines import Refusal
from events.operators import Operator
from settings import DEVELOPMENT_ERASURE_KEY, Settings
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
        store = Store(self.url, erasure_key=DEVELOPMENT_ERASURE_KEY)
        async with store.read() as session:
            rows = list((await session.exec(select(AcceptedEvent).order_by(col(AcceptedEvent.id)))).all())
        await store.close()
        return rows

    def person(self, name: str) -> Person:
        return asyncio.run(self._person(name))

    async def _person(self, name: str) -> Person:
        store = Store(self.url, erasure_key=DEVELOPMENT_ERASURE_KEY)
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
    assert refused.pop(2).startswith("it is not JSON that we can keep: ")
    assert refused.pop(9).endswith("characters, and a call at most 32,768")
    assert refused == {
        4: "it is JSON, but not an object",
        5: "it has no userId, no anonymousId, and no valid email or phone among its traits",
        6: "type: 'dance' is not one of identify, track, page, screen, group, alias",
        7: "timestamp: 'yesterday' is not ISO 8601 with a zone",
        8: "basket: Field required",
    }


@pytest.mark.parametrize(
    ("value", "accepted"),
    [('"b\\u0000"', 3), ("1e999", 2), ("1" * 290 + "e99", 2), ("-1E+0400", 2), ("1" * 5000, 2), ('"\\ud800"', 2)],
)
def test_a_line_that_no_database_holds_keeps_back_no_other(imports: Imports, tmp_path: Path, value: str, accepted: int) -> None:
    odd = json.dumps(FILLED).replace('"b1"', f'"b1", "odd": {value}')
    told = imports(jsonl(tmp_path / "calls.jsonl", [FILLED, odd, FILLED]))
    assert (told["accepted"], told["lines"], told["finished"]) == (accepted, 3, True)
    cell = value.replace('"', '""')
    (tmp_path / "calls.csv").write_text(
        f'type,userId,event,properties.basket,properties.odd\ntrack,ada,Basket Filled,b1,"{cell}"\ntrack,ada,Basket Filled,b\0,\n'
    )
    told = imports(tmp_path / "calls.csv")
    assert (told["lines"], told["finished"]) == (3, True)


def test_a_csv_with_a_column_that_nobody_knows_is_refused_as_a_whole(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("userId,evnt\nada,seen\n")
    with pytest.raises(BadFile, match="line 1: the columns evnt are not known; there are type, userId"):
        imports(tmp_path / "calls.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("userId,event,userId\nada,seen,bo\n", "line 1: there are several columns userId; leave one of each"),
        ("userId,event,traits.plan, traits.plan\nada,seen,a,b\n", "line 1: there are several columns traits.plan; leave one"),
    ],
)
def test_a_csv_with_two_columns_of_one_name_is_refused_as_a_whole(imports: Imports, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "calls.csv").write_text(text)
    with pytest.raises(BadFile, match=said):
        imports(tmp_path / "calls.csv")


def test_a_column_and_one_of_its_parts_do_not_overwrite_each_other(imports: Imports, tmp_path: Path) -> None:
    rows = (
        "userId,event,properties.basket,properties.at.day,properties.at\nada,Basket Filled,b,1,\nada,Basket Filled,b,1,noon\nbo\n"
    )
    (tmp_path / "calls.csv").write_text(rows)
    told = imports(tmp_path / "calls.csv")
    assert report(f"{tmp_path}/calls.csv.refused.jsonl") == [
        (3, "properties.at: other columns give it parts"),
        (4, "it has 1 cell, and the header 5"),
    ]
    assert told["accepted"] == 1


def test_a_file_that_is_imported_again_changes_nothing_zipped_or_by_another_name(imports: Imports, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "calls.jsonl", [FILLED, FILLED])
    imports(file)
    assert imports(file)["accepted"] == 2
    again = imports(file.rename(tmp_path / "other.jsonl"))
    assert (again["finished"], len(imports.rows())) == (True, 2)


def test_a_gzipped_file_is_read_as_what_it_holds(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl.gz").write_bytes(gzip.compress(f"{json.dumps(FILLED)}\n".encode()))
    assert imports(tmp_path / "calls.jsonl.gz")["accepted"] == 1


async def test_an_import_recreates_nobody_who_was_erased(store: Store, url: str, tmp_path: Path) -> None:
    ours = Settings(database_url=url, erasure_key=SecretStr("the key of production"), _env_file=None)
    known = open_store(ours)
    calls = [{"type": "identify", "userId": "ada", "traits": {"email": "ada@example.org"}}]
    await accept(known, [understand(each, "identify", Clock.real()) for each in calls], Clock.real())
    await erase(known, "ada", Operator("eve", "asked", "", datetime.now(UTC)))
    await known.close()
    await asyncio.to_thread(import_file, Wish(str(jsonl(tmp_path / "calls.jsonl", calls))), ours)
    async with store.read() as session:
        assert (await session.exec(select(Person.user_id))).all() == []


async def test_a_report_that_was_cut_off_is_gone_on_with(
    store: Store, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.imports, "BATCH", 2)
    file = jsonl(tmp_path / "calls.jsonl", [FILLED, "broken", FILLED, "broken too"])
    with pytest.raises(KeyboardInterrupt):
        await sit(store, file, until=2)
    told = tmp_path / "calls.jsonl.refused.jsonl"
    told.write_text('{"line": 2, "reason": "told"}\n{"line": 4, "rea')
    await asyncio.to_thread(import_file, Wish(str(file)), Settings(database_url=url, _env_file=None))
    assert [line for line, _ in report(told)] == [2, 4]


@pytest.mark.parametrize("theirs", ["mine", '{"line": 1, "reason": ""}\n[]\n', '{"userId": "ada"}\n'])
def test_a_file_that_is_no_report_is_left_alone_and_nothing_is_imported(imports: Imports, tmp_path: Path, theirs: str) -> None:
    (tmp_path / "notes.txt").write_text(theirs)
    with pytest.raises(BadFile, match=r"notes.txt is no report of refused lines: name another file with --report"):
        imports(jsonl(tmp_path / "calls.jsonl", [FILLED]), report=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == theirs
    assert imports.rows() == []


def test_rows_of_a_crm_are_imported_by_their_addresses(imports: Imports, tmp_path: Path) -> None:
    (tmp_path / "crm.csv").write_text("type,traits.email,traits.plan\nidentify,ada@example.org,pro\n")
    assert imports(tmp_path / "crm.csv")["accepted"] == 1
    assert imports.person("email:ada@example.org").traits == {"plan": "pro"}
    (tmp_path / "names.csv").write_text("type,traits.plan\nidentify,pro\n")
    with pytest.raises(BadFile, match=r"there is no column userId, anonymousId, traits.email or traits.phone"):
        imports(tmp_path / "names.csv")


def test_a_line_whose_message_id_is_unusable_acts_once(imports: Imports, tmp_path: Path) -> None:
    odd = jsonl(tmp_path / "calls.jsonl", [{**FILLED, "messageId": ["m"]}, {**FILLED, "messageId": 7}])
    imports(odd)
    assert [row.message_id for row in imports.rows()] == [f"import:{digest(odd)[:32]}:1", "7"]
    again = jsonl(tmp_path / "again.jsonl", [{**FILLED, "messageId": "7"}])
    assert imports(again)["known"] == 1


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
