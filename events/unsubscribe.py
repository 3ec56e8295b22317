"""Leaving a topic by the link in a message: a no on record, once, from the next message on."""

from __future__ import annotations

from datetime import datetime

from events.accept import retrying
from events.calls import Clock
from events.consents import Word, about, holds, say, spoken, waits, who
from store.links import Ticket
from store.session import Store

THEMSELVES = "the person"  # who recorded it


async def unsubscribe(store: Store, ticket: Ticket, source: str, clock: Clock, said_at: datetime | None = None) -> None:
    """Record that whom the link was for wants no more of its topic on its channel; nothing if that was their last word already.

    It is recorded of whoever they are now, if they turned out to be somebody we knew; of somebody who was erased it is not.
    What was said before (`said_at`), and is heard of only now, takes back nothing that they have said since.
    """

    async def attempt() -> None:
        async with store.write() as session:
            person = await who(session, ticket.person, locked=True)
            said = await spoken(session, person) if person is not None else []
            left = holds(said, ticket.topic, ticket.channel) is False and not waits(said, ticket.topic, ticket.channel)
            since = said_at is not None and any(each.at >= said_at for each in about(said, ticket.topic, ticket.channel))
            if person is not None and not left and not since:
                no = Word(ticket.topic, False, ticket.channel, source, evidence={"message": ticket.message})
                await say(session, person, [no], clock, THEMSELVES)

    await retrying(attempt)
