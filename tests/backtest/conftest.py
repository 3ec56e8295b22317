"""What the tests of the backtest share: the command, and a way to write calls."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT, run

AT = "2025-01-06T12:00:00Z"


class Backtest:
    """The command in a folder of its own, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, str] = {}

    def __call__(self, journey: str, events: str | Path, *options: str) -> dict[str, Any]:
        command = ["sojourn", "backtest", journey, str(events), "--json", "--processes", "1", "--work", "work", *options]
        told: dict[str, Any] = json.loads(run([*command, "--journeys", str(ROOT / "journeys")], self.folder, **self.settings))
        return told

    def lives(self, journey: str, events: str | Path, *options: str) -> list[dict[str, Any]]:
        self(journey, events, "--lives", "lives.jsonl", *options)
        return [json.loads(line) for line in (self.folder / "lives.jsonl").read_text().splitlines()]

    def write(self, name: str, calls: Sequence[dict[str, Any] | str]) -> Path:
        """Write calls into a file: CSV and zipped by its name."""
        file, lines = self.folder / name, [each if isinstance(each, str) else json.dumps(each) for each in calls]
        text = "".join(f"{line}\n" for line in lines).encode()
        file.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return file


@pytest.fixture
def backtest(tmp_path: Path) -> Backtest:
    return Backtest(tmp_path)


def joined(user: str, at: str = AT, **more: Any) -> dict[str, Any]:
    properties = {"project": "flask", "area": "src"}
    return {"type": "track", "userId": user, "event": "Project Joined", "timestamp": at, "properties": properties, **more}


def pushed(user: str, at: str, area: str = "src", **more: Any) -> dict[str, Any]:
    properties = {"project": "flask", "area": area}
    return {"type": "track", "userId": user, "event": "Commit Pushed", "timestamp": at, "properties": properties, **more}


def known(user: str, at: str = AT, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user, "timestamp": at, "traits": traits}
