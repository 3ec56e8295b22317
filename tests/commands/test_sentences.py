"""What goes wrong on the command line is told in one sentence that says what to do, and every command is listed by its name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.pages import environment, run

NOWHERE = "postgresql+asyncpg://ada:hidden@127.0.0.1:1/sojourn"
STUMBLES = """'''Stumbles.'''

from workflows.definition import Event, journey
from workflows.journey import Journey


class Stumbled(Event):
    steps: int = 1


@journey()
async def stumbling(j: Journey, stumbled: Stumbled) -> None:
    1 / 0
"""
TO_MEND = "see SOJOURN_DATABASE_URL, and `sojourn migrate` if it is a new one"


def fails(words: str, folder: Path, **settings: str) -> str:
    """Run a command that must fail, and return what it says of that."""
    command = ["sojourn", *words.split()]
    done = subprocess.run(command, cwd=folder, env=environment() | settings, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.strip()


@pytest.mark.parametrize(
    "words", ["held", "keys list", "explain ada", "preview email/welcome --user ada", "backtest onboarding store"]
)
def test_a_store_that_is_not_there_is_told_in_a_sentence(words: str, tmp_path: Path) -> None:
    said = fails(words, tmp_path, SOJOURN_DATABASE_URL="sqlite+aiosqlite:///nowhere/sojourn.db")
    assert said == f"sojourn: the store cannot be used (unable to open database file); {TO_MEND}"


def test_names_are_told_whole_in_a_narrow_terminal(tmp_path: Path) -> None:
    for words in (["journeys"], ["paths", "reengagement"]):
        assert "…" not in run(["sojourn", *words], tmp_path, COLUMNS="40")


def test_a_way_that_ends_in_an_error_is_shown_and_counts_as_a_failure(tmp_path: Path) -> None:
    (tmp_path / "journeys").mkdir()
    (tmp_path / "journeys" / "stumbling.py").write_text(STUMBLES)

    command = ["sojourn", "paths", "stumbling", "--journeys", "journeys"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)

    assert (done.returncode, "ZeroDivisionError" in done.stdout) == (1, True)


def test_a_store_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    said = fails("held", tmp_path, SOJOURN_DATABASE_URL=NOWHERE)
    assert said.startswith("sojourn: the store cannot be used (")
    assert said.endswith(TO_MEND)
    assert "hidden" not in said


def test_a_store_without_tables_is_told_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    said = fails("held", tmp_path, SOJOURN_DATABASE_URL="sqlite+aiosqlite:///empty.db")
    assert said == "sojourn: the store has not the tables of this version (no such table: messages); `sojourn migrate` makes them"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"SOJOURN_DATABASE_URL": "postgresql://ada:hidden@db/sojourn"},
            "SOJOURN_DATABASE_URL: write sqlite+aiosqlite:///FILE or postgresql+asyncpg://user:password@host:port/name",
        ),
        (
            {"SOJOURN_LIVE": "maybe", "SOJOURN_ENVIRONMENT": "prod"},
            "SOJOURN_ENVIRONMENT: Input should be 'development' or 'production'; "
            "SOJOURN_LIVE: Input should be a valid boolean, unable to interpret input",
        ),
        ({"SOJOURN_ZONE": "Mars/Olympus"}, "SOJOURN_ZONE='Mars/Olympus' is not an IANA time zone, such as Europe/Berlin"),
        (
            {"SOJOURN_ENDPOINTS": '{"crm": {"url": "https://crm.example", "secrets": ["x"]}}'},
            "SOJOURN_ENDPOINTS.crm.secrets: each secret of an endpoint is `whsec_` and the base64 of at least 24 random bytes",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_what_it_should_be(settings: Mapping[str, str], said: str, tmp_path: Path) -> None:
    assert fails("held", tmp_path, **settings) == f"sojourn: {said}"


@pytest.mark.parametrize("words", ["draw --out taken", "new winback --journeys taken", "backtest onboarding e.jsonl --work taken"])
def test_a_place_that_cannot_be_written_to_is_named(words: str, tmp_path: Path) -> None:
    for file in ("taken", "e.jsonl"):
        (tmp_path / file).touch()
    said = fails(words, tmp_path)
    assert re.match(r"sojourn: \S*taken\S* cannot be (used|written).*(File exists|Not a directory)", said)


def test_every_command_is_listed_by_its_name(tmp_path: Path) -> None:
    listed = run(["sojourn", "--help"], tmp_path).splitlines()
    names = [line.strip("│ ").split(" ")[0] for line in listed if line.startswith("│ ")]
    assert {"dev", "import", "new", "held", "keys", "suppressions", "endpoints"} <= set(names)
