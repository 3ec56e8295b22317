"""How long events, messages and the mailbox are kept: what is older goes, a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Text, cast, delete, or_, select, update

from events.for_ever import for_ever
from events.history import with_fields
from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent, Delivery, InboxCard, MailboxItem, Notice, Run
from workflows.segments import SEGMENTS

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
messages = Delivery.__table__  # type: ignore[attr-defined]
inbox = InboxCard.__table__  # type: ignore[attr-defined]
mailbox = MailboxItem.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]
notices = Notice.__table__  # type: ignore[attr-defined]

EVERY = timedelta(hours=1)
CHUNK = 1000
PAUSE_SECONDS = 0.05  # between two chunks, in which others write

has_data = cast(events.c.data, Text) != "{}"
has_more = or_(cast(events.c.context, Text) != "{}", cast(events.c.changed, Text) != "{}", events.c.error != "")
open_runs = select(runs.c.id).where(runs.c.ended_at.is_(None))
inside = select(runs.c.person_id).where(runs.c.ended_at.is_(None))


async def retain_for_ever(store: Store, settings: Settings) -> None:
    """Let go of what is too old, every hour."""

    async def retain_all() -> None:
        while await retain(store, settings, datetime.now(UTC)):
            await asyncio.sleep(PAUSE_SECONDS)

    await for_ever("retention", retain_all, EVERY)


async def retain(store: Store, settings: Settings, now: datetime) -> int:
    """Let go of at most a thousand rows a table of what is too old at `now`. Returns how many; 0 once nothing is.

    An event's row stays, without its properties, its context, what it changed and what was noted of it: its message id acts
    once for ever, and that it happened counts. The properties stay where a segment asks for them. The events of people who are
    in a journey stay whole, and so do the messages of open runs.
    """
    gone = 0
    for statement in _statements(settings, now):
        async with store.write(durable=False) as session:
            gone += (await (await session.connection()).execute(statement)).rowcount
    return gone


def _statements(settings: Settings, now: datetime) -> Iterator[Any]:
    if (days := settings.retain_events_days) is not None:
        old = (events.c.accepted_at < now - timedelta(days=days), events.c.status != "pending", events.c.reconsider.is_(None))
        more: dict[str, Any] = {"context": {}, "changed": {}, "error": ""}
        all_of_it = {**more, "data": {}, "emptied": or_(events.c.emptied, has_data)}
        asked = events.c.name.in_(with_fields(list(SEGMENTS.values())))
        for whose, told, gone in ((~asked, or_(has_data, has_more), all_of_it), (asked, has_more, more)):
            some = select(events.c.id).where(*old, whose, told, events.c.person_id.not_in(inside)).limit(CHUNK)
            yield update(events).where(events.c.id.in_(some)).values(gone)
    if (days := settings.retain_messages_days) is not None:
        before = now - timedelta(days=days)
        some = select(messages.c.key).where(messages.c.at < before, messages.c.run_id.not_in(open_runs)).limit(CHUNK)
        yield delete(messages).where(messages.c.key.in_(some))
        over = select(notices.c.id).where(notices.c.at < before, notices.c.due_at.is_(None)).limit(CHUNK)
        yield delete(notices).where(notices.c.id.in_(over))
        yield delete(inbox).where(inbox.c.key.in_(select(inbox.c.key).where(inbox.c.at < before).limit(CHUNK)))
    if (days := settings.retain_mailbox_days) is not None:
        some = select(mailbox.c.id).where(mailbox.c.at < now - timedelta(days=days)).limit(CHUNK)
        yield delete(mailbox).where(mailbox.c.id.in_(some))
