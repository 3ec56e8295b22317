"""What is too old goes, and what acts once for ever still does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from events.accept import accept
from events.calls import understand
from events.replay import replay
from events.retention import retain
from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent, Delivery, InboxCard, MailboxItem, Run
from tests.events.test_erase import BY, CLOCK, NOON, introduce
from workflows.definition import EVENTS, Event
from workflows.traits import TRAITS, Traits

LATER = NOON + timedelta(days=40)


async def counts(store: Store) -> list[int]:
    async with store.read() as session:
        return [len((await session.exec(select(table))).all()) for table in (Delivery, InboxCard, MailboxItem, AcceptedEvent)]


async def told(store: Store) -> list[str]:
    """Return the kinds of the events that still have their properties."""
    async with store.read() as session:
        return [each.kind for each in (await session.exec(select(AcceptedEvent))).all() if each.data or each.context]


async def somebody(store: Store, **run: Any) -> None:
    """Somebody whose events have all acted, with a run that is over unless told otherwise."""
    await introduce(store)
    async with store.write() as session:
        await session.exec(update(AcceptedEvent).values(status="routed"))
        await session.exec(update(Run).where(col(Run.ended_at).is_(None)).values({"ended_at": NOON, **run}))


async def let_go(store: Store, at: datetime = LATER, **days: int) -> None:
    settings = Settings(_env_file=None, **days)  # type: ignore[arg-type]
    while await retain(store, settings, at):
        pass


async def test_everything_is_kept_for_ever_unless_told_otherwise(store: Store) -> None:
    await somebody(store)
    before = await counts(store), await told(store)
    await let_go(store, datetime(2100, 1, 1, tzinfo=UTC))
    assert (await counts(store), await told(store)) == before == ([1, 1, 1, 3], ["identify", "run", "exit"])


async def test_what_is_too_old_goes_and_nothing_else(store: Store) -> None:
    await somebody(store)
    await let_go(store, retain_events_days=41, retain_messages_days=41, retain_mailbox_days=41)
    assert (await counts(store), len(await told(store))) == ([1, 1, 1, 3], 3)
    await let_go(store, retain_mailbox_days=30)
    assert await counts(store) == [1, 1, 0, 3]
    await let_go(store, retain_messages_days=30)
    assert await counts(store) == [0, 0, 0, 3]
    await let_go(store, retain_events_days=30)
    assert (await counts(store), await told(store)) == ([0, 0, 0, 3], [])


async def test_a_message_id_acts_once_even_after_its_event_was_emptied(store: Store) -> None:
    await somebody(store)
    await let_go(store, retain_events_days=30)
    again = {"userId": "ada-lovelace-1815", "traits": {"city": "x"}, "messageId": "i-ada-lovelace-1815"}
    await accept(store, [understand(again, "identify", CLOCK)], CLOCK)
    assert await told(store) == []


async def test_what_open_runs_go_by_stays(store: Store) -> None:
    await somebody(store, ended_at=None)
    await let_go(store, retain_events_days=30, retain_messages_days=30)
    assert (await counts(store), len(await told(store))) == ([1, 0, 1, 3], 3)


async def test_what_was_noted_of_a_refused_value_goes_with_the_value(store: Store) -> None:
    class Moved(Traits):
        moved_to: Literal["London", "Turin"]

    try:
        await accept(store, [understand({"userId": "ada", "traits": {"moved_to": "Marylebone 14"}}, "identify", CLOCK)], CLOCK)
    finally:
        del TRAITS["moved_to"]
    async with store.write() as session:
        await session.exec(update(AcceptedEvent).values(status="routed"))
    assert "Marylebone" in (await event(store)).error
    await let_go(store, retain_events_days=30)
    assert (await event(store)).error == ""


@pytest.mark.parametrize("properties", [{}, {"plan": "pro"}])
async def test_an_event_whose_properties_are_gone_is_not_replayed_without_them(store: Store, properties: dict[str, str]) -> None:
    call = {"userId": "ada", "event": "Bought Late", "properties": properties, "messageId": "m"}
    await accept(store, [understand(call, "track", CLOCK)], CLOCK)
    async with store.write() as session:
        await session.exec(update(AcceptedEvent).values(status="unknown"))
    await let_go(store, retain_events_days=30)

    class BoughtLate(Event, name="Bought Late"):
        plan: str = "free"

    try:
        async with store.write() as session:
            refused = await replay(session, (await event(store)).id or 0, BY)
    finally:
        del EVENTS["Bought Late"]
    assert refused == ("its properties are gone: it is older than events are kept with theirs" if properties else "")


async def event(store: Store) -> AcceptedEvent:
    async with store.read() as session:
        return (await session.exec(select(AcceptedEvent))).one()
