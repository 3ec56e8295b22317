"""What the links in a message tell: it was opened, or a link in it followed, by its reader or by a machine before them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from sqlmodel import col, select

from events.consents import holds, spoken, who
from events.outcomes import Outcome, came
from store.links import Ticket
from store.session import Store
from store.tables import Delivery
from workflows.policy import in_force
from workflows.tracking import TRACKING, may_track

AT_ONCE = timedelta(seconds=3)  # after the provider was called: nobody reads as fast, a scanner does
LONGEST = 2000  # of an address in an event
APPLE = "Mozilla/5.0"  # Apple's Mail Privacy Protection fetches everything, read or not, and says no more than that
GMAIL = "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"  # Gmail, before the mail is looked at
MACHINES = re.compile(
    r"bot\b|crawl|spider|scan|preview|prefetch|monitor|headless|barracuda|proofpoint|mimecast|symantec|fortinet|safelinks"
    r"|python|curl|wget|libwww|okhttp|go-http-client|java/|axios|node-fetch|http-?client",
    re.IGNORECASE,
)
AHEAD = {"purpose": "prefetch", "x-purpose": "preview", "sec-purpose": "prefetch", "x-moz": "prefetch"}


def is_machine(headers: Mapping[str, str], since: timedelta | None = None) -> bool:
    """Say whether a request, by its headers and how long after the sending it came, was more likely a machine's than a reader's.

    What Gmail's picture proxy (GoogleImageProxy) fetches, it fetches for somebody who opens the mail.
    """
    agent = headers.get("user-agent", "").strip()
    if agent in ("", APPLE) or agent.endswith(GMAIL) or MACHINES.search(agent):
        return True
    ahead = any(headers.get(name, "").lower().startswith(value) for name, value in AHEAD.items())
    return ahead or (since is not None and since < AT_ONCE)


def bare(url: str) -> str:
    """Return an address as an event tells it: without its query and its fragment, which may say who somebody is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:LONGEST]


async def seen(
    store: Store, what: Literal["opened", "clicked"], ticket: Ticket, token: str, headers: Mapping[str, str], now: datetime
) -> None:
    """Tell that a message was opened, or a link in it followed: once by its reader, and once by a machine.

    Nothing is told of who has said since that nobody may look, and of who was erased.
    """
    async with store.read() as session:
        row = (await session.exec(select(Delivery).where(col(Delivery.key) == ticket.message))).first()
        person = await who(session, ticket.person) if row is not None else None
        if row is None or person is None or not may_track(holds(await spoken(session, person), TRACKING, "email"), in_force()):
            return
    machine = is_machine(headers, None if row.begun_at is None else now - row.begun_at)
    by = "machine" if machine else "reader"
    # The token is signed, so that its digest tells nothing of the address in it, which may be private.
    id = f"{what}/{by}/{hashlib.sha256(token.encode()).hexdigest()[:32]}"
    details = {"machine": machine} | ({"url": bare(ticket.url)} if what == "clicked" else {})
    await came(store, Outcome(what, id, now, key=ticket.message, channel=row.channel, details=details))
