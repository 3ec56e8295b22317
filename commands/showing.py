"""An explanation as an operator reads it in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from events.explanation import Explanation, JourneyTold, RunTold, Would

INDENT = 2


def show(found: Explanation, console: Console) -> None:
    """Print it: the answer first, then each journey with its runs, messages and triggers."""
    console.print(Text.assemble((found.said, "bold")))
    for journey in found.journeys:
        console.print()
        _journey(journey, console)


def _journey(journey: JourneyTold, console: Console) -> None:
    console.print(Text.assemble((journey.journey, "bold cyan"), f"  starts on {', '.join(journey.starts_on) or 'nothing'}"))
    for run in journey.runs:
        _run(run, console)
    if not journey.runs:
        _line(journey.said, console)
    begun = {run.run_id for run in journey.runs}
    for trigger in journey.triggers:
        if trigger.run_id not in begun and trigger.said not in journey.said:
            _line(trigger.said, console)
    if not journey.may_enter and not journey.runs:
        _line("It would not start if its trigger came now.", console)


def _run(run: RunTold, console: Console) -> None:
    _line(run.said, console)
    _line(run.ui_url, console, "dim", deeper=1)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for message in run.messages:
        facts = ", ".join(f"{name}: {fact}" for name, fact in message.saw.items())
        said = Text.assemble(message.said, (f"\n{facts}" if facts else "", "dim"))
        table.add_row(Text(f"{message.channel}/{message.template}", style="green"), said)
    if run.messages:
        console.print(Padding(table, (0, 0, 0, 2 * INDENT)))
    if run.absent:
        _line(run.absent, console, deeper=1)
    if run.would is not None:
        _would(run.would, console)


def _would(would: Would, console: Console) -> None:
    _line(f"Now: {would.said}", console, "bold", deeper=1)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for rule in would.rules:
        table.add_row("no" if rule.refuses else "ok", rule.rule, Text(rule.said))
    console.print(Padding(table, (0, 0, 0, 3 * INDENT)))


def _line(words: str, console: Console, style: str = "", deeper: int = 0) -> None:
    console.print(Padding(Text(words, style=style, overflow="fold"), (0, 0, 0, INDENT * (1 + deeper))))
