"""What somebody hears of, and how: topics by channel, fewer messages, a pause. Read whole, and changed in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from events.calls import Clock
from events.consents import ALL, CHANNELS, Word, holds, say, spoken, waits
from store.tables import Consent, Device, Person
from workflows.policy import Policy, Topic, in_force

MONTH = timedelta(days=30)
UNCHANGED: Literal["unchanged"] = "unchanged"


@dataclass(frozen=True)
class Place:
    """A topic on one channel: whether they are written to, or will be once they have confirmed it."""

    channel: str
    granted: bool
    pending: bool = False

    @property
    def wanted(self) -> bool:
        return self.granted or self.pending


@dataclass(frozen=True)
class Choice:
    """A topic, on each of the channels that the person can be reached on."""

    topic: Topic
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Preferences:
    """All that holds for a person now. `paused_until` is None if they have no pause, or it is over."""

    choices: tuple[Choice, ...]
    channels: tuple[str, ...]
    fewer: bool
    paused_until: datetime | None

    @property
    def nothing(self) -> bool:
        """Whether they are written to about nothing at all."""
        return bool(self.choices) and not any(place.wanted for each in self.choices for place in each.places)


@dataclass(frozen=True)
class Wish:
    """What is to be different: by topic and channel ('*': all; what is said of one place counts more), and the rest stays.

    `source` is where they said so, `wording` the text that they agreed to, by topic, and `evidence` what else shows it.
    """

    wanted: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    fewer: bool | None = None
    paused_until: datetime | Literal["unchanged"] | None = UNCHANGED
    source: str = ""
    wording: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


async def preferences(session: AsyncSession, person: Person, now: datetime) -> Preferences:
    """Return what holds for a person at `now`."""
    policy, said, channels = in_force(), await spoken(session, person), await _channels(session, person)
    paused = person.paused_until if person.paused_until is not None and person.paused_until > now else None
    choices = tuple(
        Choice(topic, tuple(_place(policy, said, topic.name, channel) for channel in channels)) for topic in _topics(policy, said)
    )
    return Preferences(choices, channels, person.fewer, paused)


async def wish(session: AsyncSession, person: Person, wished: Wish, clock: Clock, actor: str = "") -> list[Consent]:
    """Do as a person wishes, in the transaction of the caller, who holds their lock; return what was new of it."""
    policy, said = in_force(), await spoken(session, person)
    sweeping = any(ALL in place for place in wished.wanted)
    words = [
        Word(topic, granted, channel, wished.source, wished.wording.get(topic, ""), wished.evidence)
        for (topic, channel), granted in sorted(wished.wanted.items(), key=_how_narrow)
        if sweeping or _place(policy, said, topic, channel).wanted is not granted
    ]
    if wished.fewer is not None:
        person.fewer = wished.fewer
    if wished.paused_until != UNCHANGED:
        person.paused_until = wished.paused_until
    session.add(person)
    return await say(session, person, words, clock, actor)


def _how_narrow(wanted: tuple[tuple[str, str], bool]) -> tuple[bool, bool]:
    """Order what is said of all before its exceptions: the last word holds."""
    (topic, channel), _ = wanted
    return topic != ALL, channel != ALL


def _topics(policy: Policy, said: Sequence[Consent]) -> list[Topic]:
    """Return the declared topics, then those that are not, and that they have spoken of all the same."""
    declared = {each.name: each for each in policy.topics}
    spoken_of = {row.topic for row in said if row.topic != ALL}
    return [*declared.values(), *(Topic(name) for name in sorted(spoken_of - declared.keys()))]


def _place(policy: Policy, said: Sequence[Consent], topic: str, channel: str) -> Place:
    word = holds(said, topic, channel)
    return Place(channel, not policy.topic(topic).opt_in if word is None else word, waits(said, topic, channel))


async def _channels(session: AsyncSession, person: Person) -> tuple[str, ...]:
    """Return on which channels the person can be reached."""
    device = (await session.exec(select(Device.token).where(Device.person_id == person.id).limit(1))).first()
    reached: Mapping[str, Any] = {"email": person.email, "sms": person.phone, "push": device, "in_app": True}
    return tuple(channel for channel in CHANNELS if reached[channel])
