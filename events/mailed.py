"""What became of an e-mail, as who carried it tells: acted on once, in whatever order it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from sqlmodel import select

from events.calls import Clock, moment
from events.named import named
from events.opened import bare, is_machine
from events.outcomes import Outcome, What, came, message_id
from events.suppress import suppress
from events.unsubscribe import unsubscribe
from store.links import Ticket
from store.session import Store
from store.tables import AcceptedEvent


@dataclass(frozen=True)
class Told:
    """Something that happened to a mail, and the address to which nothing is to go any more, with the cause; '' if it may.

    `mail` is its Message-ID, or the name in that, of a message whose key is not told. `left` says that its reader has told who
    carries it that they want no more of its kind.
    """

    outcome: Outcome
    source: str
    address: str = ""
    cause: str = ""
    mail: str = ""
    left: bool = False


async def take_in(store: Store, news: Told) -> None:
    """Act on it, once: the address is suppressed before anybody hears why. What is told again, or late, changes nothing more.

    Whoever has left leaves the topic of that mail, unless they have said something of it since.
    """
    outcome = replace(news.outcome, key=await _key(store, news.mail)) if news.mail else news.outcome
    if news.address and not await _is_known(store, outcome):
        await suppress(store, "email", news.address, news.cause, news.source, outcome.at)
    row = await came(store, outcome)
    if row is not None and news.left:
        ticket = Ticket(row.person_id, row.key, row.topic, row.channel)
        await unsubscribe(store, ticket, news.source, Clock(datetime.now(UTC)), said_at=outcome.at)


async def _key(store: Store, mail: str) -> str:
    """Return the key of the message of that mail; '' if it is none of ours."""
    async with store.read() as session:
        row = await named(session, "email", mail)
        return row.key if row is not None else ""


async def _is_known(store: Store, outcome: Outcome) -> bool:
    """Say whether it has been told: an address that an operator has let go since is not suppressed again by a repetition."""
    async with store.read() as session:
        told = select(AcceptedEvent.id).where(AcceptedEvent.message_id == message_id(outcome))
        return (await session.exec(told)).first() is not None


def cause_of(what: What | None, details: Mapping[str, Any]) -> str:
    """Return why nothing is to go to the address any more after that; '' if it may."""
    return "complaint" if what == "complained" else "hard_bounce" if what == "bounced" and details.get("hard") else ""


def clicked(url: Any, agent: Any, *, machine: bool = False) -> dict[str, Any]:
    """Return what the event of a link that was followed tells."""
    return {"url": bare(_text(url)), **opened(agent, machine=machine)}


def opened(agent: Any, *, machine: bool = False) -> dict[str, Any]:
    """Return what the event of a mail that was opened tells, `machine` if it is said to have been one."""
    return {"machine": machine or is_machine({"user-agent": _text(agent)})}


def when(stated: Any, now: datetime) -> datetime:
    """Read a moment, in ISO 8601 or in seconds since 1970; it is now if it is neither, or later."""
    try:
        read = datetime.fromtimestamp(float(stated), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        read = moment(stated) or now
    return min(read, now)


def address_of(stated: Any) -> str:
    """Return the address alone, of one that may be written with a name; '' for anything else."""
    return parseaddr(stated)[1] if isinstance(stated, str) else ""


def an_object(stated: Any) -> Mapping[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else."""
    return stated if isinstance(stated, dict) else {}


def _text(stated: Any) -> str:
    return stated if isinstance(stated, str) else ""
