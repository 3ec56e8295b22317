"""The type checker holds a journey to the language."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[2]
CHECKED = Path("tests/typing/journey_api.py")


def errors(place: Path) -> list[str]:
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", str(place)]
    told = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert not told.stderr
    return [line for line in told.stdout.splitlines() if ": error:" in line]


def test_right_journeys_have_their_types_and_wrong_ones_are_refused() -> None:
    assert errors(CHECKED) == []
