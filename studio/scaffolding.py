"""What does a new journey begin with? Files that check, test and draw as they are, to be made one's own."""

from __future__ import annotations

import builtins
import re
from collections.abc import Mapping
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from string import Template

SCAFFOLD = Path(__file__).parent / "scaffold"
OTHERS = ("events", "segments", "policy")
EVENTS = '"""What people do in our product."""\n\nfrom workflows.definition import Event\n'


class NoScaffold(Exception):
    """A journey cannot be begun so. Says why, and what to do."""


@dataclass(frozen=True)
class Planned:
    """What is to be written: new files, and what is added at the end of the events."""

    files: Mapping[Path, str]
    events: Path
    added: str


def plan(name: str, journeys: Path, tests: Path) -> Planned:
    """Plan a journey of that name. Raises NoScaffold for a name that is none, and where one of its files is there already."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise NoScaffold(f"{name!r} is no name for a journey: write it in snake_case, such as winback")
    if iskeyword(name) or hasattr(builtins, name) or name in OTHERS:
        whose = "a file of the folder that holds no journey" if name in OTHERS else "a word of Python's own"
        raise NoScaffold(f"{name!r} is no name for a journey: it is {whose}; choose another, such as winback")
    words = {
        "name": name,
        "Name": "".join(part.title() for part in name.split("_")),
        "Title": name.replace("_", " ").capitalize(),
        "journeys": journeys.name,
    }
    templates = journeys / "templates"
    files = {
        journeys / f"{name}.py": _filled("journey.py", words),
        templates / "email" / f"{name}.mjml": _filled("email.mjml", words),
        templates / "email" / f"{name}_nudge.mjml": _filled("nudge.mjml", words),
        templates / "push" / f"{name}_nudge.txt": _filled("nudge.txt", words),
        tests / f"test_{name}.py": _filled("test_journey.py", words),
    }
    for file in files:
        if file.exists():
            raise NoScaffold(f"{file} is there already; choose another name, or go on with that one")
    if not (tests / "conftest.py").exists():
        files[tests / "conftest.py"] = _filled("conftest.py", words)
    return Planned(files, journeys / "events.py", _filled("events.py", words))


def write(planned: Planned) -> list[Path]:
    """Write what is planned. Returns the files that are new, or longer."""
    for file, text in planned.files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    before = planned.events.read_text(encoding="utf-8") if planned.events.exists() else EVENTS
    planned.events.write_text(before.rstrip("\n") + "\n" + planned.added, encoding="utf-8")
    return [*planned.files, planned.events]


def _filled(name: str, words: Mapping[str, str]) -> str:
    return Template((SCAFFOLD / f"{name}.txt").read_text(encoding="utf-8")).substitute(words)
