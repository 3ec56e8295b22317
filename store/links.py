"""What the links in messages carry: signed, so that nobody makes one for somebody else, or to somewhere else."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict, dataclass, fields
from typing import Protocol

from itsdangerous import BadData, URLSafeSerializer
from pydantic import SecretStr

# What a link is for: a token for one is none for another.
PREFERENCES, CONFIRM, UNSUBSCRIBE, OPENED, CLICKED, WHY = "preferences", "confirm", "unsubscribe", "opened", "clicked", "why"


class Public(Protocol):
    """The settings that links are made of: where readers reach us, and the key that signs."""

    public_url: str
    link_key: SecretStr


@dataclass(frozen=True)
class Ticket:
    """Whom a link is for (by the row of `people` that they had), and about which message, topic, channel or address."""

    person: int
    message: str = ""
    topic: str = ""
    channel: str = ""
    url: str = ""
    address: str = ""  # its `seal`: the link is for whoever reads what comes there


NAMES = {each.name for each in fields(Ticket)}


def token(key: str, purpose: str, ticket: Ticket) -> str:
    """Return a ticket signed with that key, fit for a URL. A token for one purpose is none for another."""
    held = {name: value for name, value in asdict(ticket).items() if value}
    written = URLSafeSerializer(key, salt=purpose).dumps(held)
    return written if isinstance(written, str) else written.decode()


def read_token(key: str, purpose: str, text: str) -> Ticket | None:
    """Return the ticket that was signed with that key for that purpose; None for anything else."""
    try:
        held = URLSafeSerializer(key, salt=purpose).loads(text)
    except BadData:
        return None
    return Ticket(**held) if isinstance(held, dict) and held.keys() <= NAMES and "person" in held else None


def link(settings: Public, purpose: str, path: str, ticket: Ticket) -> str:
    """Return the address, for the reader, of what is at `path` for whoever has that ticket."""
    signed = token(settings.link_key.get_secret_value(), purpose, ticket)
    return f"{settings.public_url.rstrip('/')}/{path.strip('/')}/{signed}"


def preferences_url(settings: Public, person_id: int, message: str = "") -> str:
    """Return the address of somebody's preference page; `message` is the one that leads there."""
    return link(settings, PREFERENCES, "p", Ticket(person_id, message))


def confirm_url(settings: Public, person_id: int, address: str, topic: str, message: str = "") -> str:
    """Return the address of the page on which the reader of that e-mail address confirms their yes to a topic."""
    sealed = seal(settings.link_key.get_secret_value(), address)
    return link(settings, CONFIRM, "p/confirm", Ticket(person_id, message, topic, "email", address=sealed))


def seal(key: str, address: str) -> str:
    """Return what an address can be known again by in a link, and not read."""
    return hmac.new(key.encode(), f"address:{address.lower()}".encode(), hashlib.sha256).hexdigest()[:32]
