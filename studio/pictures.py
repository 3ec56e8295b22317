"""Is a journey's picture still the one that is kept in a file?"""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Any

from workflows.definition import Definition
from workflows.graph import graph

FOLDER = "pictures"


def place(definition: Definition[Any], beside: Path) -> Path:
    """Return the file that holds a journey's picture, as Mermaid, beside a test. An older version has one of its own: trial_v1."""
    return beside.parent / FOLDER / f"{definition.function.__name__}.mmd"


def keep(definition: Definition[Any], file: Path) -> None:
    """Write the picture of a journey as it is now. Raises Undrawable."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(graph(definition).mermaid(), encoding="utf-8")


def changes(definition: Definition[Any], file: Path) -> list[str]:
    """Return the difference between the kept picture and what the journey is now, as a unified diff; nothing if there is none.

    Raises FileNotFoundError if no picture is kept, and Undrawable.
    """
    kept, now = file.read_text(encoding="utf-8"), graph(definition).mermaid()
    return list(
        unified_diff(kept.splitlines(), now.splitlines(), f"{file.name}, as kept", f"{file.name}, as it is now", lineterm="")
    )
