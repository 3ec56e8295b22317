"""What a backtest answers: its numbers are those of the lives it tells, another version is beside it, and nothing is done twice."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backtest.lives import EVERYWHERE
from backtest.living import Task, tally_of
from backtest.records import micros
from backtest.running import Workers, live_all, sort_file
from backtest.whole import WORTH_IT
from tests.backtest.conftest import Backtest, joined, known, pushed
from tests.pages import ROOT, environment
from workflows.simulate import START

EXCERPT = ROOT / "demo" / "excerpt.jsonl.gz"
JOURNEYS = ROOT / "journeys"


def messages(lives: list[dict[str, Any]], *, sent: bool) -> Iterator[dict[str, Any]]:
    every = (each for life in lives for run in life["runs"] for each in run["messages"])
    return (each for each in every if (each["status"] == "sent") is sent)


def test_its_numbers_are_those_of_the_lives_it_tells(backtest: Backtest) -> None:
    found = backtest("reengagement", EXCERPT, "--lives", "lives.jsonl", "--report", "report.html")
    lives = [json.loads(line) for line in (backtest.folder / "lives.jsonl").read_text().splitlines()]
    here, runs = found["here"], [run for life in lives for run in life["runs"]]
    assert found["goal"] is None
    assert (here["entered"], here["runs"]) == (len(lives), len(runs))
    assert here["people"] == 105
    assert here["entries_by_day"] == dict(sorted(Counter(run["entered"][:10] for run in runs).items()))
    sent = list(messages(lives, sent=True))
    assert here["messages"] == len(sent) > 20
    assert here["sent_by_channel"] == dict(sorted(Counter(each["channel"] for each in sent).items()))
    by_day = {(day, channel): count for day, by in here["sent_by_day"].items() for channel, count in by.items()}
    assert by_day == Counter((each["at"][:10], each["channel"]) for each in sent)
    withheld = Counter((each["reason"], each["channel"]) for each in messages(lives, sent=False))
    assert {(each["reason"], each["channel"]): each["messages"] for each in here["not_sent"]} == withheld
    assert withheld["no_address", "push"] > 5
    ends = {(each["status"], each["reason"]): each["runs"] for each in here["ends"]}
    assert ends == Counter((run["status"], run["reason"]) for run in runs)
    assert sum(here["messages_a_person_a_week"].values()) <= len(sent)
    page = (backtest.folder / "report.html").read_text()
    assert "What would <em>reengagement</em> have done?" in page
    assert "no_address, push" in page
    assert all(each in page.replace("&#39;", "'") for each in found["cannot_know"])
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_addresses_that_are_told_say_who_can_be_reached_and_without_any_everybody_can(backtest: Backtest) -> None:
    calls = [known("ada", email="ada@example.org"), joined("ada"), joined("bo")]
    file = backtest.write("calls.jsonl", calls)
    assert backtest("onboarding", file, "--to", "2025-01-08")["here"]["sent_by_channel"] == {"email": 1, "in_app": 1}
    everywhere = backtest("onboarding", file, "--to", "2025-01-08", "--reachable", "email")
    assert everywhere["here"]["sent_by_channel"] == {"email": 2}
    assert any("you said so" in each for each in everywhere["cannot_know"])
    nothing_told = backtest("onboarding", backtest.write("others.jsonl", calls[1:]), "--to", "2025-01-08")
    assert nothing_told["here"]["sent_by_channel"] == {"email": 2}
    assert any("no call names an address" in each for each in nothing_told["cannot_know"])


def test_a_journey_that_opens_later_knows_what_was_before_and_lets_nobody_enter_by_it(backtest: Backtest) -> None:
    calls = [joined("ada", "2025-01-06T12:00:00Z"), joined("bo", "2025-01-10T12:00:00Z"), pushed("cy", "2025-01-20T00:00:00Z")]
    file = backtest.write("calls.jsonl", calls)
    lives = backtest.lives("onboarding", file, "--from", "2025-01-07", "--to", "2025-01-12")
    assert [(life["person"], life["runs"][0]["status"]) for life in lives] == [("bo", "open")]


def test_another_version_is_beside_it_person_by_person(backtest: Backtest) -> None:
    other = (JOURNEYS / "reengagement.py").read_text().replace("within=timedelta(days=30)", "within=timedelta(days=20)")
    (backtest.folder / "sooner.py").write_text(other)
    found = backtest("reengagement", EXCERPT, "--against", "sooner.py", "--report", "report.html", "--reachable", "email,push")
    alone = backtest("reengagement", EXCERPT, "--reachable", "email,push")
    assert found["here"] == alone["here"]
    assert found["there"]["name"] == "sooner.py"
    assert found["there"]["runs"] >= found["here"]["runs"]
    compared = found["compared"]
    assert compared["moved"] + compared["otherwise"] > 0
    there = {each["message"]: each["there"] for each in compared["messages"] if each["there"]}
    sent = (each for each in found["there"]["templates"] if each["status"] == "sent")
    assert there == {f"{each['channel']}/{each['template']}": each["messages"] for each in sent}
    assert "sooner.py" in (backtest.folder / "report.html").read_text()


def test_a_version_is_no_different_from_itself(backtest: Backtest) -> None:
    (backtest.folder / "same.py").write_text((JOURNEYS / "onboarding.py").read_text())
    found = backtest("onboarding", EXCERPT, "--against", "same.py")
    compared = found["compared"]
    assert (compared["moved"], compared["otherwise"], compared["here"], compared["there"], compared["examples"]) == (0, 0, 0, 0, [])
    assert compared["alike"] == found["here"]["written_to"]


def test_any_number_of_processes_says_the_same(backtest: Backtest) -> None:
    wide: dict[str, Any] = {"context": {"note": "x" * 4_000}}  # so that it is worth several
    calls: list[dict[str, Any] | str] = []
    for number in range(1_200):
        late = "9999-12-31T23:00:00Z" if number % 100 == 7 else f"2025-01-{1 + number % 28:02d}T12:00:00Z"  # fails the journey
        calls += [joined(f"user-{number}", late, **wide), pushed(f"user-{number}", late, **wide)]
        calls += ["no call"] if number % 3 == 0 else []
    events = backtest.write("calls.jsonl", calls)
    assert events.stat().st_size > WORTH_IT
    alone, together = (backtest("onboarding", events, "--processes", count) for count in ("1", "2"))
    assert together == alone
    assert alone["here"]["broken"][0]["people"] == 12
    assert [each["line"] for each in alone["events"]["refused_such_as"]] == [3 + 7 * number for number in range(20)]


def test_what_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    work, workers = tmp_path / "work", Workers(JOURNEYS, 1)
    aside = sort_file(EXCERPT, work, workers, lambda *how_far: None)
    task = Task("onboarding", None, micros(START), EVERYWHERE, "UTC")

    def interrupting(doing: str, done: float, of: float) -> None:
        if doing == "living" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        live_all(aside, task, work / "here", workers, interrupting)
    tallies = [tally_of(work / "here", part) for part in range(aside.parts)]
    lived = {tally: tally.stat().st_mtime_ns for tally in tallies if tally.is_file()}
    assert 0 < len(lived) < aside.parts
    told: list[float] = []
    again = sort_file(EXCERPT, work, workers, lambda *how_far: None)
    tally = live_all(again, task, work / "here", workers, lambda doing, done, of: told.append(done))
    assert told[0] == len(lived)  # it says from the beginning how far it was
    assert {tally: tally.stat().st_mtime_ns for tally in lived} == lived
    assert tally.to_json() == live_all(aside, task, work / "anew", workers, lambda *how_far: None).to_json()


def test_what_is_broken_off_leaves_neither_a_process_nor_a_thread_behind() -> None:
    def broken_off() -> Iterator[Callable[[], None]]:
        yield partial(time.sleep, 60)
        raise KeyboardInterrupt

    before, workers = set(threading.enumerate()), Workers(JOURNEYS, 1)
    with pytest.raises(KeyboardInterrupt), workers.at_work() as pool:
        list(workers.each(pool, broken_off()))
    assert multiprocessing.active_children() == []
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("journey", "events", "options", "said"),
    [
        ("nothing", str(EXCERPT), [], "there is no journey 'nothing' in"),
        ("[/bold]", str(EXCERPT), [], "there is no journey '[/bold]' in"),
        ("onboarding", "nowhere.jsonl", [], "nowhere.jsonl cannot be read: No such file"),
        ("onboarding", str(EXCERPT), ["--against", "nowhere.py"], "there is no file or folder nowhere.py"),
        ("onboarding", str(EXCERPT), ["--from", "soon"], "neither a day such as 2025-01-31 nor a moment"),
        (
            "onboarding",
            str(EXCERPT),
            ["--from", "2025-03-01", "--to", "2025-02-01"],
            "2025-03-01 is not before --to",
        ),
        ("onboarding", str(EXCERPT), ["--report", "nowhere/report.html"], "there is no folder nowhere; make it first"),
        ("onboarding", str(EXCERPT), ["--lives", "."], "--lives . is a folder; name a file in it"),
        ("onboarding", str(EXCERPT), ["--reachable", "fax"], "there is no channel 'fax'"),
        ("onboarding", str(EXCERPT), ["--against", "odd.py"], "a journey imports 'random'"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(journey: str, events: str, options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import random\n" + (JOURNEYS / "onboarding.py").read_text())
    command = ["sojourn", "backtest", journey, events, "--processes", "1", "--journeys", str(JOURNEYS), *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert said in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
