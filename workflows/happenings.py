"""Who a simulation is about, and what may happen to them in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from workflows.definition import Event
from workflows.messages import CHANNELS
from workflows.policy import Policy
from workflows.run import Order, User

ALL = "*"
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
    """The person says no to a topic ('*': to all), on one channel or on all."""

    topic: str
    channel: str | None = None


@dataclass(frozen=True)
class OptIn:
    """The person says yes to a topic, on one channel or on all."""

    topic: str
    channel: str | None = None


@dataclass(frozen=True)
class Confirm:
    """The person confirms, by the link in the mail, the yes that they said to a topic with double opt-in."""

    topic: str


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


Said = OptOut | OptIn | Confirm | Suppress | AskForPause | AskForFewer
Happening = Event | Identify | Operate | Said


@dataclass(frozen=True)
class Person:
    """Whom a simulation is about: what the run knows of them, and what the gate does.

    `words` is what they said of topics, in order: topic, channel (None: all), yes or no. `to_confirm` is to which topics they said
    a yes to e-mails that is not confirmed. `held_out` is None where the holdout is
    to decide by their id.
    """

    user: User = SOMEONE
    reachable: frozenset[str] = frozenset(CHANNELS)
    words: tuple[tuple[str, str | None, bool], ...] = ()
    to_confirm: frozenset[str] = frozenset()
    suppressed: Mapping[str, str] = field(default_factory=dict)  # the cause, by channel
    paused_until: datetime | None = None
    fewer: bool = False
    country: str = ""
    held_out: bool | None = None

    def granted(self, topic: str, channel: str) -> bool | None:
        """Return their last word on a topic and channel, None if they have said nothing."""
        return next((yes for about, on, yes in reversed(self.words) if about in (topic, ALL) and on in (None, channel)), None)

    def says(self, said: Said, now: datetime, policy: Policy) -> Person:
        """Return them as they are once they have said that."""
        match said:
            case OptOut(topic, channel):
                left = self.to_confirm if channel not in (None, "email") else self._waiting_without(topic)
                return replace(self, words=(*self.words, (topic, channel, False)), to_confirm=left)
            case OptIn(topic, channel):
                return self._opts_in(topic, channel, policy)
            case Confirm(topic):
                word = ((topic, "email", True),) if topic in self.to_confirm else ()
                return replace(self, words=(*self.words, *word), to_confirm=self.to_confirm - {topic})
            case Suppress(channel, cause):
                return replace(self, suppressed={channel: cause, **self.suppressed})
            case AskForPause(duration):
                return replace(self, paused_until=now + duration)
            case AskForFewer():
                return replace(self, fewer=True)

    def _opts_in(self, topic: str, channel: str | None, policy: Policy) -> Person:
        """A yes to e-mails may have to be confirmed first; on the other channels it holds at once."""
        asks = policy.topic(topic).double_opt_in and channel in (None, "email")
        if not asks or self.granted(topic, "email"):
            return replace(self, words=(*self.words, (topic, channel, True)))
        others = [each for each in CHANNELS if each != "email"] if channel is None else []
        words = tuple((topic, each, True) for each in others)
        return replace(self, words=(*self.words, *words), to_confirm=self.to_confirm | {topic})

    def _waiting_without(self, topic: str) -> frozenset[str]:
        return frozenset() if topic == ALL else self.to_confirm - {topic}
