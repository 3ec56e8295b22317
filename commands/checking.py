"""`sojourn check`: all that is wrong with journeys and their templates, before they ship."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from commands.screen import Screen
from commands.seeing import Journeys, Json
from settings import Settings
from workflows.check import Finding
from workflows.check import findings as of_source

console = Screen()


def check(
    path: Annotated[Path | None, typer.Argument(help="A folder of journeys, or a file in it; else all of --journeys.")] = None,
    journeys: Journeys = None,
    as_json: Json = False,
) -> None:
    """Check journeys and templates: each finding with file, line, why, and what to write instead. Exits with 1 if there is any."""
    told = _told(path, journeys or Settings().journeys)
    if as_json:
        print(json.dumps([asdict(each) for each in told.findings], indent=2, ensure_ascii=False))
    elif told.findings:
        _show(told)
    else:
        console.print(f"{told.subject}: nothing to say{told.but}.", soft_wrap=True)
    if told.findings:
        raise typer.Exit(1)


@dataclass(frozen=True)
class Told:
    """What there is to say of what was looked at; `but` is what was not."""

    findings: Sequence[Finding]
    subject: str
    but: str = ""


def _told(path: Path | None, folder: Path) -> Told:
    """Look at what is at the path, or else at the folder. Raises BadParameter for a path that leads nowhere."""
    from studio.check import look  # templates are not read for the commands that do without them

    if path is not None and not path.exists():
        raise typer.BadParameter(f"there is nothing at {path}")
    part = path if path is not None and path.resolve().is_relative_to(folder.resolve()) else None
    if path is not None and path.is_file() and part is None:
        if path.suffix != ".py":
            raise typer.BadParameter(f"{path} is no Python file, and in no folder of journeys; name its folder with --journeys")
        return Told(_named(of_source(path)), str(path), " of its source; the rest is asked of a whole folder of journeys")
    looked = look(path if path is not None and part is None else folder, datetime.now(UTC))
    but = "" if looked.whole else "; the rest is asked once the journeys can be loaded"
    if part is not None and part.resolve() != folder.resolve():
        found = [each for each in looked.findings if Path(each.file).resolve().is_relative_to(part.resolve())]
        return Told(_named(found), str(path), but)
    return Told(_named(looked.findings), f"{_count(looked.journeys, 'journey')}, {_count(looked.templates, 'template')}", but)


def _named(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings with their files named from here, where they are below."""
    here = Path.cwd()
    places = ((each, Path(each.file).resolve()) for each in found)
    return sorted(replace(each, file=str(at.relative_to(here) if at.is_relative_to(here) else at)) for each, at in places)


def _show(told: Told) -> None:
    for each in told.findings:
        console.print(Text.assemble((f"{each.file}:{each.line}", "bold"), f"  {each.rule}"), soft_wrap=True)
        console.print(Padding(Text(each.why), (0, 0, 0, 2)))
        console.print(Padding(Text(f"→ {each.fix}", style="green"), (0, 0, 0, 2)))
    files = len({each.file for each in told.findings})
    console.print(f"\n{_count(len(told.findings), 'finding')} in {_count(files, 'file')}{told.but}.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
