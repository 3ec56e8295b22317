"""`sojourn …`: one command for everything a developer or an operator starts by hand."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup
from typer.main import get_command, get_group

from commands.screen import Screen
from commands.sentences import sentence
from loading import load
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_WRITE_KEY, Settings

# What is in a file of its own is loaded when it is asked for: what one command needs takes a second that no other should wait.
COMMANDS = {
    "new": "beginning:new",
    "check": "checking:check",
    "draw": "seeing:draw",
    "paths": "seeing:paths",
    "preview": "previewing:preview",
    "send-test": "sending:send_test",
    "try": "trying:try_journey",
    "backtest": "backtesting:backtest",
    "replay": "replaying:replay",
    "record": "replaying:record",
    "journeys": "seeing:list_journeys",
    "audience": "seeing:audience",
    "explain": "operating:explain",
    "stop": "operating:stop",
    "release": "operating:release_stop",
    "stops": "operating:stops",
    "held": "operating:held",
    "resolve": "operating:resolve",
    "erase": "operating:erase",
    "export": "operating:export",
    "audit": "operating:audit",
    "keys": "operating:keys",
    "suppressions": "addressing:suppressions",
    "endpoints": "addressing:endpoints",
}


class Commands(TyperGroup):
    """The commands that are written here, and those in files of their own."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(f"commands.{module}"), name)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(name=cmd_name)(found)
        return get_command(alone)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Screen()

Journeys = Annotated[Path | None, typer.Option(help="A folder of journeys in place of the shipped one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]

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
    actor: Annotated[str, typer.Option(help="Who; whoever is logged in, unless given.")] = "",
) -> None:
    """Import a file of Segment calls. Interrupted and started again, it goes on where it was."""
    from commands.importing import Wish, import_file

    settings = Settings()
    load(journeys or settings.journeys)
    import_file(Wish(file, trigger, yes, report, as_json, actor, reason), settings)


def main() -> None:
    """Run the command line; an error that a user can mend is one sentence."""
    try:
        app()
    except Exception as error:
        if (said := sentence(error)) is None:
            raise
        Screen(stderr=True).print(Text.assemble(("sojourn:", "red"), f" {said}"), soft_wrap=True)
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
        table.add_row(Text(name, style="bold"), value)
    console.print(table)


def _log_plainly() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=Screen(width=160), show_path=False)]
    )


if __name__ == "__main__":
    main()
