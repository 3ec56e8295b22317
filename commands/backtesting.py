"""`sojourn backtest`: what would a journey have done with these events? In the terminal, as JSON, and as a page."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from backtest.asked import Asked
from backtest.report import page
from backtest.whole import backtest as run
from commands.screen import Screen
from commands.seeing import Journeys, Json
from events.calls import moment
from settings import Settings
from workflows.messages import CHANNELS

Events = Annotated[
    str, typer.Argument(help="Segment calls: JSONL, or CSV by its name, gzipped or not; or `store`, for the store's own history.")
]
From = Annotated[str, typer.Option("--from", help="From when the journey is open: a day (UTC), or a moment, ISO 8601.")]
To = Annotated[str, typer.Option("--to", help="Up to when, without that day or moment itself; to the last event unless given.")]
Against = Annotated[
    str, typer.Option(help="Another version: a .py file of it, or a folder of journeys; or `sent`, for what was really sent.")
]
Report = Annotated[Path | None, typer.Option(help="Write the report here, as one page of HTML.")]
Lives = Annotated[Path | None, typer.Option(help="Write each person's runs and messages here, one person a line, as JSON.")]
Reachable = Annotated[
    str,
    typer.Option(help="Channels by which to take everybody to be reachable, with commas; `told`: by what events tell alone."),
]
Beside = Annotated[bool, typer.Option("--beside", help="Let the other journeys run beside it, so that the caps count them too.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes at work at once.")]
Work = Annotated[Path | None, typer.Option(help="Where to keep what is done, to go on from there after an interruption.")]
CORES = os.cpu_count() or 1


def backtest(
    journey: str,
    events: Events,
    from_: From = "",
    to: To = "",
    against: Against = "",
    report: Report = None,
    lives: Lives = None,
    reachable: Reachable = "",
    beside: Beside = False,
    processes: Processes = CORES,
    work: Work = None,
    journeys: Journeys = None,
    as_json: Json = False,
) -> None:
    """Say what a journey would have done: who enters when, gets what, or does not and why, and reaches the goal."""
    settings, talk = Settings(), Screen(stderr=True)
    opens, until = _moment("--from", from_), _moment("--to", to)
    if opens and until and opens >= until:
        raise typer.BadParameter(f"--from {from_} is not before --to {to}, so nobody could enter")
    for option, file in (("--report", report), ("--lives", lives)):
        _can_be_written(option, file)
    asked = Asked(
        journey=journey,
        events=events,
        journeys=(journeys or settings.journeys).resolve(),
        opens=opens,
        until=until,
        against=against,
        reachable=_channels(reachable),
        beside=beside,
        processes=processes,
        work=work,
        database=settings.database_url,
        lives=lives,
    )
    try:
        with _bars(talk, shown=not as_json) as watch:
            found = run(asked, settings, watch)
    except KeyboardInterrupt:
        talk.print("Interrupted. The same command goes on from here.")
        raise typer.Exit(130) from None
    if report is not None:
        report.write_text(page(found), encoding="utf-8")
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        show(found, Screen())
    for file in (report, lives):
        if file is not None:
            talk.print(f"Written: {file}")


def _moment(option: str, said: str) -> datetime | None:
    if not said:
        return None
    try:
        return datetime.combine(date.fromisoformat(said), time(), UTC)
    except ValueError:
        pass
    if (at := moment(said)) is None:
        raise typer.BadParameter(f"{option} {said!r} is neither a day such as 2025-01-31 nor a moment with a zone, ISO 8601")
    return at


def _can_be_written(option: str, file: Path | None) -> None:
    """Find out before the work is done, not after."""
    if file is None:
        return
    if file.is_dir():
        raise typer.BadParameter(f"{option} {file} is a folder; name a file in it")
    if not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"{option} {file}: there is no folder {file.parent}; make it first")


def _channels(said: str) -> frozenset[str] | None:
    """Read where everybody is taken to be reachable: None where nothing is said."""
    if not said:
        return None
    names = [] if said == "told" else [name.strip() for name in said.split(",")]
    for name in names:
        if name not in CHANNELS:
            raise typer.BadParameter(f"--reachable: there is no channel {name!r}; there are {', '.join(CHANNELS)}, or `told`")
    return frozenset(names)


@contextmanager
def _bars(talk: Console, *, shown: bool) -> Iterator[Any]:
    """Show how far it is, and how long it will take."""
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=talk, disable=not shown) as progress:
        tasks: dict[str, Any] = {}

        def watch(doing: str, done: float, of: float) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing, total=1.0)
            progress.update(tasks[doing], completed=done / of if of else 1.0)

        yield watch


def show(found: dict[str, Any], console: Console) -> None:
    """Print what a backtest found."""
    here, there, events = found["here"], found["there"], found["events"]
    begin = found["begins"][:10]
    over = f": {begin} to {found['to'][:10]}, {events['calls']:,} calls of {here['people']:,} people"
    console.print(Text.assemble((found["journey"], "bold"), over))
    sides = [here] + ([there] if there else [])
    console.print(_figures(found, sides))
    for title, rows in (
        ("Steps", _steps(here)),
        ("Not sent", _reasons(here["not_sent"])),
        ("Had to wait", _reasons(here["put_off"])),
    ):
        if rows is not None:
            rows.title = title
            console.print(rows)
    if found["compared"]:
        told = found["compared"]
        console.print(
            f"Of the people who got any message, {told['alike']:,} got the same within a minute, {told['moved']:,} the same at "
            f"another time, {told['otherwise']:,} others, {told['here']:,} only here and {told['there']:,} only there.",
        )
    for each in here["broken"]:
        such = f", such as {each['such_as'][0]}'s: {each['error']}"
        lives = "1 life" if each["people"] == 1 else f"{each['people']:,} lives"
        console.print(Text.assemble((f"{lives} ended with an error", "red"), such))
    console.print("What this cannot know", style="bold")
    for each in (*found["cannot_know"], *found["odd"]):
        console.print(f"· {each}")


def _figures(found: dict[str, Any], sides: list[dict[str, Any]]) -> Table:
    table = Table("", *(side["name"] for side in sides))
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [("runs", "runs"), ("people who entered", "entered"), ("messages", "messages"), ("people written to", "written_to")]
    for said, key in rows:
        table.add_row(said, *(f"{side[key]:,}" for side in sides))
    for channel in sorted({channel for side in sides for channel in side["sent_by_channel"]}):
        table.add_row(f"  by {channel}", *(f"{side['sent_by_channel'].get(channel, 0):,}" for side in sides))
    if found["goal"]:
        told = [f"{side['goal']['reached']:,} ({100 * side['goal']['share']:.1f} %)" for side in sides]
        table.add_row(f"reached {found['goal']}", *told)
    return table


def _steps(side: dict[str, Any]) -> Table | None:
    table = Table("step", "runs", "", "how it ended", title_justify="left")
    table.columns[1].justify = table.columns[2].justify = "right"
    for each in side["funnel"]:
        ended = ", ".join(f"{how} {count:,}" for how, count in each["outcomes"].items())
        table.add_row(each["step"], f"{each['runs']:,}", f"{100 * each['share']:.1f} %", ended)
    return table if table.row_count else None


def _reasons(rows: list[dict[str, Any]]) -> Table | None:
    table = Table("reason", "channel", "messages", title_justify="left")
    table.columns[2].justify = "right"
    for each in rows:
        table.add_row(each["reason"], each["channel"], f"{each['messages']:,}")
    return table if table.row_count else None
