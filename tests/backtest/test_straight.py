"""A backtest over a real stream says of every person, message and moment what SQL written from the journey's definition says.

The demo's excerpt, unless SOJOURN_TEST_STREAM names another file in its form, such as the whole of the stream it was cut from.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from tests.backtest.straight import Straight, micros
from tests.pages import ROOT, run

STREAM = Path(os.environ.get("SOJOURN_TEST_STREAM", ROOT / "demo" / "excerpt.jsonl.gz")).resolve()


@pytest.fixture(scope="module")
def straight() -> Straight:
    return Straight(STREAM)


@pytest.mark.parametrize("journey", ["onboarding", "activation", "reengagement"])
def test_a_backtest_says_what_a_straight_computation_says(journey: str, straight: Straight, tmp_path: Path) -> None:
    run(["sojourn", "backtest", journey, str(STREAM), "--lives", "lives.jsonl", "--work", "work", "--processes", "1"], tmp_path)
    expected = straight.sent(journey)
    assert len(expected) > 20
    assert sent(tmp_path / "lives.jsonl") == expected


def sent(lives: Path) -> list[tuple[str, int, str]]:
    """Return to whom, when, and what was sent, as the command tells it."""
    told = [json.loads(line) for line in lives.read_text().splitlines()]
    return sorted(
        (life["person"], micros(datetime.fromisoformat(each["at"])), f"{each['channel']} {each['template']}")
        for life in told
        for one in life["runs"]
        for each in one["messages"]
        if each["status"] == "sent"
    )
