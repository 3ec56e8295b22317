"""`sojourn …`: one command for everything a developer or an operator starts by hand."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

import addressing
import operating
from loading import BadJourneys, NoJourneys, load
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_WRITE_KEY, Settings
from workflows.definition import current, newest
from workflows.listening import listening
from workflows.segments import SEGMENTS

if TYPE_CHECKING:
    from events.audience import Audience

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()

SHIPPED = Path(__file__).parent / "journeys"
DataDir = Annotated[Path, typer.Option(help="Where runs, events and messages are kept.")]
Port = Annotated[int, typer.Option(help="Port of the API and the mailbox.")]
UiPort = Annotated[int, typer.Option(help="Port of the Temporal UI.")]
Ephemeral = Annotated[bool, typer.Option("--ephemeral", help="Keep nothing when it ends.")]
Journeys = Annotated[Path | None, typer.Option(help="A folder of journeys in place of the shipped one.")]
Live = Annotated[bool, typer.Option("--live", help="Deliver through the configured providers, to allowed recipients.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def dev(
    data_dir: DataDir = Path(".sojourn"),
    port: Port = 8000,
    ui_port: UiPort = 8233,
    ephemeral: Ephemeral = False,
    journeys: Journeys = None,
    live: Live = False,
) -> None:
    """Bring up Temporal, its UI, the API, a worker and the mailbox, until Ctrl-C."""
    from dev import Options  # the process tree is not loaded for the commands that do without it

    _up(Options(None if ephemeral else data_dir, port, ui_port, journeys or Settings().journeys, live), play=False)


@app.command()
def demo(port: Port = 8000, ui_port: UiPort = 8233, leave: Annotated[bool, typer.Option("--leave")] = False) -> None:
    """Bring everything up, play a real stream of events through it, and stay up (or, with --leave, end)."""
    from dev import Options

    _up(Options(None, port, ui_port, SHIPPED), play=True, leave=leave)


@app.command()
def api(host: str = "127.0.0.1", port: Port = 8000) -> None:
    """Serve the HTTP API."""
    import uvicorn

    from api.app import create_app

    _log_plainly()
    settings = Settings()
    load(settings.journeys)
    app = create_app(settings)
    gc.collect()
    gc.freeze()  # the code is here to stay: looking through all of it again holds up calls for a fifth of a second
    uvicorn.run(app, host=host, port=port, log_level="warning")


@app.command()
def worker() -> None:
    """Route events, run journeys and send."""
    from worker import main as work

    _log_plainly()
    asyncio.run(work())


@app.command()
def migrate() -> None:
    """Bring the database to this version's tables."""
    from store.migrate import migrate as bring_up

    bring_up(Settings().database_url)


@app.command(name="import")
def import_calls(
    file: Annotated[str, typer.Argument(help="JSONL or CSV (by its name), gzipped or not; - is what is piped in.")],
    trigger: Annotated[bool, typer.Option("--trigger", help="Let it start journeys, after saying how many runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    report: Annotated[Path | None, typer.Option(help="Where refused lines are told; FILE.refused.jsonl unless set.")] = None,
    journeys: Journeys = None,
    as_json: Json = False,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    actor: operating.Actor = "",
) -> None:
    """Import a file of Segment calls. Interrupted and started again, it goes on where it was."""
    from importing import Wish, import_file

    settings = Settings()
    load(journeys or settings.journeys)
    import_file(Wish(file, trigger, yes, report, as_json, actor, reason), settings)


@app.command(name="journeys")
def list_journeys(journeys: Journeys = None, as_json: Json = False) -> None:
    """List the journeys: what starts them, what they listen to, what ends them."""
    load(journeys or Settings().journeys)
    rows = [
        {
            "name": each.name,
            "version": each.version,
            "trigger": sorted(each.trigger_names),
            "listens_to": sorted(listening(each).events),
            "exits_on": sorted(each.exit_names),
            "goal": each.goal.name if each.goal else None,
        }
        for each in newest()
    ]
    if as_json:
        console.print_json(json.dumps(rows))
        return
    console.print(_table(rows))


@app.command()
def draw(journey: str, journeys: Journeys = None) -> None:
    """Draw a journey, from its source, as Mermaid."""
    from workflows.graph import graph

    load(journeys or Settings().journeys)
    definition = current(journey)
    if definition is None:
        raise typer.BadParameter(f"there is no journey {journey!r}; `sojourn journeys` lists them")
    print(graph(definition).mermaid())


@app.command()
def audience(
    segment: str,
    journeys: Journeys = None,
    as_json: Json = False,
    sample: Annotated[int, typer.Option(min=0, help="How many members to name.")] = 10,
    at: Annotated[str, typer.Option(help="Judge at this moment, ISO 8601 with a zone; now unless given.")] = "",
) -> None:
    """Say how many people are in a segment, and who, judged from the store: before anything ships."""
    load(journeys or Settings().journeys)
    found = asyncio.run(_audience(segment, sample, at))
    if as_json:
        console.print_json(json.dumps(asdict(found)))
        return
    console.print(f"{found.members} of {found.people} people are in [bold]{found.segment}[/bold].", highlight=False)
    table = Table("state", "members")
    for state, count in found.states.items():
        table.add_row(state, str(count))
    console.print(table)
    if found.sample:
        console.print("Among them: " + ", ".join(found.sample), markup=False, highlight=False)


async def _audience(name: str, sample: int, at: str) -> Audience:
    from connecting import open_store
    from events.audience import audience as judge
    from events.calls import moment

    if name not in SEGMENTS:
        known = ", ".join(sorted(SEGMENTS)) or "none"
        raise typer.BadParameter(f"there is no segment {name!r} in the journeys folder; there is {known}")
    if at and moment(at) is None:
        raise typer.BadParameter(f"--at {at!r} is not ISO 8601 with a zone")
    store = open_store(Settings())
    try:
        return await judge(store, SEGMENTS[name], sample=sample, at=moment(at))
    finally:
        await store.close()


app.add_typer(operating.keys, name="keys")
app.add_typer(addressing.suppressions, name="suppressions")
app.add_typer(addressing.endpoints, name="endpoints")
for command in (
    operating.erase,
    operating.explain,
    operating.export,
    operating.audit,
    operating.held,
    operating.resolve,
    operating.stop,
    operating.stops,
):
    app.command()(command)
app.command(name="release")(operating.release_stop)


def main() -> None:
    """Run the command line; an error that a user can mend is one sentence."""
    from engine.errors import EngineError
    from events.files import BadFile

    try:
        app()
    except (BadFile, EngineError, NoJourneys, BadJourneys, TypeError) as error:
        if isinstance(error, TypeError) and ":" not in str(error):
            raise
        Console(stderr=True).print(f"[red]sojourn:[/red] {error}", highlight=False, soft_wrap=True)
        raise SystemExit(1) from None


def _up(options: Any, *, play: bool, leave: bool = False) -> None:
    asyncio.run(_until_ended(options, play=play, leave=leave))


async def _until_ended(options: Any, *, play: bool, leave: bool) -> None:
    """Stay up until Ctrl-C, or until asked to end as a service manager does; then end what was started."""
    me = asyncio.current_task()
    assert me is not None
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, me.cancel)
    try:
        await _stay_up(options, play=play, leave=leave)
    except asyncio.CancelledError:
        console.print("Ended, with every process that was started.")


async def _stay_up(options: Any, *, play: bool, leave: bool) -> None:
    from dev import house

    with console.status("starting") as status:
        async with house(options, lambda words: status.update(words)) as up:
            status.stop()
            if play:
                from demo.show import show

                await show(up, console)
            _where(up, options)
            if not leave:
                console.print("Ctrl-C ends it.")
                await up.watch()


def _where(up: Any, options: Any) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in (
        ("API docs", f"{up.url}/docs"),
        ("Mailbox", f"{up.url}/mailbox"),
        ("Temporal UI", up.ui_url),
        ("Write key", DEVELOPMENT_WRITE_KEY),
        ("Admin key", DEVELOPMENT_ADMIN_KEY),
        ("Data", str(options.data_dir) if options.data_dir else "kept nowhere"),
        ("Logs", str(up.logs)),
    ):
        table.add_row(f"[bold]{name}[/bold]", value)
    console.print(table)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("journey", "version", "trigger", "listens to", "exits on", "goal")
    for row in rows:
        cells = (row["name"], row["version"], row["trigger"], row["listens_to"], row["exits_on"], row["goal"] or "")
        table.add_row(*(", ".join(cell) if isinstance(cell, list) else str(cell) for cell in cells))
    return table


def _log_plainly() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=Console(width=160), show_path=False)]
    )


if __name__ == "__main__":
    main()
