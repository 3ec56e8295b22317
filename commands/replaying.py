"""Changing journeys while people are in them: replay what was recorded, and record more."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from commands.screen import Screen
from commands.seeing import Journeys, Json
from loading import load
from settings import Settings

if TYPE_CHECKING:
    from studio.gate import Finding, Gate
    from studio.recorded import Recorded
    from studio.recording import Passed
    from studio.sampling import Sample

console = Screen()
said = Screen(stderr=True)

HISTORIES = Path("tests/histories")
Server = Annotated[bool, typer.Option("--server", help="Take runs that are open on the Temporal server of the settings.")]
Each = Annotated[int, typer.Option("--sample", min=1, help="With --server: histories for each step that people stand at.")]
Look = Annotated[int, typer.Option(min=1, help="With --server: runs of each journey's version that are asked where they stand.")]
Only = Annotated[str, typer.Option("--journey", help="Only histories of this journey.")]


def replay(
    histories: Annotated[list[Path] | None, typer.Argument(help="Folders, or files; tests/histories unless given.")] = None,
    journeys: Journeys = None,
    server: Server = False,
    sample: Each = 5,
    look: Look = 200,
    journey: Only = "",
    as_json: Json = False,
) -> None:
    """Replay recorded runs with the code as it is now: may it be shipped to the people who are in its journeys?"""
    from studio.gate import Gate
    from studio.recorded import BadHistory, read_folder

    settings = Settings()
    load(journeys or settings.journeys)
    with _plainly(), _progress() as passed:
        found = None if not server else asyncio.run(_sampled(settings, sample, look, journey, passed))
        folders = histories or ([] if server else [HISTORIES])
        read = [one for folder in folders for one in read_folder(folder) if journey in ("", one.journey)]
        if not read and found is None:
            raise BadHistory(f"there is no history of journey {journey!r} in {', '.join(map(str, folders))}")
        gate = Gate({} if found is None else found.lines)
        every = [*read, *(found.histories if found else ())]
        asyncio.run(
            gate.replay(every, sandbox=settings.sandbox, passed=lambda done: passed("histories replayed", done, len(every)))
        )
    findings = gate.findings()
    if as_json:
        console.print_json(json.dumps(_told(gate, findings, found)))
    else:
        _print(gate, findings, found)
    if findings:
        raise typer.Exit(1)


def record(
    out: Annotated[Path, typer.Option(help="The folder of histories; those in it are replaced.")] = HISTORIES,
    events: Annotated[list[Path] | None, typer.Option(help="Calls to play, JSONL, maybe gzipped; the demo's unless given.")] = None,
    journeys: Journeys = None,
    port: Annotated[int, typer.Option(help="Port of the API while it plays.")] = 8000,
    ui_port: Annotated[int, typer.Option(help="Port of the Temporal UI while it plays.")] = 8233,
    server: Server = False,
    sample: Each = 1,
    look: Look = 200,
    journey: Only = "",
) -> None:
    """Play lives through the journeys, and keep the few runs that do all that any of them did; or keep a server's own."""
    from demo.show import EXCERPT, LIVES, read
    from studio.recording import Recording, record

    settings = Settings()
    folder = journeys or settings.journeys
    load(folder)
    with _plainly(), _progress() as passed:
        if server:
            kept = list(asyncio.run(_sampled(settings, sample, look, journey, passed)).histories)
        else:
            lives = {user: calls for file in events or (EXCERPT, LIVES) for user, calls in read(file).items()}
            kept = asyncio.run(record(Recording(lives, folder, port, ui_port), passed))
    _write([one for one in kept if journey in ("", one.journey)], out)


def _write(kept: list[Recorded], out: Path) -> None:
    from studio.recorded import write

    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("*.json.gz"):
        old.unlink()
    kept.sort(key=lambda one: (one.journey, one.version))
    for number, one in enumerate(kept, 1):
        write(one, out / f"{number:03}-{one.journey}-v{one.version}.json.gz")
    console.print(f"{len(kept)} histories in {out}.")


async def _sampled(settings: Settings, each: int, look: int, journey: str, passed: Passed) -> Sample:
    from connecting import connect
    from studio.sampling import sample

    return await sample(await connect(settings), each=each, look=look, journey=journey, passed=passed)


def _print(gate: Gate, findings: list[Finding], found: Sample | None) -> None:
    for finding in findings:
        console.print(str(finding), style="red", soft_wrap=True)
        console.print(f"  {_people(finding, found)}", soft_wrap=True)
    table = Table("journey", "version", "replayed", *(["open", "looked at"] if found else []))
    for journey, version in sorted({*gate.replayed, *(found.open if found else ())}):
        counts = (found.open.get((journey, version), 0), len(found.lines.get((journey, version), ()))) if found else ()
        table.add_row(journey, *map(str, (version, gate.replayed[journey, version], *counts)))
    console.print(table)
    if gate.untold:
        console.print(f"Of {gate.untold} nobody has said which steps they took: of those, messages and commands were compared.")
    console.print("These histories do not all replay." if findings else "Every history replays.")


def _people(finding: Finding, found: Sample | None) -> str:
    """Say how many have come to the step, and how many stand before it."""
    what = "open runs looked at" if found else "histories"
    whole = f" (of {found.open.get((finding.journey, finding.version), 0)})" if found else ""
    stuck = f"{finding.stuck} of {finding.seen} {what}{whole} have come to that step and would stand still"
    return f"{stuck}; {finding.before} stand before it"


def _told(gate: Gate, findings: list[Finding], found: Sample | None) -> dict[str, object]:
    versions = sorted({*gate.replayed, *(found.open if found else ())})
    return {
        "replays": not findings,
        "findings": [each.told() for each in findings],
        "journeys": [
            {
                "journey": journey,
                "version": version,
                "replayed": gate.replayed[journey, version],
                **({"open": found.open.get((journey, version), 0)} if found else {}),
            }
            for journey, version in versions
        ],
        "untold": gate.untold,
    }


@contextmanager
def _plainly() -> Iterator[None]:
    """Say in one sentence what a user can mend, and nothing of what the SDK says of each failure: that is in the findings."""
    from temporalio.service import RPCError

    from engine.errors import EngineError
    from studio.recorded import BadHistory

    logging.getLogger("temporalio").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", "coroutine '_WorkflowInstanceImpl", RuntimeWarning)  # dropped where a run's beginning fails
    try:
        yield
    except EngineError:
        raise
    except (BadHistory, OSError, ValueError) as error:
        words = str(error)
    except (RPCError, RuntimeError) as error:
        words = f"Temporal at {Settings().temporal_address} does not answer as it should ({error}); see TEMPORAL_ADDRESS"
    else:
        return
    said.print(Text.assemble(("sojourn:", "red"), f" {words}"), soft_wrap=True)
    raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Passed]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=said, transient=True, disable=not said.is_terminal) as progress:
        task = progress.add_task("reading", total=None)

        def passed(doing: str, done: int, of: int) -> None:
            progress.update(task, description=doing, completed=done, total=of)

        yield passed
