"""`sojourn …`: one command for everything a developer or an operator starts by hand."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from commands import addressing, backtesting, beginning, checking, operating, previewing, replaying, seeing, trying
from commands.seeing import Journeys, Json
from loading import BadJourneys, NoJourneys, load
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_WRITE_KEY, Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()

SHIPPED = Path(__file__).parent / "journeys"
DataDir = Annotated[Path, typer.Option(help="Where runs, events and messages are kept.")]
Port = Annotated[int, typer.Option(help="Port of the API and the mailbox.")]
UiPort = Annotated[int, typer.Option(help="Port of the Temporal UI.")]
Ephemeral = Annotated[bool, typer.Option("--ephemeral", help="Keep nothing when it ends.")]
Live = Annotated[bool, typer.Option("--live", help="Deliver through the configured providers, to allowed recipients.")]


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
    from commands.importing import Wish, import_file

    settings = Settings()
    load(journeys or settings.journeys)
    import_file(Wish(file, trigger, yes, report, as_json, actor, reason), settings)


app.command(name="journeys")(seeing.list_journeys)
app.command(name="try")(trying.try_journey)
app.add_typer(operating.keys, name="keys")
app.add_typer(addressing.suppressions, name="suppressions")
app.add_typer(addressing.endpoints, name="endpoints")
for command in (
    beginning.new,
    checking.check,
    seeing.draw,
    seeing.paths,
    previewing.preview,
    seeing.audience,
    backtesting.backtest,
    replaying.record,
    replaying.replay,
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
    from studio.scaffolding import NoScaffold
    from studio.trial import BadTry

    try:
        app()
    except (BadFile, BadTry, NoScaffold, EngineError, NoJourneys, BadJourneys, TypeError) as error:
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


def _log_plainly() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=Console(width=160), show_path=False)]
    )


if __name__ == "__main__":
    main()
