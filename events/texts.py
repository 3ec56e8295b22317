"""Texts that people send us: a STOP, a START, or a reply to what they were sent."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select

from events.accept import Manner, accept
from events.calls import Call, Clock
from events.opt_out import Meaning, is_yes, meaning
from events.replies import replied
from events.suppress import lift_here, suppress_here
from settings import Settings
from store.session import Store
from store.tables import Person

CHANNEL, CAUSE = "sms", "stop"
SAID = {"stop": "Texts Stopped", "start": "Texts Started"}  # as what it is kept among the events of who said it


@dataclass(frozen=True)
class Text:
    """A text from that number, in E.164. `id` is the same whenever it is told again; `taken_for` is the provider's own reading."""

    id: str
    number: str
    body: str
    taken_for: str = ""


async def received(store: Store, settings: Settings, text: Text, clock: Clock) -> Meaning:
    """Act on a text, once: a STOP suppresses its number, a START lifts what a STOP did, and what is neither is a reply.

    Returns what was meant.
    """
    meant = meaning(text.body, text.taken_for)
    did = await _obey(store, text, meant, clock) if meant in SAID else None
    if meant == "reply" or (did is False and is_yes(text.body)):
        await replied(store, settings, CHANNEL, text.number, text.body, text.id, clock.at)
        return "reply"
    return meant


async def _obey(store: Store, text: Text, meant: Meaning, clock: Clock) -> bool | None:
    """Say whether that changed anything, None if it was known already.

    It is kept among the events of everybody who has the number, so that it acts once; it holds for all of them.
    """
    did: list[bool] = []
    async with store.read() as session:
        theirs = select(Person.user_id).where(Person.phone == text.number).order_by(col(Person.id))
        users = (await session.exec(theirs)).all()
    calls = [_kept(user, f"{text.id}/{user}", SAID[meant], clock) for user in users]

    async def change(connection: AsyncConnection, new: int) -> None:
        did.clear()  # of an attempt that lost a race
        if new or not users:
            did.append(await _change(connection, text, meant, clock))

    await accept(store, calls, clock, Manner(beside=change))
    return did[0] if did else None


def _kept(user: str, message_id: str, name: str, clock: Clock) -> Call:
    return Call(user, message_id, "track", name, {"channel": CHANNEL}, {}, clock.at, "routed")


async def _change(connection: AsyncConnection, text: Text, meant: Meaning, clock: Clock) -> bool:
    if meant == "stop":
        return await suppress_here(connection, CHANNEL, text.number, CAUSE, text.id, clock.at)
    return await lift_here(connection, CHANNEL, text.number, cause=CAUSE)
