"""What the links in messages carry: signed, so that nobody makes one for somebody else, or to somewhere else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from itsdangerous import BadData, URLSafeSerializer


@dataclass(frozen=True)
class Ticket:
    """Whom a link is for (by the row of `people` that they had), and about which message, topic, channel or address."""

    person: int
    message: str = ""
    topic: str = ""
    channel: str = ""
    url: str = ""


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
