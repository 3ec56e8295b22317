"""`python -m engine`: see to it that a Temporal server and its UI can be started, and say where they are."""

import sys
import time

from rich.console import Console
from rich.text import Text

from engine.build import UI, built
from engine.cache import Report
from engine.errors import EngineError
from engine.supply import Official, Running, supply

console = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    """Supply everything with progress on standard error; after one sentence and with status 1 when that fails."""
    started = time.monotonic()
    with console.status("looking for a Temporal server") as status:

        def report(message: str) -> None:
            status.update(message)
            console.print(Text.assemble((f"{time.monotonic() - started:4.0f} s", "dim"), f"  {message}"))

        try:
            where = supplied(report)
        except EngineError as error:
            console.print(Text.assemble(("engine:", "red"), f" {error}"))
            return 1
    console.print(f"Temporal: {where}")
    return 0


def supplied(report: Report) -> str:
    """Find or make the server, and the UI if the server brings none; in words, what will be used."""
    source = supply(report)
    if isinstance(source, Running):
        return f"the server at {source.address} (TEMPORAL_ADDRESS)"
    if isinstance(source, Official):
        return f"{source.executable} and its UI {built(UI, report)}"
    return f"{source.executable} (its own UI inside)"


if __name__ == "__main__":
    sys.exit(main())
