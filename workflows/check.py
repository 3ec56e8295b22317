"""Can this journey be replayed, drawn and listened for? Asked at worker start and in CI."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflows.definition import Definition
from workflows.drawing import Undrawable
from workflows.graph import draw
from workflows.listening import Unreadable, listening
from workflows.replay import RULES, imports
from workflows.source import Code, Source, code_of, imported, names_of, parsed
from workflows.wording import Wording


@dataclass(frozen=True, order=True)
class Finding:
    """One thing in a journey's file that will not do."""

    file: str
    line: int
    rule: str
    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}; {self.fix} ({self.rule})"


def findings(subject: Path | str | Definition[Any]) -> list[Finding]:
    """Return all that is wrong with a journey, with a file, or with every Python file in a folder; in order of place.

    Of a journey, its function and the imports it uses are looked at, and what it listens to has to be readable too.
    Raises OSError if there is no such file.
    """
    if isinstance(subject, Definition):
        return _of_journey(subject)
    path = Path(subject)
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [finding for file in files for finding in _of_file(file)]


def _of_file(file: Path) -> list[Finding]:
    try:
        return _of_text(file)
    except (RecursionError, MemoryError):
        return [Finding(str(file), 1, "syntax", "this is nested deeper than Python reads", "write it with fewer levels")]


def _of_text(file: Path) -> list[Finding]:
    try:
        source = parsed(str(file), file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        return [Finding(str(file), error.lineno or 1, "syntax", f"this is not Python: {error.msg}", "correct it")]
    except ValueError as error:  # not UTF-8, or with null bytes
        return [Finding(str(file), 1, "syntax", f"this is not Python: {error}", "save it as UTF-8 text")]
    found = _by_rules(source)
    return sorted(found.union(*(_undrawable(code, {}, found) for code in source.journeys)))


def _of_journey(definition: Definition[Any]) -> list[Finding]:
    code = code_of(definition)
    used = {node.id for node in ast.walk(code.node) if isinstance(node, ast.Name)}
    lines = {*code.lines, *(node.lineno for node in imports(code.source) if used & {name for name, _ in imported(node)})}
    found = {finding for finding in _by_rules(code.source) if finding.line in lines}
    found |= _undrawable(code, names_of(definition), found)
    return sorted(found | _unreadable(definition, found))


def _by_rules(source: Source) -> set[Finding]:
    return {
        Finding(source.file, getattr(node, "lineno", 1), rule.__name__.replace("_", "-"), why, fix)
        for rule in RULES
        for node, why, fix in rule(source)
    }


def _undrawable(code: Code, names: Mapping[str, Any], found: set[Finding]) -> set[Finding]:
    """Say what keeps a journey from being drawn, unless a rule has said so already."""
    try:
        draw(code, Wording(code, names))
    except Undrawable as error:
        told = any(finding.line in error.lines for finding in found)
        return set() if told else {Finding(error.file, error.lines[0], "undrawable", error.why, error.fix)}
    return set()


def _unreadable(definition: Definition[Any], found: set[Finding]) -> set[Finding]:
    """Say what keeps a journey's listening from being read, unless a rule has said so already."""
    try:
        listening(definition)
    except Unreadable as error:
        told = any(finding.line == error.line for finding in found)
        return (
            set() if told else {Finding(error.file, error.line, "unreadable", error.why, "name Event classes and traits plainly")}
        )
    return set()
