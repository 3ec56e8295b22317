"""`sojourn import`: a file of calls into the store, with a bar that shows how far, and a report of what was refused."""

from __future__ import annotations

import asyncio
import getpass
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from commands.screen import Screen
from connecting import open_store
from events.calls import Call, Clock
from events.files import BadFile, digest, opened
from events.forecast import forecast
from events.imports import Tally, progress_of, run
from events.lines import Refusal, read
from events.operators import Operator
from settings import Settings
from store.session import Store

FIRST_SHOWN = 5
STDIN = "-"
BEGINNING = '{"line": '  # of each line of a report


@dataclass(frozen=True)
class Wish:
    """What the command was called with. `file` is '-' for what is piped in."""

    file: str
    trigger: bool = False
    yes: bool = False
    report: Path | None = None
    as_json: bool = False
    actor: str = ""
    reason: str = ""

    @property
    def reports_to(self) -> Path:
        return self.report or Path("stdin.refused.jsonl" if self.file == STDIN else f"{self.file}.refused.jsonl")


def import_file(wish: Wish, settings: Settings) -> None:
    """Import the file. Raises BadFile if it cannot be read at all; a line that is refused ends nothing."""
    with _on_disk(wish.file) as file:
        asyncio.run(_import(wish, file, settings))


@contextmanager
def _on_disk(file: str) -> Iterator[Path]:
    """Return the file; what is piped in is put aside first, so that it can be known again and read twice."""
    if file != STDIN:
        if not Path(file).is_file():
            raise BadFile(f"there is no file {file}")
        yield Path(file)
        return
    with tempfile.NamedTemporaryFile(prefix="sojourn-import-") as aside:
        shutil.copyfileobj(sys.stdin.buffer, aside)
        aside.flush()
        yield Path(aside.name)


async def _import(wish: Wish, file: Path, settings: Settings) -> None:
    store, talk = open_store(settings), Screen(stderr=True, soft_wrap=True)
    try:
        fingerprint = await asyncio.to_thread(digest, file)
        tally = await progress_of(store, fingerprint)
        before = tally.lines
        if tally.finished:
            talk.print("This very file has been imported already: there is nothing to do.")
        elif not wish.trigger or await _is_wanted(wish, file, fingerprint, tally, store, talk):
            if before:
                talk.print(f"Going on after line {before:,}, where it was interrupted.")
            await _with_a_bar(wish, file, fingerprint, tally, store, talk)
    finally:
        await store.close()
    _sum_up(wish, tally, talk)


async def _is_wanted(wish: Wish, file: Path, fingerprint: str, tally: Tally, store: Store, talk: Console) -> bool:
    """Say how many runs would start, and ask."""
    clock = Clock.real()
    with closing(opened(file, name=wish.file)) as source:
        lines = (read(line, fingerprint, clock) for line in source.lines if line.number > tally.lines)
        would_start = await forecast(store, (call for call in lines if isinstance(call, Call)), datetime.now(UTC))
    for journey, count in would_start.items():
        talk.print(f"{count:,} runs of {journey} would start.")
    if not would_start:
        talk.print("No run would start.")
    if wish.yes:
        return True
    if not sys.stdin.isatty():
        raise BadFile("--trigger starts runs, and nobody is here to ask: say --yes too")
    return typer.confirm("Import, and start them?", err=True)


async def _with_a_bar(wish: Wish, file: Path, fingerprint: str, tally: Tally, store: Store, talk: Console) -> None:
    _begin(wish.reports_to, tally.lines)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    with (
        closing(opened(file, name=wish.file)) as source,
        Progress(*columns, console=talk, disable=wish.as_json) as progress,
    ):
        task = progress.add_task("", total=source.size)
        meter = _Meter(progress, task, datetime.now(UTC), tally.lines)
        await run(
            store,
            source,
            fingerprint,
            wish.file,
            tally,
            Operator(wish.actor or getpass.getuser(), wish.reason, "command line", datetime.now(UTC)),
            starts=wish.trigger,
            report=partial(_tell, wish.reports_to),
            watch=lambda so_far: meter.show(so_far, source.position),
        )


@dataclass(frozen=True)
class _Meter:
    """Shows how far an import is, and how fast."""

    progress: Progress
    task: TaskID
    since: datetime
    before: int

    def show(self, tally: Tally, position: int) -> None:
        rate = (tally.lines - self.before) / max((datetime.now(UTC) - self.since).total_seconds(), 0.001)
        said = f"{tally.lines:,} lines, {tally.refused:,} refused, {rate:,.0f} a second"
        self.progress.update(self.task, completed=position, description=said)


def _begin(report: Path, after: int) -> None:
    """Leave in the report only what an interrupted import told of lines up to there, or no file if it told nothing.

    Raises BadFile for a file that is no report: it is somebody else's.
    """
    kept = [each for each in _refusals(report) if each.line <= after]
    report.unlink(missing_ok=True)
    if kept:
        _tell(report, kept)


def _tell(report: Path, refused: Sequence[Refusal]) -> None:
    if refused:
        with report.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(each)) + "\n" for each in refused)


def _refusals(report: Path) -> list[Refusal]:
    """Read a report, but for a last line that was cut off. Raises BadFile for what is none."""
    lines = report.read_text(encoding="utf-8", errors="replace").splitlines() if report.exists() else []
    read = [_refusal(line) for line in lines]
    whole = read[:-1] if read and read[-1] is None and _is_cut_off(lines[-1]) else read
    if None in whole:
        raise BadFile(f"{report} is no report of refused lines: name another file with --report")
    return [each for each in whole if each]


def _refusal(line: str) -> Refusal | None:
    try:
        return Refusal(**json.loads(line))
    except (TypeError, ValueError):
        return None


def _is_cut_off(line: str) -> bool:
    return line.startswith(BEGINNING[: len(line)])


def _sum_up(wish: Wish, tally: Tally, talk: Console) -> None:
    refused = str(wish.reports_to) if tally.refused else None
    if wish.as_json:
        print(json.dumps({**asdict(tally), "report": refused}))
        return
    talk.print(
        f"{tally.accepted:,} accepted, {tally.known:,} known already, {tally.refused:,} refused of {tally.lines:,} lines; "
        f"{tally.unknown:,} are events that no journey knows.",
    )
    if refused:
        for each in _refusals(wish.reports_to)[:FIRST_SHOWN]:
            talk.print(f"  line {each.line}: {each.reason}")
        talk.print(f"All refused lines are in {refused}.")
