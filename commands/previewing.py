"""`sojourn preview`: a message as somebody would read it, in the terminal or the browser."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import webbrowser
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import from_json
from rich.text import Text

from commands.screen import Screen
from commands.seeing import Journeys, Json
from loading import load
from settings import Settings

if TYPE_CHECKING:
    from store.session import Store
    from store.tables import Person
    from studio.preview import Shown, Wish

console = Screen()
ALL = "all"  # languages of a template

Template = Annotated[str, typer.Argument(help="The template, as email/welcome, or welcome if that is only one.")]
AsUser = Annotated[str, typer.Option("--user", help="Who reads it: any name of theirs in the store.")]
Invented = Annotated[
    str, typer.Option("--as", help='Somebody invented in place of --user: \'{"traits": {"name": "Ada"}}\', or a file of that.')
]
Channel = Annotated[str, typer.Option(help="The channel, where a name alone is on several.")]
Data = Annotated[str, typer.Option(help="What the journey gives the message, as JSON.")]
Said = Annotated[str, typer.Option(help="What the event that starts the journey says, as JSON.")]


def preview(
    template: Template,
    user: AsUser = "",
    invented: Invented = "",
    journeys: Journeys = None,
    channel: Channel = "",
    locale: Annotated[
        str, typer.Option(help="Read it in this language in place of theirs, as pt-BR; `all`: in each that there is.")
    ] = "",
    data: Data = "",
    event: Said = "",
    at: Annotated[str, typer.Option(help="Fill it in at this moment, ISO 8601 with a zone; now unless given.")] = "",
    in_browser: Annotated[bool, typer.Option("--open", help="Write an e-mail's HTML to a file, and open that.")] = False,
    as_json: Json = False,
) -> None:
    """Show a message as somebody would read it. Nothing is sent, and its links to unsubscribe and the like lead nowhere."""
    from activities.render import BadTemplate
    from events.calls import moment
    from studio.preview import Unclear, Wish

    if bool(user) == bool(invented):
        raise typer.BadParameter("say for whom: --user NAME of the store, or --as '{\"traits\": {…}}'")
    if at and moment(at) is None:
        raise typer.BadParameter(f"--at {at!r} is not ISO 8601 with a zone")
    settings = Settings()
    folder = journeys or settings.journeys
    load(folder)
    now = moment(at) or datetime.now(UTC)
    wish = Wish(template, now, locale, given_object("--data", data), given_object("--event", event))
    try:
        found = asyncio.run(_preview(settings, folder, user, given_object("--as", written_there(invented)), channel, wish))
    except (Unclear, BadTemplate) as why:
        raise typer.BadParameter(str(why)) from None
    files = [_written(each) for each in found] if in_browser else []
    if as_json:
        told = [_as_json(each) for each in found]
        print(json.dumps(told if locale == ALL else told[0], indent=2, ensure_ascii=False, default=str))
    else:
        for number, each in enumerate(found):
            if number:
                console.rule(style="dim")
            _show(each)
    for file in files:
        console.print(_opened(file), soft_wrap=True)


async def _preview(
    settings: Settings, folder: Path, user: str, invented: Mapping[str, Any] | None, channel: str, wish: Wish
) -> list[Shown]:
    from dataclasses import replace

    from connecting import open_store
    from studio.check import loaded
    from studio.preview import meant, preview, spoken

    shipment = loaded(folder, wish.at)
    wish = replace(wish, template=meant(shipment, wish.template, channel))
    store = open_store(settings)
    try:
        somebody = await person(store, user, invented, wish.at)
        languages = spoken(shipment, wish.template, settings.locale) if wish.locale == ALL else [wish.locale]
        return [await preview(store, settings, shipment, somebody, replace(wish, locale=each)) for each in languages]
    finally:
        await store.close()


async def person(store: Store, user: str, invented: Mapping[str, Any] | None, at: datetime) -> Person:
    """Return somebody of the store, or who is invented in their place. Raises BadParameter for who is neither."""
    return await _of_store(store, user) if invented is None else _somebody(invented, at)


async def _of_store(store: Store, name: str) -> Person:
    from events.lookup import Ambiguous, find

    try:
        async with store.read() as session:
            person = await find(session, name)
    except Ambiguous as why:
        raise typer.BadParameter(str(why)) from None
    if person is None:
        raise typer.BadParameter(f"nobody is known as {name!r}; invent somebody with --as '{{\"traits\": {{…}}}}'")
    return person


def _somebody(said: Mapping[str, Any], at: datetime) -> Person:
    """Return who an identify call of that kind would make known. Raises BadParameter for what it would refuse."""
    from events.profiles import Profile
    from store.tables import Person

    traits, name = said.get("traits", {}), said.get("userId", "somebody")
    if set(said) - {"userId", "traits"} or not isinstance(traits, dict) or not isinstance(name, str):
        raise typer.BadParameter('--as: a person is {"userId": "ada", "traits": {…}}, as in an identify call')
    profile = Profile(0, name, at, {"zone": "", "locale": "", "email": None, "phone": None}, {}, {})
    notes: list[str] = []
    profile.learn(traits, {}, at, notes)
    if notes:
        raise typer.BadParameter(f"--as: {'; '.join(notes)}")
    columns = profile.columns
    return Person(
        user_id=name,
        created_at=at,
        zone=columns["zone"] or "",
        locale=columns["locale"] or "",
        email=columns["email"],
        phone=columns["phone"],
        traits=profile.traits,
    )


def given_object(option: str, text: str) -> dict[str, Any] | None:
    """Return the JSON object of an option, None where it is not given. Raises BadParameter for anything else."""
    return json_object(option, text) if text else None


def json_object(option: str, text: str) -> dict[str, Any]:
    """Return the JSON object of an option. Raises BadParameter for anything else."""
    try:
        read = from_json(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise typer.BadParameter(f'{option} is a JSON object, as {{"area": "docs"}}')
    return read


def written_there(said: str) -> str:
    """Return what was written, or what is in the file of that name."""
    if not said or said.lstrip().startswith("{"):
        return said
    try:
        return Path(said).read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise typer.BadParameter(f"--as: {said!r} is no JSON object, and no file that holds one") from None


def _show(shown: Shown) -> None:
    content = shown.content
    console.print(Text.assemble((shown.template, "bold cyan"), f" for {shown.to}", (f", {shown.locale}", "dim")))
    if content.subject:
        console.print(Text(content.subject, style="bold"))
    console.print()
    console.print(content.text, soft_wrap=True)
    if content.action:
        console.print(Text.assemble("\n", (f"[{content.action}]", "bold"), f" {content.action_url}"), soft_wrap=True)
    if shown.channel == "sms":
        parts = _parts(content.text)
        count = f"{parts['segments']} part{'' if parts['segments'] == 1 else 's'}"
        console.print(Text(f"\n{len(content.text)} characters, {count} in {parts['encoding']}", style="dim"))
    if content.why:
        console.print(Text(f"\nwhy: {content.why}", style="dim"))
    for remark in shown.remarks:
        console.print(Text.assemble("\n", ("look again: ", "yellow"), str(remark)))


def _as_json(shown: Shown) -> dict[str, Any]:
    return {
        **{name: value for name, value in asdict(shown.content).items() if name != "headers"},
        **({"parts": _parts(shown.content.text)} if shown.channel == "sms" else {}),
        "remarks": [asdict(each) for each in shown.remarks],
        "template": shown.template,
        "to": shown.to,
        "locale": shown.locale,
        "journey": shown.journey,
        "event": dict(shown.event),
        "data": dict(shown.data),
    }


def _parts(text: str) -> dict[str, Any]:
    from activities.segments import segments

    return asdict(segments(text))


def _written(shown: Shown) -> Path:
    """Write the HTML where a browser can read it. Raises BadParameter for what has none."""
    if not shown.content.html:
        raise typer.BadParameter(f"--open: {shown.template} is no e-mail; leave it out, and it is shown here")
    with tempfile.NamedTemporaryFile("w", suffix=".html", prefix="sojourn-", delete=False, encoding="utf-8") as file:
        file.write(shown.content.html)
    return Path(file.name)


def _opened(file: Path) -> str:
    """Open it where there is a screen. Returns where it is."""
    has_screen = sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if has_screen:
        webbrowser.open(file.as_uri())
    return str(file)
