"""In-app messages: a card in the person's inbox, in our own store."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel.ext.asyncio.session import AsyncSession

from activities.mailbox import Mailbox
from activities.transport import Parcel
from store.tables import InboxCard


@dataclass(frozen=True)
class InApp:
    """Puts a card in the inbox; and in the mailbox too, where there is one."""

    mailbox: Mailbox | None

    def write(self, session: AsyncSession, parcel: Parcel) -> None:
        content = parcel.content
        session.add(
            InboxCard(
                key=parcel.key,
                person_id=parcel.person_id,
                title=content.subject,
                body=content.text,
                action=content.action,
                action_url=content.action_url,
                at=parcel.at,
            )
        )
        if self.mailbox is not None:
            self.mailbox.write(session, parcel)
