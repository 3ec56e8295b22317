"""Who a simulation is about, and what may happen to them in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from workflows.clock import zone
from workflows.country import country
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
from workflows.policy import Holdout, Policy
from workflows.run import Order, User

UTC_ZONE = ZoneInfo("UTC")
ALL = "*"
SOMEONE = User("user-1", zone="UTC", locale="en")


@dataclass(frozen=True)
class Identify:
    """The person's zone, locale or traits change. What is None stays as it is."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    zone: str | None = None
    locale: str | None = None


@dataclass(frozen=True)
class Reach:
    """On which channels the person can be reached from now on. `number_zones` and `number_country` are those of their number."""

    channels: frozenset[str]
    number_zones: tuple[str, ...] = ()
    number_country: str = ""


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
    """Nothing may go to their address on that channel any more, if they have one: it bounced, or they complained."""

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


Said = OptOut | OptIn | Confirm | Suppress | AskForPause | AskForFewer
Happening = Event | Identify | Reach | Operate | Stop | Release | Said | Outcome


@dataclass(frozen=True)
class Person:
    """Whom a simulation is about: what the run knows of them, and what the gate does.

    `words` is what they said of topics, in order: topic, channel (None: all), yes or no. `to_confirm` is to which topics they said
    a yes to e-mails that is not confirmed. `number_zones` are the zones that their phone number is of: where a text finds them,
    if nobody knows better; `country` is the one whose hours hold for them, if it is another than they say themselves, and
    `number_country` that of their number, whose hours texts keep. `held_out` is None where the holdout is to decide by their id.
    """

    user: User = SOMEONE
    reachable: frozenset[str] = frozenset(CHANNELS)
    words: tuple[tuple[str, str | None, bool], ...] = ()
    to_confirm: frozenset[str] = frozenset()
    suppressed: Mapping[str, str] = field(default_factory=dict)  # the cause, by channel
    paused_until: datetime | None = None
    fewer: bool = False
    country: str = ""
    number_zones: tuple[str, ...] = ()
    number_country: str = ""
    held_out: bool | None = None

    def granted(self, topic: str, channel: str) -> bool | None:
        """Return their last word on a topic and channel, None if they have said nothing."""
        return next((yes for about, on, yes in reversed(self.words) if about in (topic, ALL) and on in (None, channel)), None)

    def zones(self, channel: str, fallback: str) -> tuple[ZoneInfo, ...]:
        """Return where they may be, as far as a message on that channel has to know."""
        if (known := zone(self.user.zone)) is not None:
            return (known,)
        of_number = tuple(each for name in self.number_zones if (each := zone(name)) is not None)
        return of_number if channel == "sms" and of_number else (zone(fallback) or UTC_ZONE,)

    @property
    def is_plain(self) -> bool:
        """Whether they have said nothing, asked for nothing, and have addresses that nothing is known against."""
        return not (self.words or self.suppressed or self.fewer or self.paused_until is not None)

    def is_held_out(self, holdout: Holdout) -> bool:
        return holdout.includes(self.user.id) if self.held_out is None else self.held_out

    def hours_on(self, channel: str) -> str:
        """Return the country whose hours hold for them on a channel; '' if that is not known."""
        if self.number_country and channel == "sms":
            return self.number_country
        return self.country or country(self.user.traits, self.user.locale)

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
                theirs = {channel: cause} if channel in self.reachable else {}
                return replace(self, suppressed={**theirs, **self.suppressed})
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
