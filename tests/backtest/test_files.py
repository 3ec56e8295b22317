"""Files of any kind say the same; what of them is of no use is told; and names that are one person's are one person."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import backtest.cutting as cutting
from events.files import BadFile, Line
from tests.backtest.conftest import AT, Backtest, joined, known, pushed
from tests.pages import ROOT, run

CSV = """type,userId,event,timestamp,properties.project,properties.area,properties.note
track,ada,Project Joined,2025-01-06T12:00:00Z,flask,src,"two
lines, and a ""quote"" within"
track,ada,Commit Pushed,2025-01-06T12:30:00Z,flask,src,
track,bo,Project Joined,2025-01-07T12:00:00Z,flask,docs,
"""
CALLS = [joined("ada"), pushed("ada", "2025-01-06T12:30:00Z"), {**joined("bo", "2025-01-07T12:00:00Z")}]
CALLS[2]["properties"] = {"project": "flask", "area": "docs"}


def messages(lives: list[dict[str, object]]) -> object:
    return [(life["person"], life["runs"]) for life in lives]


def test_jsonl_csv_and_zipped_files_in_any_order_say_the_same(backtest: Backtest) -> None:
    to = ("--to", "2025-02-01")
    told = messages(backtest.lives("onboarding", backtest.write("calls.jsonl", CALLS), *to))
    assert messages(backtest.lives("onboarding", backtest.write("calls.jsonl.gz", CALLS[::-1]), *to)) == told
    (backtest.folder / "calls.csv").write_text(CSV)
    assert messages(backtest.lives("onboarding", "calls.csv", *to)) == told


def test_a_file_is_read_in_pieces_that_end_where_a_line_or_a_row_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "PIECE", 64)
    lines = [json.dumps({"number": number, "text": "x" * (number % 50)}) for number in range(200)]
    for name, raw in (("a.jsonl", "\n".join(lines).encode()), ("b.jsonl.gz", gzip.compress("\n".join(lines).encode()))):
        (tmp_path / name).write_bytes(raw)
        read = lines_of(tmp_path / name)
        assert [line.call["number"] for line in read] == list(range(200))
        assert [line.number for line in read] == list(range(1, 201))
    rows = "".join(f'u{number},"a\n""b"", {number}\n",2025-01-06T12:00:00Z\n' for number in range(60))
    (tmp_path / "c.csv").write_text(f"userId,event,timestamp\n{rows}")
    read = lines_of(tmp_path / "c.csv")
    assert [line.call["event"] for line in read] == [f'a\n"b", {number}\n' for number in range(60)]
    assert [line.number for line in read] == [2 + 3 * number for number in range(60)]


def test_what_is_no_file_of_calls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        cutting.opened(tmp_path / "nothing.jsonl")
    (tmp_path / "odd.csv").write_text("who,what\n")
    with pytest.raises(BadFile, match="columns who, what are not known"):
        lines_of(tmp_path / "odd.csv")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 10_000)[:-20])
    with pytest.raises(BadFile, match="what is zipped in it is broken"):
        lines_of(tmp_path / "cut.jsonl.gz")


def lines_of(file: Path) -> list[Line]:
    with closing(cutting.opened(file)) as pieces:
        return [line for piece in pieces for line in piece.lines()]


def test_lines_and_events_that_are_of_no_use_are_told_and_the_rest_is_used(backtest: Backtest) -> None:
    calls: list[dict[str, Any] | str] = [
        joined("ada", messageId="m-1"),
        joined("ada", messageId="m-1"),
        "{",
        {**joined("ada"), "timestamp": "yesterday"},
        {"type": "track", "userId": "ada", "event": "Project Joined", "properties": {"project": "flask"}},
        {"type": "track", "userId": "ada", "event": "Nobody Knows", "timestamp": "2025-01-06T13:00:00Z"},
        {"type": "track", "userId": "ada", "event": "Commit Pushed", "timestamp": "2025-01-06T13:00:00Z", "properties": {}},
        {"type": "track", "userId": "ada", "event": "message_opened", "timestamp": AT, "properties": {"message": "x"}},
    ]
    found = backtest("onboarding", backtest.write("calls.jsonl", calls), "--to", "2025-01-20")
    events = found["events"]
    assert (events["lines"], events["calls"], events["refused"], events["repeated"]) == (8, 3, 5, 1)
    reasons = {each["line"]: each["reason"] for each in events["refused_such_as"]}
    assert reasons[3].startswith("it is not JSON")
    assert "not ISO 8601 with a zone" in reasons[4]
    assert "it states none" in reasons[5]
    assert "project: Field required" in reasons[7]
    assert "apps cannot send this event" in reasons[8]
    assert events["unknown_events"] == {"Nobody Knows": 1}
    assert found["here"]["runs"] == 1
    assert any("lines that are no calls" in each for each in found["odd"])


def test_an_anonymous_visitor_and_who_they_turn_out_to_be_are_one_person(backtest: Backtest) -> None:
    calls = [
        {**joined("x"), "userId": None, "anonymousId": "v1"},
        {**known("ada", "2025-01-08T00:00:00Z"), "anonymousId": "v1"},
        pushed("ada", "2025-01-08T12:00:00Z"),
        {**known("bo", "2025-01-09T00:00:00Z"), "anonymousId": "v1"},  # the same browser, somebody else
        joined("bo", "2025-01-09T00:00:00Z"),
        {"type": "alias", "userId": "carla", "previousId": "cy", "timestamp": "2025-01-09T00:00:00Z"},
        joined("cy", "2025-01-07T00:00:00Z"),
        pushed("carla", "2025-01-07T12:00:00Z"),
    ]
    lives = backtest.lives("onboarding", backtest.write("calls.jsonl", calls), "--to", "2025-02-01")
    ended = {life["person"]: [(run["entered"][:10], len(run["messages"])) for run in life["runs"]] for life in lives}
    assert ended == {"ada": [("2025-01-06", 1)], "bo": [("2025-01-09", 2)], "carla": [("2025-01-07", 1)]}


def test_what_people_and_events_are_called_acts_neither_on_the_terminal_nor_on_the_page(backtest: Backtest) -> None:
    odd = "[/red]\x1b[2J<b>"
    last_moment = joined(odd, "9999-12-31T23:00:00Z")  # no wait ends after it, so the journey fails there
    calls = [joined("ada", "0001-01-01T00:00:00Z"), pushed(odd, AT) | {"event": odd}, last_moment]
    backtest.write("calls.jsonl", [*calls, pushed("ada", "9999-12-31T23:59:59.999999Z")])
    command = ["sojourn", "backtest", "onboarding", "calls.jsonl", "--journeys", str(ROOT / "journeys"), "--report", "page.html"]
    told = " ".join(run([*command, "--work", "work"], backtest.folder).split())
    assert "0001-01-01 to 9999-12-31, 4 calls of 2 people" in told
    assert "1 life ended with an error, such as [/red]␛[2J<b>'s: OverflowError" in told
    assert "events that no journey knows, 1 in all: [/red]␛[2J<b> (1)" in told
    page = (backtest.folder / "page.html").read_text()
    assert "&lt;b&gt; (1)" in page
    assert "<b>" + " (1)" not in page
    assert "Runs begun a year" in " ".join(page.split())
