"""`sojourn new`: a journey to begin with, its words and its tests."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from commands.screen import Screen
from studio.scaffolding import plan, write

console = Screen()


def new(
    name: Annotated[str, typer.Argument(help="What the journey is called, in snake_case.")],
    journeys: Annotated[Path, typer.Option(help="The folder of journeys; made if it is not there.")] = Path("journeys"),
    tests: Annotated[Path, typer.Option(help="The folder of their tests, beside it.")] = Path("tests"),
) -> None:
    """Write a journey to begin with: its events, its templates, and tests that pass. Nothing that is there is overwritten."""
    for file in write(plan(name, journeys, tests)):
        console.print(f"  {file}", soft_wrap=True)
    console.print()
    for label, command in (
        ("Look at it: ", ["sojourn", "draw", name, "--journeys", str(journeys)]),
        ("Test it:    ", ["pytest", os.path.relpath(tests)]),
    ):
        console.print(Text.assemble(label, (shlex.join(command), "bold")), soft_wrap=True)
