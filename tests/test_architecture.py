"""The house keeps its shape: who imports whom, how long things are, and what is never written."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
ENTRANCES = {"worker", "cli", "dev", "loading", "connecting", "settings"}
FOLDERS = {
    "activities",
    "api",
    "backtest",
    "bench",
    "commands",
    "demo",
    "deploy",
    "engine",
    "events",
    "insight",
    "journeys",
    "store",
    "studio",
    "tests",
    "workflows",
}
OURS = ENTRANCES | FOLDERS

# What each part may import of ours, itself included. What is not listed may import all.
MAY_IMPORT: dict[str, set[str]] = {
    "workflows": {"workflows"},
    "journeys": {
        "journeys",
        "workflows.journey",
        "workflows.definition",
        "workflows.messages",
        "workflows.brand",
        "workflows.clock",
        "workflows.traits",
        "workflows.lifecycle",
        "workflows.message_events",
        "workflows.policy",
        "workflows.segments",
        "workflows.transitions",
    },
    "store": {"store"},
    "settings": {"workflows"},
    "connecting": {"settings", "store", "workflows.wire"},
    "loading": {"workflows"},
    "activities": {"activities", "workflows", "store", "settings"},
    "events": {"events", "workflows", "store", "settings", "activities.rehearsal"},  # to say what the gate would
    "api": {
        "activities.provider_errors",
        "api",
        "connecting",
        "events",
        "journeys",
        "loading",
        "settings",
        "store",
        "studio.svg",
        "workflows",
    },
    "engine": {"engine"},
    "insight": {"insight"},
}

# Longer than they may be, since before the rule: these lists only ever shrink.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
FILE, FUNCTION = 400, 60


@cache
def files() -> list[Path]:
    """Return every Python file that git knows, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        check=True,
    )
    return [place for line in sorted(set(listed.stdout.splitlines())) if (place := HOUSE / line).is_file()]


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def name(file: Path) -> str:
    return str(file.relative_to(HOUSE))


def part(file: Path) -> str:
    return file.relative_to(HOUSE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the dotted name of each module that a file imports."""
    for node in ast.walk(tree(file)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, each.name) for each in names)
            case ast.ImportFrom(module=module, names=names, level=0) if module:
                yield from ((node.lineno, f"{module}.{each.name}") for each in names)
            case ast.ImportFrom():
                yield node.lineno, "a relative import"


def within(module: str, *roots: str) -> bool:
    return any(module == root or module.startswith(f"{root}.") for root in roots)


@pytest.mark.parametrize("importer", MAY_IMPORT)
def test_a_part_imports_only_what_it_may(importer: str) -> None:
    checked = [file for file in files() if part(file) == importer]
    strangers = [
        f"{name(file)}:{line}: {module}"
        for file in checked
        for line, module in imports(file)
        if within(module, *OURS) and not within(module, *MAY_IMPORT[importer])
    ]
    assert checked
    assert not strangers


def test_only_one_file_of_the_workflows_knows_temporal() -> None:
    knowing = {
        name(file) for file in files() if part(file) == "workflows" for _, module in imports(file) if within(module, "temporalio")
    }
    assert knowing == {"workflows/temporal.py"}


def test_journeys_know_nothing_of_the_world() -> None:
    worldly = ("temporalio", "sqlmodel", "sqlalchemy", "httpx", "fastapi", "asyncio", "os", "sys")
    assert not [
        name(file) for file in files() if part(file) == "journeys" for _, module in imports(file) if within(module, *worldly)
    ]


def test_nothing_outside_tests_imports_the_tests() -> None:
    assert not [name(file) for file in files() if part(file) != "tests" for _, module in imports(file) if within(module, "tests")]


def test_every_import_is_absolute() -> None:
    assert not [f"{name(file)}:{line}" for file in files() for line, module in imports(file) if module == "a relative import"]


def test_packages_export_nothing() -> None:
    speaking = [name(file) for file in files() if file.name == "__init__.py" and _code(tree(file))]
    assert not speaking


def _code(module: ast.Module) -> list[ast.stmt]:
    return module.body[1:] if ast.get_docstring(module) else module.body


def test_every_folder_is_a_part_that_is_known() -> None:
    assert {part(file) for file in files()} <= OURS


def test_no_file_grows_beyond_what_can_be_read_at_once() -> None:
    long = {name(file): count for file in files() if (count := len(file.read_text().splitlines())) > FILE}
    assert {file: count for file, count in long.items() if count > LONG_FILES.get(file, 0)} == {}
    assert set(LONG_FILES) == set(long), "take the files that have become short off the list"


def test_no_function_grows_beyond_what_can_be_read_at_once() -> None:
    long = {place: count for file in files() for place, count in _functions(file) if count > FUNCTION}
    assert {place: count for place, count in long.items() if count > LONG_FUNCTIONS.get(place, 0)} == {}
    assert set(LONG_FUNCTIONS) == set(long), "take the functions that have become short off the list"


def _functions(file: Path) -> Iterator[tuple[str, int]]:
    """Yield each function with its length in lines, its decorators and docstring left out."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = node.body[0] if ast.get_docstring(node) else None
            docstring = (documented.end_lineno or 0) - documented.lineno + 1 if documented else 0
            yield f"{name(file)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize("folder", sorted(FOLDERS - {"tests"} | ENTRANCES))
def test_every_module_says_in_its_first_line_what_it_is(folder: str) -> None:
    silent = [
        name(file) for file in files() if part(file) == folder and file.name != "__init__.py" and not ast.get_docstring(tree(file))
    ]
    assert not silent


IGNORED = re.compile(r"#\s*type:\s*ignore(?!\[)")
UNEXPLAINED = re.compile(r"#\s*noqa(?!:)")


def test_what_a_checker_is_told_to_ignore_has_a_name() -> None:
    bare = [
        f"{name(file)}:{number}"
        for file in files()
        if file != Path(__file__)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if IGNORED.search(line) or UNEXPLAINED.search(line)
    ]
    assert not bare
