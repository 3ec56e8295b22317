"""What people say about topics: kept for good, the last word holds, and a yes to e-mails may have to be confirmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import bindparam, insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.calls import Clock
from store.links import Ticket, seal
from store.session import announce, lock
from store.tables import AcceptedEvent, Consent, Merge, Person
from workflows.policy import Policy, in_force
from workflows.transitions import ConsentRequested

ALL = "*"
CHANNELS = ("email", "sms", "push", "in_app")  # on which somebody can be spoken to
CONFIRMED = "confirmation"  # the source of a yes that was confirmed

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
their_words = select(Consent).where(Consent.person_id == bindparam("person")).order_by(col(Consent.id))


@dataclass(frozen=True)
class Word:
    """What a person says about a topic on a channel, '*' for all, and what shows that they did: as of a row of `consents`."""

    topic: str
    granted: bool
    channel: str = ALL
    source: str = ""
    wording: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


async def say(session: AsyncSession, person: Person, words: Sequence[Word], clock: Clock, actor: str = "") -> list[Consent]:
    """Keep what a person said, in the transaction of the caller, who holds their lock; return the rows that were added.

    A yes that a topic wants confirmed is `pending`, and holds not yet: an event asks for the mail that its link is in. Who
    has confirmed their e-mails before, and not said no since, is not asked again.
    """
    policy, said = in_force(), await spoken(session, person)
    rows = []
    for word in words:
        for each in _by_channel(word, policy):
            pending = to_confirm(each, policy) and holds(said, each.topic, "email") is not True
            row = Consent(
                person_id=_id(person),
                topic=each.topic,
                channel=each.channel,
                granted=each.granted,
                source=each.source,
                wording=each.wording,
                evidence=dict(each.evidence),
                at=clock.at,
                pending=pending,
                actor=actor,
            )
            rows.append(row)
            said = [*said, row]
    session.add_all(rows)
    await session.flush()
    await _ask(session, person, [row for row in rows if row.pending], clock)
    return rows


async def confirm(session: AsyncSession, person: Person, word: Word, clock: Clock) -> bool:
    """Let a pending yes hold, in the caller's transaction; false if none is pending and none holds: it was taken back since.

    Confirmed once more, it changes nothing.
    """
    said = await spoken(session, person)
    if not waits(said, word.topic):
        return holds(said, word.topic, "email") is True
    asked = next(row for row in reversed(said) if row.pending and row.topic == word.topic)
    yes = replace(word, granted=True, channel="email", source=CONFIRMED, wording=asked.wording)
    session.add(Consent(person_id=_id(person), **{**vars(yes), "evidence": dict(yes.evidence)}, at=clock.at))
    return True


def confirmable(person: Person | None, ticket: Ticket | None, key: str) -> bool:
    """Say whether a link to confirm a yes is this person's, and was sent to the address that they have."""
    return None not in (person, ticket) and bool(
        person and person.email and ticket and ticket.topic and seal(key, person.email) == ticket.address
    )


async def spoken(session: AsyncSession, person: Person) -> Sequence[Consent]:
    """Return all that a person has said, in order."""
    return (await session.exec(their_words, params={"person": person.id})).all()


async def who(session: AsyncSession, person_id: int, *, locked: bool = False) -> Person | None:
    """Return who had that row of `people`, as who they are now; None for who was erased. Locked up to the transaction's end."""
    if locked:
        await lock(session, [person_id])
    found = await session.get(Person, person_id)
    if found is None:
        into = select(Person).join(Merge, col(Merge.into_id) == Person.id).where(Merge.absorbed_id == person_id)
        found = (await session.exec(into)).first()
    return found


def about(said: Iterable[Consent], topic: str, channel: str) -> list[Consent]:
    """Return what was said that concerns a topic and channel, in order."""
    return [row for row in said if row.topic in (topic, ALL) and row.channel in (channel, ALL)]


def holds(said: Iterable[Consent], topic: str, channel: str) -> bool | None:
    """Return the last word on a topic and channel, as the gate reads it: None if nothing was said."""
    last = [row.granted for row in about(said, topic, channel) if not row.pending]
    return last[-1] if last else None


def waits(said: Iterable[Consent], topic: str, channel: str = "email") -> bool:
    """Say whether the last word on a topic and channel is a yes that waits for its confirmation."""
    last = about(said, topic, channel)
    return bool(last) and last[-1].pending


def to_confirm(word: Word, policy: Policy) -> bool:
    """Say whether it is a yes that has to be confirmed."""
    return word.granted and word.channel == "email" and policy.topic(word.topic).double_opt_in


def _by_channel(word: Word, policy: Policy) -> list[Word]:
    """A yes on all channels is one for each where that to e-mails has to be confirmed first."""
    each = [replace(word, channel=channel) for channel in CHANNELS]
    split = word.channel == ALL and any(to_confirm(one, policy) for one in each)
    return each if split else [word]


async def _ask(session: AsyncSession, person: Person, rows: Sequence[Consent], clock: Clock) -> None:
    """Have a journey ask the person to confirm."""
    connection = await session.connection()
    for row in rows:
        asked = ConsentRequested(topic=row.topic, channel=row.channel)
        event = {
            "person_id": row.person_id,
            "message_id": f"consent/{row.id}",
            "kind": "track",
            "name": asked.name,
            "data": asked.model_dump(mode="json"),
            "occurred_at": clock.at,
            "accepted_at": clock.at,
            "clock_offset": clock.offset,
        }
        await connection.execute(insert(events).values(**{**_nothing_else(), **event}))
    if rows:
        await announce(connection)


def _nothing_else() -> dict[str, Any]:
    return {"context": {}, "changed": {}, "status": "pending", "error": ""}


def _id(person: Person) -> int:
    assert person.id is not None
    return person.id
