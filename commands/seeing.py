"""What there is, from the command line: the journeys, their pictures, the people in a segment."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from commands.screen import Screen
from loading import load
from settings import Settings
from studio.paths import explored
from studio.svg import svg
from studio.telling import jsonable, show
from studio.terminal import terminal
from workflows.definition import Definition, current, newest
from workflows.graph import graph
from workflows.listening import listening
from workflows.picture import Graph
from workflows.segments import SEGMENTS

if TYPE_CHECKING:
    from events.audience import Audience

console = Screen()

ENDINGS = {"mermaid": "mmd", "svg": "svg", "terminal": "txt"}

Journeys = Annotated[Path | None, typer.Option(help="A folder of journeys in place of the shipped one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def list_journeys(journeys: Journeys = None, as_json: Json = False) -> None:
    """List the journeys: what starts them, what they listen to, what ends them."""
    load(journeys or Settings().journeys)
    rows = [
        {
            "name": each.name,
            "version": each.version,
            "trigger": sorted(each.trigger_names),
            "listens_to": sorted(listening(each).events),
            "exits_on": sorted(each.exit_names),
            "goal": each.goal.name if each.goal else None,
        }
        for each in newest()
    ]
    if as_json:
        console.print_json(json.dumps(rows))
        return
    console.print(_table(rows))


def draw(
    journey: Annotated[str, typer.Argument(help="All of them, unless given.")] = "",
    form: Annotated[str, typer.Option("--format", help="mermaid, svg or terminal; terminal in one, else mermaid.")] = "",
    out: Annotated[Path | None, typer.Option(help="A folder, to write each picture into as a file of its own.")] = None,
    journeys: Journeys = None,
) -> None:
    """Draw a journey from its source: triggers, exits, goal, waits with both outcomes, splits, loops, and every message."""
    load(journeys or Settings().journeys)
    form = form or ("terminal" if out is None and sys.stdout.isatty() else "mermaid")
    if form not in ENDINGS:
        raise typer.BadParameter(f"--format: there is no {form!r}; there are {', '.join(ENDINGS)}")
    drawn = [(each.name, graph(each)) for each in ([journey_named(journey)] if journey else newest())]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    for name, picture in drawn:
        if out is not None:
            (out / f"{name}.{ENDINGS[form]}").write_text(_picture(form, name, picture), encoding="utf-8")
        elif form == "terminal":
            console.print(terminal(picture, name))
        else:
            print(_picture(form, name, picture))


def paths(journey: str, journeys: Journeys = None, as_json: Json = False) -> None:
    """List every path through a journey, with its messages and how long it may take, by running it with each possible answer."""
    load(journeys or Settings().journeys)
    found = explored(journey_named(journey))
    if as_json:
        print(json.dumps(jsonable(found), ensure_ascii=False))
    else:
        show(found, console)
    raise typer.Exit(int(any(path.fails is not None for path in found.paths)))


def journey_named(name: str) -> Definition[Any]:
    """Return the newest version of a journey that is loaded; a name that is none is told as one."""
    if (definition := current(name)) is None:
        raise typer.BadParameter(f"there is no journey {name!r}; `sojourn journeys` lists them")
    return definition


def _picture(form: str, name: str, picture: Graph) -> str:
    match form:
        case "svg":
            return svg(picture, name)
        case "mermaid":
            return picture.mermaid()
    words = Screen(width=100, color_system=None, record=True, file=StringIO())
    words.print(terminal(picture, name))
    return words.export_text()


def audience(
    segment: str,
    journeys: Journeys = None,
    as_json: Json = False,
    sample: Annotated[int, typer.Option(min=0, help="How many members to name.")] = 10,
    at: Annotated[str, typer.Option(help="Judge at this moment, ISO 8601 with a zone; now unless given.")] = "",
) -> None:
    """Say how many people are in a segment, and who, judged from the store: before anything ships."""
    load(journeys or Settings().journeys)
    found = asyncio.run(_audience(segment, sample, at))
    if as_json:
        console.print_json(json.dumps(asdict(found)))
        return
    console.print(Text.assemble(f"{found.members} of {found.people} people are in ", (found.segment, "bold"), "."))
    table = Table("state", "members")
    for state, count in found.states.items():
        table.add_row(state, str(count))
    console.print(table)
    if found.sample:
        console.print("Among them: " + ", ".join(found.sample))


async def _audience(name: str, sample: int, at: str) -> Audience:
    from connecting import open_store
    from events.audience import audience as judge
    from events.calls import moment

    if name not in SEGMENTS:
        known = ", ".join(sorted(SEGMENTS)) or "none"
        raise typer.BadParameter(f"there is no segment {name!r} in the journeys folder; there is {known}")
    if at and moment(at) is None:
        raise typer.BadParameter(f"--at {at!r} is not ISO 8601 with a zone")
    store = open_store(Settings())
    try:
        return await judge(store, SEGMENTS[name], sample=sample, at=moment(at))
    finally:
        await store.close()


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("journey", "version", "trigger", "listens to", "exits on", "goal"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (row["name"], row["version"], row["trigger"], row["listens_to"], row["exits_on"], row["goal"] or "")
        table.add_row(*(", ".join(cell) if isinstance(cell, list) else str(cell) for cell in cells))
    return table
