"""`sojourn new` writes a journey that checks, tests and draws as it is, or says in a sentence why it cannot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.pages import environment

EVENTS = "from workflows.definition import Event\n\n\nclass Bought(Event):\n    pass\n"
PATIENCE_SECONDS = 60


def run(*words: str, within: Path, exits: int = 0) -> str:
    """Run a command, and return what it prints."""
    done = subprocess.run(words, cwd=within, env=environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == exits, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["winback", "step_1", "a", "x2_y", "match", "journeys"])
def test_what_it_makes_checks_tests_and_draws_as_it_is(name: str, tmp_path: Path) -> None:
    run("sojourn", "new", name, within=tmp_path)
    assert "nothing to say" in run("sojourn", "check", "--journeys", "journeys", within=tmp_path)
    assert "3 passed" in run("pytest", "-q", "-p", "no:cacheprovider", "tests", within=tmp_path)
    assert "end" in run("sojourn", "draw", name, "--journeys", "journeys", within=tmp_path)


@pytest.mark.parametrize(
    ("journeys", "tests"), [("src/journeys", "tests"), ("journeys", "."), ("a/my flows", "b/c/tests"), ("journeys", "a/tests")]
)
def test_its_tests_find_the_journeys_wherever_both_are(journeys: str, tests: str, tmp_path: Path) -> None:
    told = run("sojourn", "new", "winback", "--journeys", journeys, "--tests", tests, within=tmp_path)
    look, test = (line.partition(": ")[2].strip() for line in told.splitlines()[-2:])
    assert "3 passed" in run("sh", "-c", f"{test} -q -p no:cacheprovider", within=tmp_path)
    assert "winback_done" in run("sh", "-c", look, within=tmp_path)


@pytest.mark.parametrize(
    "name", ["Winback", "win-back", "win back", "", "_x", "1x", "ünique", "a__b", "end_", "../x", "class", "time", "x_v1", "a" * 41]
)
def test_a_name_that_would_not_do_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    assert run("sojourn", "new", name, within=tmp_path, exits=1).startswith("sojourn: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (b"class WinbackDone: ...\n", "events.py has a class WinbackDone already"),
        ('"""café"""\n'.encode("latin-1"), "events.py cannot be read, to add two events to it"),
        (b"class :\n", "events.py cannot be read, to add two events to it"),
    ],
)
def test_events_to_which_nothing_can_be_added_are_left_as_they_are(events: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "events.py").write_bytes(events)
    assert said in run("sojourn", "new", "winback", within=tmp_path, exits=1)
    assert [each.name for each in tmp_path.rglob("*")] == ["journeys", "events.py"]
    assert (tmp_path / "journeys" / "events.py").read_bytes() == events


@pytest.mark.parametrize("head", ["from workflows import definition as d\n", EVENTS])
def test_events_that_are_there_stay_and_two_are_added(head: str, tmp_path: Path) -> None:
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "events.py").write_text(head)
    run("sojourn", "new", "winback", within=tmp_path)
    run("sojourn", "new", "second", within=tmp_path)
    assert (tmp_path / "journeys" / "events.py").read_text().startswith(head)
    assert "6 passed" in run("pytest", "-q", "-p", "no:cacheprovider", "tests", within=tmp_path)


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "journeys").touch()
    assert "journeys cannot be written" in run("sojourn", "new", "winback", within=tmp_path, exits=1)
    said = run("sojourn", "new", "winback", "--journeys", "mine", "--tests", "mine/tests", within=tmp_path, exits=1)
    assert "put the tests beside it" in said
