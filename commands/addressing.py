"""Where nothing may go, from the command line: suppressed addresses, and endpoints that are disabled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from fastapi.encoders import jsonable_encoder
from rich.table import Table

from commands.operating import Actor, Json, Reason, console, operator, run
from events.endpoints import NoEndpoint, enable, listed
from events.suppress import ALL, lift, suppress, suppression, whole
from settings import Settings

CHANNELS = (ALL, "email", "sms", "push", "in_app")

suppressions = typer.Typer(no_args_is_help=True, help="Look whether an address is suppressed, suppress it, let it go.")
endpoints = typer.Typer(no_args_is_help=True, help="List the endpoints of webhooks, and enable one again.")

Channel = Annotated[str, typer.Argument(help="email, sms, push, in_app, or '*' for all of a person's.")]
Address = Annotated[str, typer.Argument(help="An e-mail address for email, a number for sms, a userId for the others.")]


@suppressions.command(name="show")
def show_suppression(channel: Channel, address: Address, as_json: Json = False) -> None:
    """Say since when and why nothing goes to an address on a channel; the exit code is 1 if it may."""
    found = run(lambda store: suppression(store, _known(channel), _whole(address)))
    if as_json:
        print(json.dumps(jsonable_encoder(found)))
    else:
        print(_said(channel, found))
    if found is None:
        raise typer.Exit(1)


@suppressions.command(name="add")
def add_suppression(channel: Channel, address: Address, reason: Reason, cause: str = "manual", actor: Actor = "") -> None:
    """Let nothing go to an address on a channel from here on, whoever uses it. The first cause is kept."""
    now, by = datetime.now(UTC), operator(actor, reason)
    new = run(lambda store: suppress(store, _known(channel), _whole(address), cause, "operator", now, by))
    print(f"Nothing goes there on {_named(channel)} any more." if new else f"It was suppressed on {_named(channel)} before.")


@suppressions.command(name="lift")
def lift_suppression(channel: Channel, address: Address, reason: Reason, actor: Actor = "") -> None:
    """Let messages go to an address again. That its owner said no to topics is not touched by it."""
    was = run(lambda store: lift(store, _known(channel), _whole(address), operator(actor, reason)))
    print(f"Messages may go there on {_named(channel)} again." if was else f"It was not suppressed on {_named(channel)}.")


@endpoints.command(name="list")
def list_endpoints(as_json: Json = False) -> None:
    """List the endpoints that are configured: which answered 410, and so are disabled."""
    found = run(lambda store: listed(store, Settings()))
    if as_json:
        print(json.dumps(jsonable_encoder(found)))
        return
    table = Table("name", "host", "disabled", "reason")
    for each in found:
        table.add_row(each.name, each.host, f"{each.disabled_at:%Y-%m-%d %H:%M}" if each.disabled_at else "", each.reason)
    console.print(table)


@endpoints.command(name="enable")
def enable_endpoint(name: str, reason: Reason, actor: Actor = "") -> None:
    """Let webhooks go to an endpoint again. What failed meanwhile stays so."""
    try:
        found = run(lambda store: enable(store, Settings(), name, operator(actor, reason)))
    except NoEndpoint as why:
        raise typer.BadParameter(str(why)) from None
    print(f"Webhooks go to {found.name} ({found.host}) again.")


def _known(channel: str) -> str:
    if channel not in CHANNELS:
        raise typer.BadParameter(f"channel: {channel!r} is none of {', '.join(CHANNELS)}")
    return channel


def _whole(address: str) -> str:
    if not (kept := whole(address)):
        raise typer.BadParameter("address: an e-mail address, a number or a userId is needed")
    return kept


def _named(channel: str) -> str:
    return "any channel" if channel == ALL else channel


def _said(channel: str, found: Mapping[str, Any] | None) -> str:
    if found is None:
        return f"It is not suppressed on {_named(channel)}."
    return f"Suppressed on {_named(channel)} since {found['at']:%Y-%m-%d %H:%M}: {found['cause']} ({found['source']})."
