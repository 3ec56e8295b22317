"""`sojourn try`: a journey on one's own address, now and not over weeks, with a banner above each of its messages."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import httpx
import typer
from rich.text import Text
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from commands.previewing import json_object
from commands.screen import Screen
from commands.seeing import Journeys, journey_named
from connecting import connect, open_store
from demo.standing import Runs, Waiting
from dev import House, Options, house
from events.addresses import email_of, phone_of
from loading import load
from settings import DEVELOPMENT_ADMIN_KEY, Settings
from studio.trial import USER, BadTry, Choice, Trial, Tried, event_of
from workflows.clock import in_words, zone
from workflows.definition import Definition, Event
from workflows.traits import Misfit

console = Screen()

BANNER = "This is a try of the journey {journey}, with its waits cut short."


def try_journey(
    journey: str,
    to: Annotated[list[str], typer.Option(help="Your own address: an e-mail address or a number; more than once for both.")],
    event: Annotated[str, typer.Option(help="Properties of what starts it, as JSON; plain ones, unless given.")] = "{}",
    traits: Annotated[str, typer.Option(help="What is known of you, as JSON.")] = "{}",
    timezone: Annotated[str, typer.Option(help="Where you are, as an IANA zone.")] = "",
    locale: Annotated[str, typer.Option(help="Your language.")] = "",
    pause: Annotated[float, typer.Option(min=0, help="Seconds before a wait is cut short, if nobody is there to ask.")] = 2.0,
    live: Annotated[bool, typer.Option("--live", help="Deliver through the configured providers: to you alone.")] = False,
    port: Annotated[int, typer.Option(help="Port of the API and the mailbox.")] = 8000,
    ui_port: Annotated[int, typer.Option(help="Port of the Temporal UI.")] = 8233,
    journeys: Journeys = None,
) -> None:
    """Send yourself a journey: it runs for your address alone, with its waits cut short and a banner in each message."""
    folder = journeys or Settings().journeys
    load(folder)
    definition = journey_named(journey)
    addresses = dict(map(_address, to))
    tried = _tried(definition, addresses, json_object("--event", event), json_object("--traits", traits), timezone, locale)
    os.environ["SOJOURN_BANNER"] = BANNER.format(journey=journey)
    os.environ["SOJOURN_ALLOW_RECIPIENTS"] = json.dumps(list(addresses.values()))
    asyncio.run(_play(Options(None, port, ui_port, folder, live), tried, pause))


def _tried(
    definition: Definition[Any],
    addresses: Mapping[str, str],
    event: Mapping[str, Any],
    traits: Mapping[str, Any],
    timezone: str,
    locale: str,
) -> Tried:
    if timezone and zone(timezone) is None:
        raise typer.BadParameter(f"--timezone {timezone!r} is not an IANA time zone, such as Europe/Berlin")
    context = {name: value for name, value in (("timezone", timezone), ("locale", locale)) if value}
    trigger = event_of(definition, definition.triggers[0].name, event)
    return Tried(definition, trigger, {**traits, **addresses}, context)


def _address(said: str) -> tuple[str, str]:
    """Return the trait that an address is kept as, and the address as it is written to."""
    try:
        return ("email", email_of(said)) if "@" in said else ("phone", phone_of(said))
    except Misfit:
        neither = f"--to {said} is neither an e-mail address nor a phone number with its country code, such as +4915112345678"
        raise typer.BadParameter(neither) from None


async def _play(options: Options, tried: Tried, pause: float) -> None:
    with console.status("starting") as status:
        async with house(options, lambda words: status.update(words)) as up:
            status.stop()
            store, temporal = open_store(up.settings), await connect(up.settings)
            headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
            try:
                async with httpx.AsyncClient(base_url=up.url, headers=headers, timeout=60, trust_env=False) as api:
                    skipper = TimeSkipper(temporal, config=TimeSkippingConfig(enabled=False))
                    await _tell(Trial(api, Runs(store, skipper, USER), tried), up, pause)
            finally:
                await store.close()


async def _tell(trial: Trial, up: House, pause: float) -> None:
    definition, where = trial.tried.definition, str(trial.tried.context.get("timezone", "UTC"))
    console.print(Text.assemble((definition.name, "bold"), f" begins on {trial.tried.trigger.name}"))
    if not up.settings.live:
        console.print(f"Messages stay on this machine: {up.url}/mailbox")
    told = partial(_message, where)
    await trial.play(partial(_asked if sys.stdin.isatty() else _not_asked, trial, where, pause), told)
    console.print("It is over.")
    if sys.stdin.isatty() and not up.settings.live:
        await asyncio.to_thread(input, "The mailbox ends with this; Enter ends it. ")


def _message(where: str, message: Mapping[str, Any]) -> None:
    became = message["status"] + (f": {message['reason']}" if message["reason"] else "")
    at = datetime.fromisoformat(message["at"])
    console.print(f"  {_at(at, where)}  {message['channel']} {message['template']}: {became}")


def _stands(waiting: Waiting, where: str) -> str:
    step = waiting.standing.step or "between two steps"
    if waiting.due is None:
        return f"  {_at(waiting.now, where)}  {step}: paused"
    return f"  {_at(waiting.now, where)}  {step}: until {_at(waiting.due, where)}, {in_words(waiting.due - waiting.now)}"


async def _not_asked(trial: Trial, where: str, pause: float, waiting: Waiting, heard: list[str]) -> Choice:
    """Let time pass, a moment later."""
    console.print(_stands(waiting, where), style="dim")
    if waiting.due is None:
        raise BadTry("the run is paused, and there is nobody here to say what is to happen")
    await asyncio.sleep(pause)
    return Choice()


async def _asked(trial: Trial, where: str, pause: float, waiting: Waiting, heard: list[str]) -> Choice:
    """Ask what is to happen: nothing, so that time passes, or an event, with properties if there are any to tell."""
    console.print(_stands(waiting, where), style="dim")
    while True:
        said = await asyncio.to_thread(input, f"    Enter lets time pass; or what happens ({', '.join(heard)}): ")
        if not said.strip():
            return Choice()
        name, brace, properties = said.partition("{")
        try:
            return Choice(_event(trial, name.strip(), brace + properties))
        except (BadTry, typer.BadParameter) as error:
            console.print(f"    {error}", style="red")


def _event(trial: Trial, name: str, properties: str) -> Event:
    return event_of(trial.tried.definition, name, json_object(name, properties or "{}"), trial.tried.trigger)


def _at(moment: datetime, where: str) -> str:
    return f"{moment.astimezone(zone(where)):%a %d %b %Y %H:%M}"
