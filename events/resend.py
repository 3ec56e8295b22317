"""What Resend tells of an e-mail: from the body of its webhook to what happened, and what it says of the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from sqlmodel import select

from events.calls import moment
from events.opened import bare, is_machine
from events.outcomes import Outcome, What, came, message_id
from events.suppress import suppress
from store.session import Store
from store.tables import AcceptedEvent
from store.tagging import MESSAGE, key_of

KINDS: Mapping[str, What] = {
    "email.sent": "sent",
    "email.delivered": "delivered",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.failed": "failed",
}
SOURCE = "resend"


@dataclass(frozen=True)
class Told:
    """What a webhook tells: what happened, and the address to which nothing is to go any more, with the cause; '' if it may."""

    outcome: Outcome
    address: str = ""
    cause: str = ""


def told(body: Any, id: str, now: datetime) -> Told | None:
    """Read the body of a webhook with that id; None if it tells nothing of an e-mail that we act on.

    https://resend.com/docs/webhooks/event-types
    """
    what = KINDS.get(str(_object(body).get("type")))
    if what is None:
        return None
    data = _object(body.get("data"))
    at = min(moment(body.get("created_at")) or now, now)
    key = key_of(_tags(data.get("tags")).get(MESSAGE, ""))
    details = _details(what, data)
    outcome = Outcome(what, f"resend/{id}", at, key, "email", str(data.get("email_id") or ""), details)
    cause = "complaint" if what == "complained" else "hard_bounce" if details.get("hard") else ""
    to = data.get("to")
    alone = to[0] if isinstance(to, list) and len(to) == 1 else to
    return Told(outcome, parseaddr(str(alone))[1] if cause and isinstance(alone, str) else "", cause)


async def take_in(store: Store, news: Told) -> None:
    """Act on it, once: the address is suppressed before anybody hears why. What is told again, or late, changes nothing more."""
    if news.address and not await _is_known(store, news.outcome):
        await suppress(store, "email", news.address, news.cause, SOURCE, news.outcome.at)
    await came(store, news.outcome)


async def _is_known(store: Store, outcome: Outcome) -> bool:
    """Say whether it has been told: an address that an operator has let go since is not suppressed again by a repetition."""
    async with store.read() as session:
        told = select(AcceptedEvent.id).where(AcceptedEvent.message_id == message_id(outcome))
        return (await session.exec(told)).first() is not None


def _details(what: What, data: Mapping[str, Any]) -> dict[str, Any]:
    match what:
        case "bounced":
            bounce = _object(data.get("bounce"))
            return {"hard": bounce.get("type") == "Permanent", "code": str(bounce.get("subType") or "")}
        case "clicked":
            click = _object(data.get("click"))
            agent = {"user-agent": str(click.get("userAgent") or "")}
            return {"url": bare(str(click.get("link") or "")), "machine": is_machine(agent)}
    return {}


def _tags(stated: Any) -> Mapping[str, str]:
    """Read tags in either of the forms in which Resend gives them: by name, or a list of names and values."""
    if isinstance(stated, list):
        return {str(each.get("name")): str(each.get("value")) for each in stated if isinstance(each, dict)}
    return {str(name): str(value) for name, value in _object(stated).items()}


def _object(stated: Any) -> Mapping[str, Any]:
    return stated if isinstance(stated, dict) else {}
