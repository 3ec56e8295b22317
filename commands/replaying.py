"""Changing journeys while people are in them: replay what was recorded, and record more."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from commands.seeing import Journeys
from loading import load
from settings import Settings

console = Console()
said = Console(stderr=True)

HISTORIES = Path("tests/histories")


def record(
    out: Annotated[Path, typer.Option(help="The folder of histories; those in it are replaced.")] = HISTORIES,
    events: Annotated[list[Path] | None, typer.Option(help="Calls to play, JSONL, maybe gzipped; the demo's unless given.")] = None,
    journeys: Journeys = None,
    port: Annotated[int, typer.Option(help="Port of the API while it plays.")] = 8000,
    ui_port: Annotated[int, typer.Option(help="Port of the Temporal UI while it plays.")] = 8233,
) -> None:
    """Play lives through the journeys, and keep few histories that do all that any of them did."""
    from demo.show import EXCERPT, LIVES, read
    from studio.recorded import write
    from studio.recording import Recording, record

    folder = journeys or Settings().journeys
    load(folder)
    lives = dict(ChainMap(*map(dict, map(read, events or (EXCERPT, LIVES)))))
    with _progress() as progress:
        task = progress.add_task("starting", total=1)

        def passed(doing: str, done: int, of: int) -> None:
            progress.update(task, description=doing, completed=done, total=of)

        kept = asyncio.run(record(Recording(lives, folder, port, ui_port), passed))
    out.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(kept):
        write(one, out / f"{one.journey}-{number:02}.json.gz")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=said, transient=True)
