"""What became of a message, as its provider, or a link in it, tells: the ledger learns it, and an event says so to journeys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel import select as select_rows

from events.accept import Manner, accept
from events.calls import Call, Clock
from store.session import Store
from store.tables import Delivery, Person
from workflows.message_events import KINDS

What = Literal["sent", "delivered", "opened", "clicked", "bounced", "complained", "replied", "failed"]
PROVES = ("sent", "delivered", "opened", "clicked", "bounced", "complained", "replied")  # that the provider had taken it
Also = Callable[[AsyncConnection], Awaitable[None]]
IN_DOUBT = ("intent", "retrying", "unknown", "held")

messages = Delivery.__table__  # type: ignore[attr-defined]


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


async def came(store: Store, outcome: Outcome, clock: Clock | None = None, also: Also | None = None) -> Delivery | None:
    """Take in what happened to a message, once, whatever came before it. Returns the message; None if there is none such.

    A message that was in doubt has been sent, if what happened proves it. What happened is accepted as an event of its person
    at `clock`, now unless given; of somebody who was erased nothing is kept. What is to be done `also` is done the first time
    that a message's event comes, in its transaction.
    """
    found = await _find(store, outcome)
    if found is None:
        return None
    row, user_id = found
    manner = Manner(beside=partial(_learn, outcome, row.key, also))
    await accept(store, _calls(outcome, row, user_id), clock or Clock.real(), manner)
    return row


async def _find(store: Store, outcome: Outcome) -> tuple[Delivery, str] | None:
    known = [col(Delivery.key) == outcome.key] if outcome.key else []
    if outcome.provider_id:
        known.append((col(Delivery.channel) == outcome.channel) & (col(Delivery.provider_id) == outcome.provider_id))
    if not known:
        return None
    theirs = select_rows(Delivery, Person.user_id).join(Person, col(Person.id) == Delivery.person_id).where(or_(*known))
    async with store.read() as session:
        return (await session.exec(theirs)).first()


def _calls(outcome: Outcome, row: Delivery, user_id: str) -> list[Call]:
    """Return the event that says it; none for what journeys are not told."""
    kind = KINDS.get(outcome.what)
    if kind is None:
        return []
    about = {"message": row.key, "channel": row.channel, "template": row.template, "journey": row.journey, "topic": row.topic}
    said = kind.model_validate({**about, **outcome.details}).model_dump(mode="json")
    return [Call(user_id, outcome.id, "track", kind.name, said, {}, outcome.at, "pending")]


async def _learn(outcome: Outcome, key: str, also: Also | None, connection: AsyncConnection, new: int) -> None:
    """Let the ledger know. The caller's transaction has the person's lock where an event says it; the row's it takes here."""
    row = (await connection.execute(select(messages).where(messages.c.key == key).with_for_update())).mappings().first()
    if row is None:
        return
    happened = {**row["happened"]}
    at = outcome.at.isoformat(timespec="milliseconds")
    happened[outcome.what] = min(at, happened.get(outcome.what, at))
    values: dict[str, Any] = {"happened": happened}
    if outcome.what in PROVES and row["status"] in IN_DOUBT:
        values |= {"status": "sent", "reason": "", "retry_at": None, "leased_until": None}
    if outcome.provider_id:
        values["provider_id"] = func.coalesce(messages.c.provider_id, outcome.provider_id)
    await connection.execute(update(messages).where(messages.c.key == key).values(values))
    if also is not None and new:
        await also(connection)
