"""`sojourn send-test`: one message, as somebody would read it, to an address of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer

from activities.outlets import close, configured, outlets
from activities.render import BadTemplate
from activities.transport import Content, Failure, Local, Parcel
from commands.operating import Actor, operator
from commands.previewing import AsUser, Channel, Data, Invented, Said, Template, given_object, written_there
from commands.previewing import person as person_meant
from commands.screen import Screen
from commands.seeing import Journeys
from connecting import open_store
from events.addresses import email_of, phone_of
from events.operators import Operator
from events.suppress import suppressed
from loading import load
from settings import Settings
from store.hashing import hash_of
from store.session import Store
from store.suppressions import name_at
from store.tables import Person
from studio.check import loaded
from studio.preview import Shown, Unclear, Wish, meant, preview
from workflows.traits import Misfit

console = Screen()

MARK = "[test] "  # before what it says, so that nobody takes it for the real one
TO_ADDRESSES: Mapping[str, Callable[[str], str]] = {"email": email_of, "sms": phone_of}


@dataclass(frozen=True)
class Test:
    """A message to be sent to see it arrive: filled in for a person, and to whom it goes in their place."""

    shown: Shown
    person: Person
    to: str
    operator: Operator


def send_test(
    template: Template,
    to: Annotated[str, typer.Option(help="Where it goes: an e-mail address, or a number for a text.")],
    user: AsUser = "",
    invented: Invented = "",
    journeys: Journeys = None,
    channel: Channel = "",
    locale: Annotated[str, typer.Option(help="In this language in place of theirs, as pt-BR.")] = "",
    data: Data = "",
    event: Said = "",
    live: Annotated[bool, typer.Option("--live", help="Deliver it through the configured provider, to that address.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "to see it arrive",
    actor: Actor = "",
) -> None:
    """Send one message to an address of your own, marked as a test. It counts for nothing, and its links that act lead nowhere."""
    if bool(user) == bool(invented):
        raise typer.BadParameter("say as whom: --user NAME of the store, or --as '{\"traits\": {…}}'")
    if invented and not live:
        raise typer.BadParameter("somebody invented has no mailbox here; deliver it --live, or look at it with `sojourn preview`")
    settings = Settings()
    folder = journeys or settings.journeys
    load(folder)
    now = datetime.now(UTC)
    shipment, wish = loaded(folder, now), Wish(template, now, locale, given_object("--data", data), given_object("--event", event))

    async def work() -> str:
        store = open_store(settings)
        try:
            asked = replace(wish, template=meant(shipment, template, channel))
            address = _address(asked.template.partition("/")[0], to)
            somebody = await person_meant(store, user, given_object("--as", written_there(invented)), now)
            shown = await preview(store, settings, shipment, somebody, asked)
            mine = settings.model_copy(update={"live": live, "allow_recipients": [address]})
            return await _sent(store, mine, Test(shown, somebody, address, operator(actor, reason)))
        finally:
            await store.close()

    try:
        console.print(asyncio.run(work()), soft_wrap=True)
    except (Unclear, BadTemplate) as why:
        raise typer.BadParameter(str(why)) from None
    except Failure as why:
        console.print(f"It was not sent: {why}", style="red")
        raise typer.Exit(1) from None


def _address(channel: str, to: str) -> str:
    if channel not in TO_ADDRESSES:
        raise typer.BadParameter(
            f"{channel} goes to no address; e-mails and texts do, and `sojourn try` shows the others in a mailbox"
        )
    try:
        return TO_ADDRESSES[channel](to)
    except Misfit as why:
        raise typer.BadParameter(f"--to: {why}") from None


async def _sent(store: Store, settings: Settings, test: Test) -> str:
    """Record it, hand it over, and say where it is. Raises Failure as the provider does."""
    providers = configured(settings, store)
    outlet = outlets(settings, store, providers)(test.shown.channel, [test.to])
    parcel = _parcel(test)
    try:
        async with store.write() as session:
            connection, channel = await session.connection(), test.shown.channel
            name = name_at(channel, test.to)
            causes = [each["cause"] for each in await suppressed(connection, [name]) if each["channel"] in (channel, "*")]
            if causes:
                raise typer.BadParameter(f"--to: nothing may go to {test.to} ({causes[0]}); see `sojourn suppressions`")
            details = {"template": test.shown.template, "to": hash_of(connection, name), "locale": test.shown.locale}
            session.add(test.operator.did("send_test", person_id=test.person.id, subject=parcel.key, details=details))
            if isinstance(outlet, Local):
                outlet.write(session, parcel)
        if isinstance(outlet, Local):
            return f"{test.shown.template} is in the mailbox: {settings.public_url.rstrip('/')}/mailbox; nothing left this machine"
        await outlet.deliver(parcel)
    finally:
        await close(providers)
    return f"{test.shown.template} went to {test.to}"


def _parcel(test: Test) -> Parcel:
    content, channel = test.shown.content, test.shown.channel
    return Parcel(
        key=f"test:{uuid4().hex}",
        run_id="test",
        person_id=test.person.id or 0,
        journey=test.shown.journey,
        template=test.shown.template.partition("/")[2],
        channel=channel,
        recipients=(test.to,),
        content=_marked(channel, replace(content, headers={})),
        at=test.operator.at,
    )


def _marked(channel: str, content: Content) -> Content:
    return replace(content, subject=MARK + content.subject) if channel == "email" else replace(content, text=MARK + content.text)
