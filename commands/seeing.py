"""What there is, from the command line: the journeys, their pictures, the people in a segment."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from loading import load
from settings import Settings
from workflows.definition import current, newest
from workflows.listening import listening
from workflows.segments import SEGMENTS

if TYPE_CHECKING:
    from events.audience import Audience

console = Console()

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


def draw(journey: str, journeys: Journeys = None) -> None:
    """Draw a journey, from its source, as Mermaid."""
    from workflows.graph import graph

    load(journeys or Settings().journeys)
    definition = current(journey)
    if definition is None:
        raise typer.BadParameter(f"there is no journey {journey!r}; `sojourn journeys` lists them")
    print(graph(definition).mermaid())


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
    console.print(f"{found.members} of {found.people} people are in [bold]{found.segment}[/bold].", highlight=False)
    table = Table("state", "members")
    for state, count in found.states.items():
        table.add_row(state, str(count))
    console.print(table)
    if found.sample:
        console.print("Among them: " + ", ".join(found.sample), markup=False, highlight=False)


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
    table = Table("journey", "version", "trigger", "listens to", "exits on", "goal")
    for row in rows:
        cells = (row["name"], row["version"], row["trigger"], row["listens_to"], row["exits_on"], row["goal"] or "")
        table.add_row(*(", ".join(cell) if isinstance(cell, list) else str(cell) for cell in cells))
    return table
