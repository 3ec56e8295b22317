"""`sojourn check`: all that is wrong with journeys and their templates, before they ship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from commands.seeing import Journeys, Json
from settings import Settings
from workflows.check import Finding
from workflows.check import findings as of_source

console = Console()


def check(
    path: Annotated[Path | None, typer.Argument(help="A folder of journeys, or a file in it; else all of --journeys.")] = None,
    journeys: Journeys = None,
    as_json: Json = False,
) -> None:
    """Check journeys and templates: each finding with file, line, why, and what to write instead. Exits with 1 if there is any."""
    found, good = _findings(path, journeys or Settings().journeys)
    if as_json:
        print(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
    elif found:
        _show(found)
    else:
        console.print(good, markup=False, highlight=False)
    if found:
        raise typer.Exit(1)


def _findings(path: Path | None, folder: Path) -> tuple[list[Finding], str]:
    """Return what is wrong, and what is to be said if nothing is. Raises BadParameter for a path that leads nowhere."""
    from studio.check import look  # templates are not read for the commands that do without them

    if path is not None and not path.exists():
        raise typer.BadParameter(f"there is nothing at {path}")
    is_part = path is not None and path.resolve().is_relative_to(folder.resolve())
    if path is not None and path.is_file() and not is_part:
        good = f"{path}: nothing to say of its source. Templates, topics and events are asked of a whole folder."
        return _named(of_source(path)), good
    looked = look(path if path is not None and not is_part else folder, datetime.now(UTC))
    found = looked.findings
    if is_part and path is not None:
        found = [each for each in found if Path(each.file).resolve().is_relative_to(path.resolve())]
        return _named(found), f"{path}: nothing to say."
    return _named(found), f"{_count(looked.journeys, 'journey')}, {_count(looked.templates, 'template')}: nothing to say."


def _named(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings with their files named from here, where they are below."""
    here = Path.cwd()
    places = ((each, Path(each.file).resolve()) for each in found)
    return sorted(replace(each, file=str(at.relative_to(here) if at.is_relative_to(here) else at)) for each, at in places)


def _show(found: Sequence[Finding]) -> None:
    for each in found:
        console.print(Text.assemble((f"{each.file}:{each.line}", "bold"), f"  {each.rule}"), soft_wrap=True)
        console.print(Padding(Text(each.why), (0, 0, 0, 2)))
        console.print(Padding(Text(f"→ {each.fix}", style="green"), (0, 0, 0, 2)))
    files = len({each.file for each in found})
    console.print(f"\n{_count(len(found), 'finding')} in {_count(files, 'file')}.", highlight=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
