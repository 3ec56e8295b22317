"""The development transport: what would have gone out stays in our store, to be looked at."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from activities.transport import Parcel
from store.tables import MailboxItem


class Mailbox:
    """Takes e-mail, text messages and push notifications in place of the world."""

    def write(self, session: AsyncSession, parcel: Parcel) -> None:
        session.add(
            MailboxItem(
                key=parcel.key,
                person_id=parcel.person_id,
                journey=parcel.journey,
                template=parcel.template,
                channel=parcel.channel,
                recipient=", ".join(parcel.recipients),
                subject=parcel.content.subject,
                text=parcel.content.text,
                html=parcel.content.html,
                at=parcel.at,
            )
        )
