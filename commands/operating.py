"""What an operator does from the command line: keys, kill switches, the audit log, erasing and exporting people."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from fastapi.encoders import jsonable_encoder
from rich.table import Table
from sqlmodel import col, select

from commands.screen import Screen
from commands.showing import show
from connecting import connect, open_store
from events.calls import Clock
from events.erase import WAITS, finish
from events.erase import erase as erase_person
from events.explanation import Explanation, NoSuch
from events.export import export as export_person
from events.keys import SCOPES, Refused, Scope, add, listed, revoke, rotate
from events.lookup import Ambiguous, find
from events.operators import Operator
from events.resolve import FATES, Fate, Settled
from events.resolve import resolve as resolve_message
from events.stops import CHOICES, STOPPABLE, Choice, Stoppable, release, throw, waiting, words
from events.stops import NoSuch as NoSuchStop
from events.stops import listed as listed_stops
from loading import load
from settings import Settings
from store.session import Store
from store.tables import Delivery, Operation, Person, Stop

T = TypeVar("T")

keys = typer.Typer(no_args_is_help=True, help="Make, list, rotate and revoke keys of the API.")
console = Screen()

Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
What = Annotated[str, typer.Argument(help="all, journey or channel.")]
Name = Annotated[str, typer.Argument(help="Of the journey or the channel.")]
Chosen = Annotated[str, typer.Option("--choice", help="What becomes of the messages that wait: send, retime or skip.")]
Over = Annotated[float, typer.Option(min=0, help="Seconds over which they are spread, for retime.")]
Actor = Annotated[str, typer.Option(help="Who; whoever is logged in, unless given.")]


@keys.command(name="add")
def add_key(name: str, scope: str, reason: Reason, rate: float | None = None, actor: Actor = "") -> None:
    """Make a key of scope ingest, read, inbox or admin, and print its secret, this once."""
    known: Scope | None = next((each for each in SCOPES if each == scope), None)
    if known is None:
        raise typer.BadParameter(f"scope: {scope!r} is none of {', '.join(SCOPES)}")
    print(run(lambda store: add(store, name, known, operator(actor, reason), rate=rate)))


@keys.command(name="list")
def list_keys() -> None:
    """List every key that there is or was."""
    table = Table("name", "scope", "rate", "created", "expires", "revoked", "last used")
    for each in run(listed):
        moments = (each.created_at, each.expires_at, each.revoked_at, each.last_used_at)
        table.add_row(each.name, each.scope, f"{each.rate or ''}", *(f"{at:%Y-%m-%d %H:%M}" if at else "" for at in moments))
    console.print(table)


@keys.command(name="rotate")
def rotate_key(name: str, reason: Reason, grace_hours: float = 24, actor: Actor = "") -> None:
    """Make a new secret for a key, and print it; the old one stays valid for the grace period."""
    print(run(lambda store: rotate(store, name, operator(actor, reason), grace=timedelta(hours=grace_hours))))


@keys.command(name="revoke")
def revoke_key(name: str, reason: Reason, actor: Actor = "") -> None:
    """Let nobody in by a key any more, within seconds."""
    count = run(lambda store: revoke(store, name, operator(actor, reason)))
    print(f"{count} secret(s) of {name} let nobody in any more.")


def audit(limit: int = 100) -> None:
    """Show what operators did, by which key, and why."""
    table = Table("at", "action", "to", "actor", "reason", "key")
    latest = select(Operation).order_by(col(Operation.id).desc()).limit(limit)

    async def read(store: Store) -> list[Operation]:
        async with store.read() as session:
            return list((await session.exec(latest)).all())

    for each in run(read):
        to = each.subject or each.run_id or (f"person {each.person_id}" if each.person_id else "")
        table.add_row(f"{each.at:%Y-%m-%d %H:%M}", each.action, to, each.actor, each.reason, each.key_name)
    console.print(table)


def held(given_up: Annotated[bool, typer.Option(help="Those that were given up, instead.")] = False, as_json: Json = False) -> None:
    """List the messages of which nobody knows whether they were sent, and that wait for somebody to say."""
    status = "unknown" if given_up else "held"
    wanted = select(Delivery, Person.user_id).join(Person, col(Person.id) == Delivery.person_id).where(Delivery.status == status)

    async def read(store: Store) -> list[tuple[Delivery, str]]:
        async with store.read() as session:
            return list((await session.exec(wanted.order_by(col(Delivery.at)))).all())

    shown = ("key", "channel", "reason", "begun_at", "retry_at")
    found = [{"user_id": user_id, **each.model_dump(include={*shown})} for each, user_id in run(read)]
    if as_json:
        print(json.dumps(jsonable_encoder(found)))
        return
    table = Table("user", "key", "channel", "begun", "waits until", "reason")
    for each in found:
        begun, until = (f"{at:%Y-%m-%d %H:%M}" if (at := each[name]) else "" for name in ("begun_at", "retry_at"))
        table.add_row(each["user_id"], each["key"], each["channel"], begun, until, each["reason"])
    console.print(table)


def resolve(key: str, fate: Annotated[str, typer.Argument(metavar="sent|drop|resend")], reason: Reason, actor: Actor = "") -> None:
    """Say what became of a message in doubt: it was sent, give it up (drop), or send it again through the gate (resend)."""
    known: Fate | None = next((each for each in FATES if each == fate), None)
    if known is None:
        raise typer.BadParameter(f"{fate!r} is none of {', '.join(FATES)}")
    row = run(lambda store: resolve_message(store, key, known, operator(actor, reason), Clock.real()))
    if row is None:
        raise typer.BadParameter(f"there is no message {key!r}")
    if isinstance(row, Settled):
        raise typer.BadParameter(row.why)
    print(f"{row.key} is {row.status}.")


def erase(user: str, reason: Reason, actor: Actor = "") -> None:
    """Delete all that is known of a person, and have a late event recreate nobody."""
    settings = Settings()

    async def forget(store: Store) -> str:
        erasure = await erase_person(store, user, operator(actor, reason))
        if erasure is None:
            raise typer.BadParameter(f"nobody is known as {user!r}")
        try:
            done = await finish(store, await connect(settings), erasure)
        except WAITS:
            done = False
        return "" if done else " The workers go on until Temporal has none of their histories left."

    print(f"Every row is deleted.{run(forget)}")


def export(user: str, reason: Reason, actor: Actor = "") -> None:
    """Print all that is known of a person, as JSON."""
    known = run(lambda store: export_person(store, user, operator(actor, reason)))
    if known is None:
        raise typer.BadParameter(f"nobody is known as {user!r}")
    print(json.dumps(jsonable_encoder(known), indent=2, ensure_ascii=False))


def explain(
    user: Annotated[str, typer.Argument(help="Any name of the person's.")],
    journey: Annotated[str, typer.Argument(help="One journey; all unless given.")] = "",
    message: Annotated[str, typer.Argument(help="One message: its template, channel/template, step or key.")] = "",
    journeys: Annotated[Path | None, typer.Option(help="A folder of journeys in place of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Say why somebody got a message, or did not: which rule said no, and the facts it saw."""
    from events.explain import Question  # what reads journeys' sources is not loaded for the commands that do without it
    from events.explain import explain as answer

    settings = Settings()
    load(journeys or settings.journeys)

    async def ask(store: Store) -> Explanation:
        async with store.read() as session:
            person = await find(session, user)
        if person is None:
            raise typer.BadParameter(f"nobody is known as {user!r}")
        return await answer(store, settings, await connect(settings, lazy=True), Question(person, journey, message))

    try:
        found = run(ask)
    except NoSuch as what:
        raise typer.BadParameter(str(what)) from None
    if as_json:
        print(json.dumps(jsonable_encoder(found), indent=2, ensure_ascii=False))
        return
    show(found, console)


def stop(what: What, reason: Reason, name: Name = "", actor: Actor = "") -> None:
    """Stop everything, a journey or a channel: no message begins until `sojourn release`."""
    load(Settings().journeys)
    by = operator(actor, reason)
    run(lambda store: throw(store, _scope(what, name), name, by))
    print(f"Stopped: {f'{what} {name}'.strip()}. What becomes due waits for `sojourn release`, as long as it lives.")


def release_stop(what: What, choice: Chosen, reason: Reason, name: Name = "", over: Over = 0, actor: Actor = "") -> None:
    """Let what was stopped go on, and say what becomes of the messages that wait."""
    chosen: Choice | None = next((each for each in CHOICES if each == choice), None)
    if chosen is None:
        raise typer.BadParameter(f"--choice: {choice!r} is none of {', '.join(CHOICES)}")
    by = operator(actor, reason)

    async def let_go(store: Store) -> int:
        found = await release(store, _scope(what, name), name, chosen, by, Clock.real(), timedelta(seconds=over))
        return await waiting(store, found)

    left = run(let_go)
    print(f"Released: {f'{what} {name}'.strip()}." + (f" The workers go on with {left} messages that wait." if left else ""))


def stops(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False) -> None:
    """List the kill switches: what is stopped now, what was, who did it, and why."""
    found = run(listed_stops)
    if as_json:
        rows = [{**each.model_dump(exclude={"id"}), "waiting": count} for each, count in found]
        console.print_json(json.dumps(jsonable_encoder(rows)))
        return
    table = Table("stopped", "at", "by", "reason", "waiting", "released")
    for each, count in found:
        table.add_row(words(each), f"{each.at:%Y-%m-%d %H:%M}", each.actor, each.reason, str(count), _released(each))
    console.print(table)


def _released(stop: Stop) -> str:
    return f"{stop.released_at:%Y-%m-%d %H:%M} by {stop.released_by}: {stop.choice}" if stop.released_at else ""


def _scope(what: str, name: str) -> Stoppable:
    """Return what is meant. Raises BadParameter for a name too many, or one too few."""
    scope: Stoppable | None = next((each for each in STOPPABLE if each == what), None)
    if scope is None or (scope == "all") != (name == ""):
        raise typer.BadParameter("say all, journey NAME or channel NAME")
    return scope


def operator(actor: str, reason: str) -> Operator:
    if not reason.strip():
        raise typer.BadParameter("--reason: say why; it is recorded")
    return Operator(actor or getpass.getuser(), reason, "command line", datetime.now(UTC))


def run(work: Callable[[Store], Awaitable[T]]) -> T:
    async def reach() -> T:
        settings = Settings()
        store = open_store(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(reach())
    except (Refused, Ambiguous, NoSuchStop) as why:
        raise typer.BadParameter(str(why)) from None
