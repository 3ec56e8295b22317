"""May this message go to this person now? The gate's rules: facts in, verdict out, first refusal wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

from workflows.clock import next_reading


@dataclass(frozen=True)
class QuietHours:
    """Hours in the person's zone in which a channel stays silent: from `start` up to `end`, over midnight if need be."""

    start: time
    end: time

    def include(self, at: time) -> bool:
        if self.start <= self.end:
            return self.start <= at < self.end
        return at >= self.start or at < self.end


@dataclass(frozen=True)
class Policy:
    """What the team has laid down for every journey."""

    quiet_hours: Mapping[str, QuietHours] = field(
        default_factory=lambda: {"sms": QuietHours(time(21), time(8)), "push": QuietHours(time(21), time(8))}
    )


@dataclass(frozen=True)
class Facts:
    """All that the rules may look at, as it is at the moment of the attempt. Moments are aware."""

    now: datetime
    expires: datetime
    zone: ZoneInfo
    channel: str
    topic: str
    exited: str = ""
    reachable: bool = True
    opted_out: bool = False
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class Verdict:
    """`reason` is the rule that decided; `retry_at` the moment from which the gate may be asked again."""

    status: Literal["send", "suppressed", "exited", "deferred"]
    reason: str = ""
    retry_at: datetime | None = None


SEND = Verdict("send")


def run_exited(facts: Facts) -> Verdict | None:
    """The run is over: its exit event has been accepted, or an operator ended it."""
    return Verdict("exited", facts.exited) if facts.exited else None


def no_address(facts: Facts) -> Verdict | None:
    """There is no address, number or token of theirs on this channel."""
    return None if facts.reachable else Verdict("suppressed", "no_address")


def no_consent(facts: Facts) -> Verdict | None:
    """They opted out of this topic on this channel."""
    return Verdict("suppressed", "no_consent") if facts.opted_out else None


def expired(facts: Facts) -> Verdict | None:
    """It no longer makes sense: the message's time is over."""
    return Verdict("suppressed", "expired") if facts.now >= facts.expires else None


def quiet_hours(facts: Facts) -> Verdict | None:
    """It is night where they are: wait for the morning, if the message lives that long."""
    hours = facts.policy.quiet_hours.get(facts.channel)
    if hours is None or not hours.include(facts.now.astimezone(facts.zone).time()):
        return None
    opens = next_reading(facts.now, hours.end, facts.zone)
    return Verdict("deferred", "quiet_hours", opens) if opens < facts.expires else Verdict("suppressed", "quiet_hours")


RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    run_exited,
    no_address,
    no_consent,
    expired,
    quiet_hours,
)


def decide(facts: Facts) -> Verdict:
    """Return the first refusal, in the order of `RULES`, or leave to send."""
    for rule in RULES:
        if (verdict := rule(facts)) is not None:
            return verdict
    return SEND
