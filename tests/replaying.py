"""Replay a folder of histories with the code as it is: `python -m tests.replaying FOLDER sandboxed`, or `plain`.

The folder names the modules of the journeys. Prints a line that begins with DIVERGED for each that does not replay, and
exits with 1 if there is any.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from studio.parting import parting
from studio.recorded import Recorded, read
from studio.replaying import replay
from workflows.definition import EVENTS, JOURNEYS, Definition, Event

MODULES = "modules.txt"
SANDBOXED, PLAIN = "sandboxed", "plain"
DIVERGED = "did not replay: "


async def failures(histories: Sequence[Recorded], *, sandbox: bool) -> list[str]:
    """Replay them, and say which do not, and why."""
    how = SANDBOXED if sandbox else PLAIN
    parted = [(one, parting(one, now)) async for one, now in replay(histories, sandbox=sandbox)]
    return [f"{one.name} ({how}): {part}" for one, part in parted if part is not None]


def register(module: ModuleType) -> None:
    """Put a module's journeys and events where workers look for them, those too that it keeps to itself."""
    for each in vars(module).values():
        if isinstance(each, Definition):
            JOURNEYS[each.name, each.version] = each
            EVENTS.update((event.name, event) for event in each.triggers)
        elif isinstance(each, type) and issubclass(each, Event) and not each.__module__.startswith("workflows."):
            EVENTS[each.name] = each  # the language's own bases, `Left` and the like, are nobody's events


def main(folder: Path, how: str) -> int:
    for module in (folder / MODULES).read_text().split():
        register(importlib.import_module(module))
    found = asyncio.run(failures([read(file) for file in sorted(folder.glob("*.json"))], sandbox=how == SANDBOXED))
    for line in found:
        print(f"{DIVERGED}{line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
