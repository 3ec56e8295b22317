"""May this message go to this person now? The gate's rules: facts in, verdict out, first refusal wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from workflows.clock import share
from workflows.messages import TO_SYSTEMS
from workflows.policy import Calendar, Cap, Policy

NEVER = datetime.max.replace(tzinfo=UTC)
HEARD_WITHIN = timedelta(seconds=10)  # in which an order reaches its run, as a rule; a paused run does not ask again
LONGEST_NIGHT = timedelta(days=15)  # beyond which hours that are never open together are given up


class Past(NamedTuple):
    """A message that counts: it went out, is on its way, or would have been sent but for the holdout."""

    at: datetime
    channel: str
    topic: str


class Facts(NamedTuple):  # which is made in a third of the time of a frozen dataclass
    """All that the rules may look at, as it is at the moment of the attempt. Moments are aware.

    `zones` is where the person is, or may be: one if that is known. `granted` is their last word on the topic and channel, None
    if they have said nothing. `suppressed` is the cause for which nothing may go to the address, `run_paused` who paused the run
    by an order that it may not have heard, and why, `stopped` the kill switch that is thrown, '' if none; `paused_wholly`: not
    even what is transactional goes. `waits`: a message that is capped waits for room. `past` goes as far back as the policy looks.
    """

    now: datetime
    expires: datetime
    zones: tuple[ZoneInfo, ...]
    channel: str
    topic: str
    policy: Policy
    person: str = ""
    country: str = ""
    transactional: bool = False
    waits: bool = True
    exited: str = ""
    suppressed: str = ""
    run_paused: str = ""
    paused_wholly: bool = False
    reachable: bool = True
    granted: bool | None = None
    paused_until: datetime | None = None
    stopped: str = ""
    fewer: bool = False
    past: tuple[Past, ...] = ()
    held_out: bool = False


@dataclass(frozen=True)
class Verdict:
    """`reason` is the rule that decided; `retry_at` the moment from which the gate may be asked again.

    `saw` holds the facts that the rule went by, as JSON.
    """

    status: Literal["send", "suppressed", "exited", "deferred"]
    reason: str = ""
    retry_at: datetime | None = None
    saw: Mapping[str, Any] = field(default_factory=dict, compare=False)


SEND = Verdict("send")


def run_exited(facts: Facts) -> Verdict | None:
    """The run is over: its exit event has been accepted, or an operator ended it."""
    return Verdict("exited", facts.exited, saw={"exited": facts.exited}) if facts.exited else None


def suppressed(facts: Facts) -> Verdict | None:
    """Nothing may go to this address: it bounced, its owner complained or said STOP, or an operator said so."""
    return Verdict("suppressed", "suppressed", saw={"cause": facts.suppressed}) if facts.suppressed else None


def no_address(facts: Facts) -> Verdict | None:
    """There is no address, number or token of theirs on this channel."""
    return None if facts.reachable else Verdict("suppressed", "no_address", saw={"channel": facts.channel})


def no_consent(facts: Facts) -> Verdict | None:
    """They said no to this topic on this channel, or it is opt-in and they have not said yes."""
    opt_in = facts.policy.topic(facts.topic).opt_in
    may = not opt_in if facts.granted is None else facts.granted
    if facts.transactional or may or facts.channel in TO_SYSTEMS:
        return None
    saw = {"topic": facts.topic, "channel": facts.channel, "granted": facts.granted, "opt_in": opt_in}
    return Verdict("suppressed", "no_consent", saw=saw)


def paused(facts: Facts) -> Verdict | None:
    """They asked for a pause, and it is not over."""
    if facts.transactional or facts.channel in TO_SYSTEMS or facts.paused_until is None or facts.now >= facts.paused_until:
        return None
    return Verdict("suppressed", "paused", saw={"until": _written(facts.paused_until)})


def expired(facts: Facts) -> Verdict | None:
    """It no longer makes sense: the message's time is over."""
    if facts.now < facts.expires:
        return None
    return Verdict("suppressed", "expired", saw={"expired": _written(facts.expires)})


def run_paused(facts: Facts) -> Verdict | None:
    """The run has been paused, by an operator or because they have answered a message: wait for it to be resumed."""
    if not facts.run_paused or (facts.transactional and not facts.paused_wholly):
        return None
    return Verdict("deferred", "run_paused", min(facts.now + HEARD_WITHIN, facts.expires), {"paused": facts.run_paused})


def kill_switch(facts: Facts) -> Verdict | None:
    """An operator has stopped this journey, this channel or everything: wait for the release, as long as the message lives."""
    return Verdict("deferred", "kill_switch", facts.expires, {"stopped": facts.stopped}) if facts.stopped else None


def frequency_cap(facts: Facts) -> Verdict | None:
    """They have had as much as one may get: wait for room, if the message lives that long and its journey does not skip it."""
    caps = (*facts.policy.caps, facts.policy.fewer) if facts.fewer else facts.policy.caps
    if facts.transactional or not (full := [each for cap in caps if (each := _room(cap, facts)) is not None]):
        return None
    room, cap = max(full, key=lambda each: each[0])
    saw = {"cap": str(cap), "room_at": _written(room), "had": [_written(each.at) for each in _counted(cap, facts)][-20:]}
    if facts.waits and room < facts.expires:
        return Verdict("deferred", "frequency_cap", room, saw)
    return Verdict("suppressed", "frequency_cap", saw=saw)


def quiet_hours(facts: Facts) -> Verdict | None:
    """It is night where they are, or may be: wait for the morning, if the message lives that long."""
    hours = facts.policy.hours(facts.channel, facts.country)
    if hours is None or not any(hours.cover(facts.now, zone) for zone in facts.zones):
        return None
    opens = facts.now
    while any(hours.cover(opens, zone) for zone in facts.zones) and opens < facts.now + LONGEST_NIGHT:
        opens = min(hours.over(opens, zone) for zone in facts.zones if hours.cover(opens, zone))
    saw = {"zones": [zone.key for zone in facts.zones], "opens": _written(opens)}
    if opens >= min(facts.expires, facts.now + LONGEST_NIGHT):
        return Verdict("suppressed", "quiet_hours", saw=saw)
    later = opens + facts.policy.spread * share(facts.person)
    held = later >= facts.expires or any(hours.cover(later, zone) for zone in facts.zones)
    return Verdict("deferred", "quiet_hours", opens if held else later, saw)


def holdout(facts: Facts) -> Verdict | None:
    """They are of those who get nothing, so that the rest can be compared with them; this is the message they would have got."""
    if facts.transactional or not facts.held_out or facts.policy.holdout is None:
        return None
    return Verdict("suppressed", "holdout", saw={"holdout": facts.policy.holdout.name, "share": facts.policy.holdout.share})


RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    run_exited,
    suppressed,
    no_address,
    no_consent,
    paused,
    expired,
    run_paused,
    kill_switch,
    frequency_cap,
    quiet_hours,
    holdout,
)


def decide(facts: Facts) -> Verdict:
    """Return the first refusal, in the order of `RULES`, or leave to send."""
    for rule in RULES:
        if (verdict := rule(facts)) is not None:
            return verdict
    return SEND


def timeless(facts: Facts) -> bool:
    """Say whether there is leave to send at any moment before the message expires, as long as nothing but the time changes."""
    counted = not facts.transactional and any(cap.counts(facts.channel, facts.topic) for cap in facts.policy.caps)
    silent = facts.policy.hours(facts.channel, facts.country) is not None
    return not (counted or facts.fewer or silent) and decide(facts) is SEND


def _room(cap: Cap, facts: Facts) -> tuple[datetime, Cap] | None:
    """Return when there is room under the cap, with the cap; None if there is now, or it does not count this message."""
    if not cap.counts(facts.channel, facts.topic):
        return None
    had = _counted(cap, facts)
    if len(had) < cap.limit:
        return None
    if cap.limit == 0:
        return NEVER, cap
    return cap.per.ends(facts.now, facts.zones[0]) if isinstance(cap.per, Calendar) else had[-cap.limit].at + cap.per, cap


def _counted(cap: Cap, facts: Facts) -> list[Past]:
    """Return what the cap counts in the window that it is now, the oldest first."""
    calendar = isinstance(cap.per, Calendar)
    begins = cap.per.begins(facts.now, facts.zones[0]) if isinstance(cap.per, Calendar) else facts.now - cap.per
    mine = [each for each in facts.past if cap.counts(each.channel, each.topic)]
    return sorted((each for each in mine if each.at > begins or (calendar and each.at == begins)), key=lambda each: each.at)


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
