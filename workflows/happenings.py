"""Who a simulation is about, and what may happen to them in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from workflows.definition import Event
from workflows.message_events import (
    MessageBounced,
    MessageClicked,
    MessageDelivered,
    MessageEvent,
    MessageOpened,
    MessageReplied,
)
from workflows.messages import CHANNELS
from workflows.run import Order, User

SOMEONE = User("user-1", zone="UTC", locale="en")


@dataclass(frozen=True)
class Identify:
    """The person's zone, locale or traits change. What is None stays as it is."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    zone: str | None = None
    locale: str | None = None


@dataclass(frozen=True)
class Operate:
    """An operator acts on the person's open runs."""

    action: Literal["pause", "resume", "skip", "exit"]
    order: Order


@dataclass(frozen=True)
class OptOut:
    """The person says no to a topic, on one channel or on all."""

    topic: str
    channel: str | None = None


@dataclass(frozen=True)
class OptIn:
    """The person says yes to a topic, on one channel or on all."""

    topic: str
    channel: str | None = None


@dataclass(frozen=True)
class Suppress:
    """Nothing may go to their address on that channel any more: it bounced, or they complained."""

    channel: str
    cause: str


@dataclass(frozen=True)
class AskForPause:
    """The person asks to be left alone for a while."""

    duration: timedelta


@dataclass(frozen=True)
class AskForFewer:
    """The person asks for fewer messages."""


Said = OptOut | OptIn | Suppress | AskForPause | AskForFewer


@dataclass(frozen=True)
class Outcome:
    """Something that happens to the last message of that template that was sent; if none was, nothing happens."""

    event: ClassVar[type[MessageEvent]]

    template: str


class Delivered(Outcome):
    """It arrived."""

    event = MessageDelivered


@dataclass(frozen=True)
class Opened(Outcome):
    """It was opened, perhaps by a machine."""

    event = MessageOpened
    machine: bool = False


@dataclass(frozen=True)
class Clicked(Outcome):
    """A link in it was followed."""

    event = MessageClicked
    url: str = ""
    machine: bool = False


@dataclass(frozen=True)
class Bounced(Outcome):
    """It did not arrive. That nothing goes to the address from then on is `Suppress`."""

    event = MessageBounced
    hard: bool = True
    code: str = ""


class Replied(Outcome):
    """It was answered, which pauses the person's marketing runs."""

    event = MessageReplied


Happening = Event | Identify | Operate | Said | Outcome


@dataclass(frozen=True)
class Person:
    """Whom a simulation is about: what the run knows of them, and what the gate does.

    `words` is what they said of topics, in order: topic, channel (None: all), yes or no. `held_out` is None where the holdout is
    to decide by their id.
    """

    user: User = SOMEONE
    reachable: frozenset[str] = frozenset(CHANNELS)
    words: tuple[tuple[str, str | None, bool], ...] = ()
    suppressed: Mapping[str, str] = field(default_factory=dict)  # the cause, by channel
    paused_until: datetime | None = None
    fewer: bool = False
    country: str = ""
    held_out: bool | None = None

    def granted(self, topic: str, channel: str) -> bool | None:
        """Return their last word on a topic and channel, None if they have said nothing."""
        return next((yes for about, on, yes in reversed(self.words) if about == topic and on in (None, channel)), None)

    def says(self, said: Said, now: datetime) -> Person:
        """Return them as they are once they have said that."""
        match said:
            case OptOut(topic, channel):
                return replace(self, words=(*self.words, (topic, channel, False)))
            case OptIn(topic, channel):
                return replace(self, words=(*self.words, (topic, channel, True)))
            case Suppress(channel, cause):
                return replace(self, suppressed={**self.suppressed, channel: cause})
            case AskForPause(duration):
                return replace(self, paused_until=now + duration)
            case AskForFewer():
                return replace(self, fewer=True)


@dataclass(frozen=True)
class Post:
    """A message that was sent, as what happens to it names it."""

    message: str
    channel: str
    template: str
    journey: str
    topic: str

    def event(self, outcome: Outcome) -> MessageEvent:
        """Return the event that says what happened to it."""
        return outcome.event.model_validate({**asdict(outcome), **asdict(self)})
