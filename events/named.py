"""Which message is it, of that Message-ID?"""

from __future__ import annotations

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.wire import fit
from store.tables import Delivery
from store.tagging import MAIL_NAME, mail_name


async def named(session: AsyncSession, channel: str, told: str) -> Delivery | None:
    """Return the message of that Message-ID: the provider's for it, or the one that we made of its key, with its `@` or without."""
    said = fit(told.strip())
    made = MAIL_NAME.fullmatch(said)
    which = [col(Delivery.provider_id) == said, *([col(Delivery.run_id) == made["run"]] if made else [])]
    found = (await session.exec(select(Delivery).where(Delivery.channel == channel, or_(*which)))).all()
    ours = made["name"] if made else None
    return next((each for each in found if said == each.provider_id or ours == mail_name(each.key, each.run_id)), None)
