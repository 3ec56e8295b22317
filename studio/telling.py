"""The paths through a journey, as a reader in a terminal wants them, and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from studio.paths import ROUNDS, Answer, Explored, Path
from workflows.clock import in_words


def show(found: Explored, console: Console) -> None:
    """Print the paths, each with its answers, its messages, and the longest it may take."""
    table = Table("", title_justify="left", show_lines=True)
    for heading in ("path", "messages", "at the longest"):
        table.add_column(heading, overflow="fold")
    for number, path in enumerate(found.paths, 1):
        longest = Text.assemble(in_words(path.longest), (f"\n{path.end}" if path.end != "end" else "", "dim"))
        table.add_row(str(number), _answers(path), "\n".join(path.messages) or Text("none", style="dim"), longest)
    if found.paths:
        console.print(table)
    for line in remarks(found):
        console.print(line, style="dim")


def remarks(found: Explored) -> list[str]:
    """Say what holds for all the paths, and what is not among them."""
    said = [] if found.paths else ["No path comes to an end."]
    said += [f"At any time: an exit on {', '.join(found.exits)}."] if found.exits else []
    if waiting := max((path.waiting for path in found.paths), default=None):
        said.append(
            f"Messages that have to wait for quiet hours to end, or for room under a cap, may add up to {in_words(waiting)}."
        )
    if found.loops:
        said.append(f"A loop may be gone through more than the {ROUNDS} times that were tried, and so on.")
    if not found.whole:
        said.append(
            f"There are more paths than these: {found.runs:,} runs were tried, those first that depart least from the usual."
        )
    return [*said, *(f"{note[0].upper()}{note[1:]}." for note in found.notes)]


def jsonable(found: Explored) -> dict[str, Any]:
    """Return the paths as JSON; durations are in seconds."""
    return {
        "journey": found.journey,
        "exits_on": list(found.exits),
        "paths": [_path(path) for path in found.paths],
        "remarks": remarks(found),
    }


def _path(path: Path) -> dict[str, Any]:
    return {
        "answers": [vars(answer) for answer in path.answers],
        "messages": list(path.messages),
        "longest": path.longest.total_seconds(),
        "waiting": path.waiting.total_seconds(),
        "end": path.end,
    }


def _answers(path: Path) -> Text:
    if not path.answers:
        return Text("straight through", style="dim")
    return Text("\n").join(Text.assemble((f"{each.step}: ", "dim"), each.answer, (_times(each), "cyan")) for each in path.answers)


def _times(answer: Answer) -> str:
    if answer.most == 1:
        return ""
    return f"  ×{answer.least}" if answer.least == answer.most else f"  ×{answer.least} to {answer.most}"
