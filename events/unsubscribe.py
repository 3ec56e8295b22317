"""Leaving a topic by the link in a message: a no on record, once, from the next message on."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import col, or_, select

from events.accept import retrying
from store.links import Ticket
from store.session import Store, lock
from store.tables import Consent, Merge, Person


async def unsubscribe(store: Store, ticket: Ticket, source: str, at: datetime) -> None:
    """Record that whom the link was for wants no more of its topic on its channel; nothing if that was their last word already.

    It is recorded of whoever they are now, if they turned out to be somebody we knew; of somebody who was erased it is not.
    """
    await retrying(lambda: _unsubscribe(store, ticket, source, at))


async def _unsubscribe(store: Store, ticket: Ticket, source: str, at: datetime) -> None:
    became = select(Merge.into_id).where(Merge.absorbed_id == ticket.person)
    whom = select(Person.id).where(or_(Person.id == ticket.person, col(Person.id).in_(became)))
    async with store.write() as session:
        await lock(session, [ticket.person])
        person = (await session.exec(whom)).first()
        if person is None:
            return
        said = (
            select(Consent.granted)
            .where(Consent.person_id == person, Consent.topic == ticket.topic, col(Consent.channel).in_((ticket.channel, "*")))
            .where(col(Consent.pending).is_(False))
            .order_by(col(Consent.id).desc())
        )
        if (await session.exec(said)).first() is not False:
            no = Consent(person_id=person, topic=ticket.topic, channel=ticket.channel, granted=False, source=source, at=at)
            session.add(no.sqlmodel_update({"evidence": {"message": ticket.message}}))
