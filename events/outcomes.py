"""What became of a message, as its provider, or a link in it, tells: the ledger learns it, and an event says so to journeys."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlmodel import col
from sqlmodel import select as select_rows
from sqlmodel.ext.asyncio.session import AsyncSession

from events.accept import retrying
from events.calls import MESSAGE_ID_LENGTH, Clock
from events.wire import fit
from store.many import insert_rows
from store.orders import release
from store.session import Store, announce, lock
from store.tables import LIVE, AcceptedEvent, Delivery, Run
from workflows.definition import RELEASE
from workflows.message_events import KINDS

What = Literal["sent", "delivered", "opened", "clicked", "bounced", "complained", "replied", "failed"]
PROVES = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "replied")  # that the provider had taken it
IN_DOUBT = ("intent", "retrying", "unknown", "held")
GIVEN_UP = ("unknown", "held")  # no attempt of ours is to come, or under way
PREFIX = "outcome/"  # of the message ids of these events, which no app can give

events = AcceptedEvent.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Outcome:
    """Something that happened to a message, which is known by its key, or by its provider's id for it.

    `id` is the same whenever it is told again: it acts once. `at` is when it happened, by the provider's clock. `details` are
    further fields of its event.
    """

    what: What
    id: str
    at: datetime
    key: str = ""
    channel: str = ""
    provider_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


First = Callable[[AsyncSession, Delivery, Clock], Awaitable[None]]


async def came(store: Store, outcome: Outcome, clock: Clock | None = None, first: First | None = None) -> Delivery | None:
    """Take in what happened to a message, once, whatever came before it. Returns the message; None if there is none such.

    A message that was in doubt has been sent, if what happened proves it. What happened is accepted as an event of its person
    at `clock`: now unless given, or, for a run of a played stream, now by its clock. Of somebody who was erased nothing is kept.
    `first` is as `take_in` has it.
    """

    async def attempt() -> Delivery | None:
        async with store.write() as session:
            return await take_in(session, outcome, clock, first)

    return await retrying(attempt)


async def take_in(
    session: AsyncSession, outcome: Outcome, clock: Clock | None = None, first: First | None = None
) -> Delivery | None:
    """Do that in the caller's transaction. What comes `first` is done once, before the event, with the person's lock held."""
    row = await _hold(session, outcome)
    if row is None:
        return None
    if clock is None:
        clock = await _clock_of(session, row)
        outcome = replace(outcome, at=outcome.at + timedelta(seconds=clock.offset))
    kind = KINDS.get(outcome.what)
    if kind is not None and not await _is_known(session, message_id(outcome)):
        if first is not None:
            await first(session, row, clock)
        await _say(session, outcome, row, clock)
    waited, was = row.retry_at, row.status
    _learn(outcome, row)
    await session.flush()
    if waited is not None and row.status != was:
        await release(await session.connection(), row, RELEASE, clock.at, clock.offset)
    return row


def message_id(outcome: Outcome) -> str:
    """Return the message id of the event that tells of it: its own id, or a digest of one that is too long."""
    fits = len(PREFIX + outcome.id) <= MESSAGE_ID_LENGTH and "\0" not in outcome.id
    return PREFIX + (outcome.id if fits else hashlib.sha256(outcome.id.encode()).hexdigest())


async def _hold(session: AsyncSession, outcome: Outcome) -> Delivery | None:
    """Return the message as it is now, its person locked up to the end of the transaction: whoever they turned out to be."""
    found = (await session.exec(select_rows(Delivery).where(_is_meant(outcome)))).first()
    if found is None:
        return None
    await lock(session, [found.person_id])
    again = select_rows(Delivery).where(Delivery.key == found.key).with_for_update().execution_options(populate_existing=True)
    return (await session.exec(again)).first()


def _is_meant(outcome: Outcome) -> Any:
    """Our own key is surer than the provider's id, which is looked at where no key is given."""
    if outcome.key:
        return col(Delivery.key) == fit(outcome.key)
    theirs = col(Delivery.provider_id) == fit(outcome.provider_id)
    return theirs & (col(Delivery.channel) == outcome.channel) & (col(Delivery.provider_id) != "")


async def _clock_of(session: AsyncSession, row: Delivery) -> Clock:
    """Return what its run's clock reads: the real time, but for a played stream, of which days may have been skipped."""
    offset = select(events.c.clock_offset).join_from(Run.__table__, events, events.c.id == col(Run.trigger_id))  # type: ignore[attr-defined]
    ahead = await (await session.connection()).scalar(offset.where(col(Run.id) == row.run_id))
    now = datetime.now(UTC)
    if not ahead:
        return Clock(now)
    at = max(now + timedelta(seconds=ahead), row.at)
    return Clock(at, (at - now).total_seconds())


async def _is_known(session: AsyncSession, told_as: str) -> bool:
    return (await session.exec(select_rows(AcceptedEvent.id).where(AcceptedEvent.message_id == told_as))).first() is not None


async def _say(session: AsyncSession, outcome: Outcome, row: Delivery, clock: Clock) -> None:
    """Add the event that tells of it to what is accepted of the person."""
    kind = KINDS[outcome.what]
    about = {"message": row.key, "channel": row.channel, "template": row.template, "journey": row.journey, "topic": row.topic}
    said = kind.model_validate({**outcome.details, **about}).model_dump(mode="json")
    event = {
        "person_id": row.person_id,
        "message_id": message_id(outcome),
        "kind": "track",
        "name": kind.name,
        "data": fit(said),
        "context": {},
        "occurred_at": outcome.at,
        "accepted_at": clock.at,
        "clock_offset": clock.offset,
        "changed": {},
        "run_id": None,
        "status": "pending",
        "error": "",
        "reconsider": None,
        "lane": LIVE,
        "starts": True,
    }
    connection = await session.connection()
    await insert_rows(connection, events, [event])
    await announce(connection)


def _learn(outcome: Outcome, row: Delivery) -> None:
    """Let the ledger know: when each thing happened first, and that a message which may have gone out did, or did not."""
    at = outcome.at.astimezone(UTC).isoformat(timespec="milliseconds")
    what = f"machine_{outcome.what}" if outcome.details.get("machine") else outcome.what  # a machine's is no reader's
    row.happened = {**row.happened, what: min(at, row.happened.get(what, at))}
    row.provider_id = row.provider_id or fit(outcome.provider_id) or None
    tried = row.status in IN_DOUBT or (row.status == "deferred" and row.attempts > 0)
    if outcome.what in PROVES and tried:
        row.status, row.reason, row.retry_at, row.leased_until, row.saw = "sent", "", None, None, {}
    elif outcome.what == "failed" and row.status in GIVEN_UP:
        row.status, row.reason, row.retry_at = "failed", "the provider says that it failed", None
