"""What does a new journey begin with? Files that check, test and draw as they are, to be made one's own."""

from __future__ import annotations

import ast
import builtins
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from string import Template

from workflows.definition import wire_name

SCAFFOLD = Path(__file__).parent / "scaffold"
EVENTS = '"""What people do in our product."""\n\nfrom workflows.definition import Event\n'
LONGEST = 40  # characters of a name
TAKEN = ("events", "segments", "policy", "time", "timedelta", "datetime", "journey", "after", "simulate")  # as what is imported


class NoScaffold(Exception):
    """A journey cannot be begun so. Says why, and what to do."""


@dataclass(frozen=True)
class Planned:
    """What is to be written: new files, and the events, with two more at their end."""

    files: Mapping[Path, str]
    events: Path
    text: str


def plan(name: str, journeys: Path, tests: Path) -> Planned:
    """Plan a journey of that name. Raises NoScaffold for a name that is none, and where it would be in something's way."""
    begun, done = (f"{''.join(part.title() for part in name.split('_'))}{end}" for end in ("Begun", "Done"))
    _refuse_name(name)
    if tests.resolve().is_relative_to(journeys.resolve()):
        raise NoScaffold(f"{tests} is in the folder of journeys, where every file is one of theirs; put the tests beside it")
    words = {
        "name": name,
        "Begun": begun,
        "Done": done,
        "begun": wire_name(begun),
        "done": wire_name(done),
        "Title": name.replace("_", " ").capitalize(),
        "journeys": Path(os.path.relpath(journeys, tests)).as_posix(),
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
    events = journeys / "events.py"
    return Planned(files, events, _longer(events, _filled("events.py", words), (begun, done)))


def write(planned: Planned) -> list[Path]:
    """Write what is planned. Returns the files that are new, or longer. Raises NoScaffold where that is not possible."""
    try:
        for file, text in {**planned.files, planned.events: planned.text}.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NoScaffold(f"{error.filename} cannot be written ({error.strerror}); choose another folder, or mend that") from None
    return [*planned.files, planned.events]


def _refuse_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or len(name) > LONGEST:
        raise NoScaffold(f"{name!r} is no name for a journey: write it in snake_case, such as winback, in {LONGEST} characters")
    if iskeyword(name) or hasattr(builtins, name) or name in TAKEN:
        raise NoScaffold(f"a journey cannot be called {name!r}, which means something else in its files; choose another name")
    if re.search(r"_v\d+$", name):
        raise NoScaffold(f"{name!r} would be a version of a journey; leave the end out, and write versions into its file")


def _longer(events: Path, added: str, classes: tuple[str, ...]) -> str:
    """Return what is in the file of events, with those that are added. Raises NoScaffold if they cannot be."""
    try:
        before = events.read_text(encoding="utf-8") if events.exists() else EVENTS
        tree = ast.parse(before)
    except (OSError, SyntaxError, ValueError) as error:
        raise NoScaffold(f"{events} cannot be read, to add two events to it ({error}); mend it first") from None
    known = {each.name for each in tree.body if isinstance(each, ast.ClassDef)}
    if there := [name for name in classes if name in known]:
        raise NoScaffold(f"{events} has a class {there[0]} already; choose another name, or take that class out")
    imported = {name.asname or name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    missing = "" if "Event" in imported else "\n\nfrom workflows.definition import Event\n"
    return before.rstrip("\n") + "\n" + missing + added


def _filled(name: str, words: Mapping[str, str]) -> str:
    return Template((SCAFFOLD / f"{name}.txt").read_text(encoding="utf-8")).substitute(words)
