"""Who a simulation is about, and what may happen to them in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from workflows.definition import Event
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


@dataclass(frozen=True)
class Stop:
    """An operator throws a kill switch: on everything, or on a `journey` or a `channel` of that name."""

    scope: Literal["all", "journey", "channel"] = "all"
    name: str = ""

    def covers(self, journey: str, channel: str) -> bool:
        """Say whether it stops that journey's messages on that channel."""
        return self.scope == "all" or self.name == (journey if self.scope == "journey" else channel)

    def __str__(self) -> str:
        return f"{self.scope} {self.name}".strip()


@dataclass(frozen=True)
class Release:
    """An operator lets what was stopped go on: what waits is sent now, sent within `over`, or skipped."""

    choice: Literal["send", "retime", "skip"]
    stop: Stop = Stop()
    over: timedelta = timedelta(0)


Said = OptOut | OptIn | Suppress | AskForPause | AskForFewer
Happening = Event | Identify | Operate | Stop | Release | Said


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
