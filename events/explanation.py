"""What an operator is told who asks why somebody got a message, or did not: one plain sentence each, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.traits import is_private


@dataclass(frozen=True)
class RuleTold:
    """One rule of the gate, as it stands now: whether it refuses, and the facts it goes by then."""

    rule: str
    refuses: bool
    said: str
    saw: dict[str, Any]


@dataclass(frozen=True)
class Would:
    """What the gate would decide now: `send`, or the first refusal. `seen` is all that its rules look at."""

    decision: str
    reason: str
    retry_at: datetime | None
    said: str
    rules: list[RuleTold]
    seen: dict[str, Any]


@dataclass(frozen=True)
class MessageTold:
    """A message of a run, what became of it, and the facts by which that was decided. Moments are on the run's clock."""

    key: str
    step: str
    channel: str
    template: str
    topic: str
    transactional: bool
    status: str
    reason: str
    said: str
    saw: dict[str, Any]
    at: datetime
    retry_at: datetime | None
    attempts: int
    provider: str
    provider_id: str | None
    doubted: bool
    happened: dict[str, Any]
    experiment: str | None
    variant: str | None


@dataclass(frozen=True)
class RunTold:
    """A run, where it stands, and its messages. `absent` says why the message that was asked for is none of them."""

    run_id: str
    version: int
    key: str
    status: str
    reason: str
    paused: bool
    trigger: str
    started_at: datetime
    ended_at: datetime | None
    step: str | None
    deadline: datetime | None
    ui_url: str
    said: str
    messages: list[MessageTold] = field(default_factory=list)
    absent: str = ""
    would: Would | None = None


@dataclass(frozen=True)
class TriggerTold:
    """An event that starts the journey, or was meant to, and what came of it."""

    event: str
    message_id: str
    at: datetime
    status: str
    error: str
    run_id: str | None
    said: str


@dataclass(frozen=True)
class JourneyTold:
    """One journey and one person: their runs, the latest first, and what of theirs could have started one.

    `may_enter` says whether its trigger would start a run if it came now.
    """

    journey: str
    starts_on: list[str]
    said: str
    may_enter: bool
    runs: list[RunTold]
    triggers: list[TriggerTold]


@dataclass(frozen=True)
class Explanation:
    """The answer. `said` is its short form; moments in sentences are in the person's `zone` and in UTC, others in UTC."""

    user_id: str
    zone: str
    at: datetime
    said: str
    journeys: list[JourneyTold]


def visible(saw: Mapping[str, Any], *, sees_all: bool) -> dict[str, Any]:
    """Return the facts that the gate goes by, without those that are a private trait to who may not see it: a country may be."""
    return {name: fact for name, fact in saw.items() if sees_all or not is_private(name)}


class NoSuch(LookupError):
    """There is no such journey, or it has no such message. Says what there is."""
