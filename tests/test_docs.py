"""The documentation is held to what it says: its code runs; its commands, settings, paths and links exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from api.app import create_app
from cli import app
from settings import Settings
from studio import journey_rules, template_rules
from tests.conftest import SERVER
from tests.pages import DOCS, PAGES, README, ROOT, anchors, blocks, run, said, script, write, write_files
from workflows import replay
from workflows.rules import RULES

README_LINES = 100
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    (tmp_path / f"{page.name}.py").write_text(script(page))
    run([sys.executable, f"{page.name}.py"], tmp_path)


@every_page
def test_every_block_of_python_is_run_or_says_why_not(page: Path) -> None:
    odd = [block for block in blocks(page) if block.language == "python" and not re.match(r"$|file: |not run: ", block.note)]
    assert odd == []


@every_page
def test_the_commands_that_a_page_says_to_run_succeed(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.note.startswith("file: "):
            write(block, tmp_path)
        elif block.note == "run":
            run(["sh", "-ec", block.text], tmp_path)


@every_page
def test_every_sojourn_command_and_option_that_is_mentioned_exists(page: Path) -> None:
    commands = every_command()
    for name, rest in re.findall(r"\bsojourn ([a-z]+(?:-[a-z]+)*)([^\n;|&]*)", said(page)):
        assert name in commands, f"sojourn {name}"
        command = commands[name]
        if hasattr(command, "commands"):  # a group: `sojourn keys add`
            word = rest.split()[0] if rest.split() else ""
            assert word.strip("`") in command.commands, f"sojourn {name} {word}"
            command = command.commands[word.strip("`")]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest.partition("#")[0])) <= options, f"sojourn {name}{rest}"


def every_command() -> dict[str, Any]:
    group: Any = get_command(app)
    context = typer.Context(group)
    return {name: group.get_command(context, name) for name in group.list_commands(context)}


@every_page
def test_every_make_target_that_is_mentioned_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"\bmake ([a-z]+)", said(page))) <= targets


@every_page
def test_every_setting_that_is_mentioned_exists(page: Path) -> None:
    known = {SERVER} | {f"SOJOURN_{name.upper()}" for name, each in Settings.model_fields.items() if each.validation_alias is None}
    assert set(re.findall(r"\bSOJOURN_[A-Z_]*[A-Z]\b", page.read_text())) <= known


@every_page
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@every_page
def test_every_endpoint_that_is_mentioned_exists(page: Path) -> None:
    assert mentioned(page) <= operations()


def test_every_endpoint_is_described() -> None:
    assert mentioned(DOCS / "http.md") == operations()


def mentioned(page: Path) -> set[str]:
    return set(re.findall(r"`((?:GET|POST|PUT|DELETE) /(?:v1/[^`?]*|healthz|readyz))`", page.read_text()))


def operations() -> set[str]:
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES


def test_the_picture_in_the_readme_is_what_is_drawn_of_its_journey(tmp_path: Path) -> None:
    (picture,) = [block.text for block in blocks(README) if block.language == "mermaid"]
    journeys = tmp_path / "journeys"
    journeys.mkdir()
    (journeys / "onboarding.py").write_text(next(block.text for block in blocks(README) if block.language == "python"))
    assert run(["sojourn", "draw", "onboarding", "--journeys", "journeys"], tmp_path).strip() == picture.strip()


def test_the_picture_in_the_ten_minutes_is_what_is_drawn_of_their_journey(tmp_path: Path) -> None:
    page = DOCS / "winback.md"
    write_files(page, tmp_path)
    (picture,) = [block.text for block in blocks(page) if block.text.startswith("winback\n├")]
    drawn = run(["sojourn", "draw", "winback", "--journeys", "journeys", "--format", "terminal"], tmp_path)
    assert drawn.strip() == picture.strip()


def test_the_table_of_the_gate_has_its_rules_in_their_order() -> None:
    table = (DOCS / "channels.md").read_text()
    told = re.findall(r"^\| \d+ \| `(\w+)` \| (.+?) \|", table, flags=re.M)
    assert told == [(rule.__name__, rule.__doc__) for rule in RULES]


def test_the_rules_of_replay_are_told_as_they_are_checked() -> None:
    page = (DOCS / "language.md").read_text()
    told = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page.partition("## What a journey may not hold")[2], flags=re.M)
    assert told[: len(replay.RULES)] == [(rule.__name__.replace("_", "-"), rule.__doc__) for rule in replay.RULES]
    assert f"Journeys may import {', '.join(f'`{module}`' for module in replay.ALLOWED)}." in page


def test_the_rules_of_checking_are_told_as_they_are_asked() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", (DOCS / "checking.md").read_text(), flags=re.M)
    rules = (*journey_rules.RULES, *template_rules.RULES)
    assert told == [(rule.__name__.replace("_", "-"), rule.__doc__) for rule in rules]
