"""`sojourn try`: the whole journey to one's own address, now, by the provider, with a banner in each message."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from temporalio.client import Client

from engine.process import free_ports
from studio.scaffolding import NoScaffold, plan, write
from studio.trial import BadTry, event_of
from tests.pages import environment, run
from tests.production.sink import sink
from tests.studio.test_paths import TourBegun, TourStop, tours_both_ways, tours_by_price


async def tried(folder: Path, *options: str, **settings: str) -> tuple[int | None, list[str]]:
    """Try the journey that `sojourn new` writes, with nobody there to ask; return how it ended, and what it said."""
    with free_ports(2) as (port, ui_port):
        ports = ["--port", str(port), "--ui-port", str(ui_port)]
    command = [sys.executable, "-m", "cli", "try", "winback", "--journeys", str(folder / "journeys"), "--pause", "0"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *ports,
        *options,
        cwd=Path(__file__).parents[2],
        env={**environment(), **settings},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, (out + err).decode().splitlines()


async def test_a_journey_is_sent_to_oneself_with_its_waits_cut_short(temporal: Client, tmp_path: Path) -> None:
    write(plan("winback", tmp_path / "journeys", tmp_path / "tests"))
    async with sink() as taking:
        ended, said = await tried(
            tmp_path,
            *("--to", "me@example.org", "--live", "--timezone", "Europe/Lisbon"),
            SOJOURN_SMTP_URL=f"smtp://{taking.address}",
            SOJOURN_EMAIL_FROM="us@example.org",
        )
    assert ended == 0, said
    steps = [re.sub(r"\w{3} \d\d \w{3} \d{4} ", "", line.strip()) for line in said if line.startswith("  ")]
    assert [step for step in steps if "until" not in step] == [
        "10:00  email winback: sent",
        "10:00  push winback_nudge: suppressed: no_address",
        "10:00  email winback_nudge: sent",
    ]
    assert any("10:00  sleep: until 10:00, 3 days" in step for step in steps)
    subjects = ["[try] Say in five words what it is about", "[try] Still worth a minute"]
    assert taking.mails == [("me@example.org", subject) for subject in subjects]


async def test_what_cannot_be_tried_is_said_before_anything_starts(tmp_path: Path) -> None:
    write(plan("winback", tmp_path / "journeys", tmp_path / "tests"))
    for options, words in (
        (["--to", "me@example.org", "--event", "{"], "--event is not JSON"),
        (["--to", "me"], "--to me is neither an e-mail address nor a phone number with its country code"),
        (["--to", "me@nowhere"], "--to me@nowhere is neither an e-mail address"),
        (["--to", "me@example.org", "--timezone", "Middle/Earth"], "is not an IANA time zone"),
    ):
        ended, said = await tried(tmp_path, *options)
        assert ended != 0
        assert words in " ".join(" ".join(said).replace("│", " ").split())
        assert "Traceback" not in " ".join(said)


def test_an_event_that_is_told_by_name_has_what_is_stated_and_for_the_rest_what_is_plain() -> None:
    assert event_of(tours_by_price, "Tour Stop", {"price": 7}) == TourStop(price=7)
    assert event_of(tours_both_ways, "Tour Begun", {}) == TourBegun(guide="")
    with pytest.raises(BadTry, match="Tour Stop: price: Input should be a valid integer, unable to parse string as an integer"):
        event_of(tours_by_price, "Tour Stop", {"price": "dear"})
    with pytest.raises(BadTry, match="does nothing about an event 'Tour Over'; it hears of Tour Begun, Tour Stop"):
        event_of(tours_by_price, "Tour Over", {})


def test_a_new_journey_checks_tests_and_draws_as_it_is_and_overwrites_nothing(tmp_path: Path) -> None:
    run(["sojourn", "new", "win_back", "--journeys", "mine", "--tests", "proofs"], tmp_path)
    run(["sojourn", "check", "--journeys", "mine"], tmp_path)
    run(["pytest", "-q", "-p", "no:cacheprovider", "proofs"], tmp_path)
    assert "WinBackBegun" in (tmp_path / "mine" / "events.py").read_text()
    before = (tmp_path / "mine" / "win_back.py").read_text()
    with pytest.raises(NoScaffold, match="is there already"):
        plan("win_back", tmp_path / "mine", tmp_path / "proofs")
    run(["sojourn", "new", "another", "--journeys", "mine", "--tests", "proofs"], tmp_path)
    assert (tmp_path / "mine" / "win_back.py").read_text() == before
    run(["pytest", "-q", "-p", "no:cacheprovider", "proofs"], tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        *((name, "is no name for a journey: write it in snake_case") for name in ("Win-back", "", "2nd", "a" * 60)),
        *((name, "which means something else in its files") for name in ("class", "len", "events")),
    ],
)
def test_what_is_no_name_of_a_journey_begins_none(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(NoScaffold, match=why):
        plan(name, tmp_path, tmp_path)
