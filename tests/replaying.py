"""Replay a folder of histories with the code as it is: `python -m tests.replaying FOLDER sandboxed`, or `plain`.

The folder names the modules of the journeys. Prints a line that begins with DIVERGED for each that does not replay, and
exits with 1 if there is any.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import ModuleType

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from connecting import data_converter
from workflows.definition import EVENTS, JOURNEYS, Definition, Event
from workflows.temporal import JourneyWorkflow, runner

MODULES = "modules.txt"
SANDBOXED, PLAIN = "sandboxed", "plain"
DIVERGED = "did not replay: "


async def failures(histories: Sequence[WorkflowHistory], *, sandbox: bool) -> list[str]:
    """Replay them, and say which do not, and why."""
    replayer = Replayer(workflows=[JourneyWorkflow], workflow_runner=runner(sandbox=sandbox), data_converter=data_converter)
    found = []
    async with replayer.workflow_replay_iterator(_each(histories)) as results:
        async for result in results:
            if result.replay_failure is not None:
                found.append(f"{result.history.workflow_id} ({'sandboxed' if sandbox else 'plain'}): {result.replay_failure}")
    return found


async def _each(histories: Sequence[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in histories:
        yield history


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
    histories = [WorkflowHistory.from_json(file.stem, file.read_text()) for file in sorted(folder.glob("*.json"))]
    found = asyncio.run(failures(histories, sandbox=how == SANDBOXED))
    for line in found:
        print(f"{DIVERGED}{line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
