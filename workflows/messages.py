"""What a journey can say: one class a channel, values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Message:
    """A message to one person, by the name of its template.

    `data` is what the journey adds to the template's variables: plain JSON values, nothing private, for it enters the run's
    history. `topic` overrides the journey's own. After `expires` (counted from the call of `send`) it is no longer sent.
    `experiment` names the split whose variant this message carries; `split` fills it in on the messages it chooses from.

    What the person asked for or has to know, such as a receipt, is `transactional`: no topic's consent, cap or holdout holds it
    back, nor counts it. `capped` is what becomes of it under a full frequency cap: it waits for room as long as it lives, is
    skipped, or the message given there goes instead. Where it is not `tracked`, nobody looks whether it is opened or clicked.
    """

    channel: ClassVar[str]

    template: str
    data: Mapping[str, Any] = field(default_factory=dict)
    topic: str | None = field(default=None, kw_only=True)
    expires: timedelta = field(default=DAY, kw_only=True)
    experiment: str | None = field(default=None, kw_only=True)
    transactional: bool = field(default=False, kw_only=True)
    capped: Literal["wait", "skip"] | Message = field(default="wait", kw_only=True)
    tracked: bool = field(default=True, kw_only=True)


@dataclass(frozen=True)
class Email(Message):
    """An e-mail: HTML from MJML, with a text part."""

    channel: ClassVar[str] = "email"


@dataclass(frozen=True)
class Sms(Message):
    """A text message to the person's phone."""

    channel: ClassVar[str] = "sms"


@dataclass(frozen=True)
class Push(Message):
    """A push notification to each of the person's devices."""

    channel: ClassVar[str] = "push"


@dataclass(frozen=True)
class InApp(Message):
    """A card in the person's inbox inside the product."""

    channel: ClassVar[str] = "in_app"


@dataclass(frozen=True)
class Webhook(Message):
    """A signed webhook about the person to one of the team's own systems, by the name of its endpoint (SOJOURN_ENDPOINTS).

    The template makes its data, JSON; its type is the template's name.
    """

    channel: ClassVar[str] = "webhook"

    endpoint: str = field(kw_only=True)


CHANNELS: Mapping[str, type[Message]] = {kind.channel: kind for kind in (Email, Sms, Push, InApp, Webhook)}
TO_SYSTEMS = ("webhook",)  # what tells the team's own systems: nobody is asked for consent, or disturbed
