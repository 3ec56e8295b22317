"""Whom would one version have treated otherwise than another? Person by person, and added up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backtest.living import lives_of

SHOWN = 10  # people who are named
MINUTE = timedelta(minutes=1)
MINUTES = len("2025-01-06T12:00")

Life = Mapping[str, Any]


@dataclass
class Compared:
    """People by how they fare here and there; messages by channel and template, as how many there are, here and there.

    `alike` got the same messages, each within a minute; `moved` the same ones at other times; `otherwise` others; `here` and
    `there` are who got any on one side only.
    """

    alike: int = 0
    moved: int = 0
    otherwise: int = 0
    here: int = 0
    there: int = 0
    messages: dict[str, list[int]] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        rows = [{"message": name, "here": here, "there": there} for name, (here, there) in sorted(self.messages.items())]
        return {**vars(self), "messages": rows}


def compared(here: Path, there: Path, parts: int) -> Compared:
    """Compare the lives that two folders tell of, part by part."""
    found = Compared()
    for part in range(parts):
        ours, theirs = _lives(lives_of(here, part)), _lives(lives_of(there, part))
        for person in sorted(ours.keys() | theirs.keys()):
            _compare(found, person, _sent(ours.get(person)), _sent(theirs.get(person)))
    return found


def _compare(found: Compared, person: str, ours: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> None:
    for side, sent in enumerate((ours, theirs)):
        for _, name in sent:
            found.messages.setdefault(name, [0, 0])[side] += 1
    if ours == theirs or _within_a_minute(ours, theirs):
        found.alike += bool(ours)
        return
    if not ours or not theirs:
        found.here += bool(ours)
        found.there += bool(theirs)
    elif Counter(name for _, name in ours) == Counter(name for _, name in theirs):
        found.moved += 1
    else:
        found.otherwise += 1
    if len(found.examples) < SHOWN:
        found.examples.append({"person": person, "here": _to_the_minute(ours), "there": _to_the_minute(theirs)})


def _within_a_minute(ours: list[tuple[str, str]], theirs: list[tuple[str, str]]) -> bool:
    """Say whether both got the same messages at about the same moments: a real run takes a little while for each step."""
    by_name = [sorted(sent, key=lambda each: (each[1], each[0])) for sent in (ours, theirs)]
    return len(ours) == len(theirs) and all(
        name == same and abs(datetime.fromisoformat(at) - datetime.fromisoformat(then)) < MINUTE
        for (at, name), (then, same) in zip(*by_name, strict=True)
    )


def _to_the_minute(sent: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(at[:MINUTES], name) for at, name in sent]


def _sent(life: Life | None) -> list[tuple[str, str]]:
    """Return what was sent, in order: when, and what it was."""
    messages = [each for run in life["runs"] for each in run["messages"]] if life else []
    return sorted((each["at"], f"{each['channel']}/{each['template']}") for each in messages if each["status"] == "sent")


def _lives(file: Path) -> dict[str, Life]:
    return {life["person"]: life for life in _read(file)} if file.is_file() else {}


def _read(file: Path) -> Iterable[Life]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
