"""Why, in plain words: one sentence for a message, a run, a trigger or a rule. Values in, words out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from store.tables import Delivery, Run
from workflows.rules import Verdict
from workflows.wire import Standing

AFTERWARDS = ("sent", "delivered", "opened", "clicked", "replied", "bounced", "complained", "failed")


def moment(at: datetime, where: ZoneInfo) -> str:
    """Say when, where the person is and in UTC: 'Mon 2 Mar 2026 10:30 CET (09:30 UTC)'."""
    there, here = at.astimezone(where), at.astimezone(UTC)
    said = f"{there:%a} {there.day} {there:%b %Y %H:%M %Z}"
    if there.utcoffset() == here.utcoffset():
        return said
    return f"{said} ({here:%H:%M} UTC)" if there.date() == here.date() else f"{said} ({here.day} {here:%b %H:%M} UTC)"


def whole(words: str) -> str:
    """End a sentence whose last words are somebody else's."""
    return words if words.endswith((".", "?", "!")) else f"{words}."


# Rules


def rule(reason: str, saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    """Say why the gate says no, by the rule that does and the facts it saw."""
    words = RULES.get(reason)
    return words(saw, channel, topic, where) if words else reason


def _when(saw: Mapping[str, Any], name: str, where: ZoneInfo) -> str:
    """Say a moment that a rule saw; '' if it saw none."""
    written = saw.get(name)
    return moment(datetime.fromisoformat(written), where) if written else ""


def _suppressed(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    cause = f" ({saw['cause']})" if saw.get("cause") else ""
    return f"nothing may go to their address on {channel}{cause}"


def _no_consent(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    if saw.get("granted") is None and saw.get("opt_in"):
        return f"topic {topic!r} is opt-in, and they have not said yes to it on {channel}"
    return f"they said no to topic {topic!r} on {channel}"


def _paused(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    until = _when(saw, "until", where)
    return "they asked for a pause" + (f", which lasts until {until}" if until else "")


def _expired(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    at = _when(saw, "expired", where)
    return "its time was over" + (f" at {at}" if at else "")


def _kill_switch(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    stopped = saw.get("stopped") or "it"
    if choice := saw.get("choice"):
        return f"an operator had stopped {stopped}, and chose to {choice} what had become due"
    return f"an operator has stopped {stopped}"


def _frequency_cap(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    if "cap" not in saw:
        return "they have had as many messages as anybody may get"
    room = _when(saw, "room_at", where) if not str(saw.get("room_at", "")).startswith("9999") else ""
    had = len(saw.get("had", ()))
    return f"the cap is {saw['cap']}, and they have had {had}" + (f"; there is room from {room}" if room else "")


def _quiet_hours(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    zones, opens = ", ".join(saw.get("zones", ())), _when(saw, "opens", where)
    return f"it is quiet hours for {channel}" + (f" in {zones}" if zones else "") + (f" until {opens}" if opens else "")


def _holdout(saw: Mapping[str, Any], channel: str, topic: str, where: ZoneInfo) -> str:
    share = f" of {saw['share']:.0%} of all people" if "share" in saw else ""
    return f"they are in the holdout {saw.get('holdout', '')!r}{share}, who get nothing so that the rest can be compared with them"


RULES: Mapping[str, Callable[[Mapping[str, Any], str, str, ZoneInfo], str]] = {
    "suppressed": _suppressed,
    "no_address": lambda saw, channel, topic, where: f"there is no address, number or token of theirs on {channel}",
    "no_consent": _no_consent,
    "paused": _paused,
    "expired": _expired,
    "run_paused": lambda saw, channel, topic, where: f"the run is paused: {saw.get('paused', 'they answered a message')}",
    "kill_switch": _kill_switch,
    "released": lambda saw, channel, topic, where: f"an operator has released {saw.get('stopped', 'it')}",
    "frequency_cap": _frequency_cap,
    "quiet_hours": _quiet_hours,
    "holdout": _holdout,
    "skipped by an operator": lambda saw, channel, topic, where: "an operator skipped it",
}


def verdict(said: Verdict, channel: str, topic: str, where: ZoneInfo) -> str:
    """Say what the gate decides now."""
    why = rule(said.reason, said.saw, channel, topic, where)
    match said.status:
        case "send":
            return "It would be sent: no rule refuses."
        case "exited":
            return f"It would not be sent: the run is over: {why}."
        case "deferred":
            assert said.retry_at is not None
            return f"It would wait until {moment(said.retry_at, where)}: {why}."
    return f"It would not be sent: {why}."


# Messages


def message(row: Delivery, where: ZoneInfo) -> str:
    """Say what became of a message, and why."""
    why, at = rule(row.reason, row.saw, row.channel, row.topic, where), moment(row.at, where)
    match row.status:
        case "sent":
            return _sent(row, where)
        case "suppressed":
            return whole(f"Not sent, {at}: {why}")
        case "exited":
            return whole(f"Not sent, {at}: the run was over: {row.reason}")
        case "deferred":
            return f"Waits until {moment(row.retry_at, where)}: {why}." if row.retry_at else f"Waits: {why}."
        case "retrying":
            return whole(f"Not sent yet, after {_times(row.attempts)}, and tried again: {row.reason}")
        case "intent":
            return f"Being sent: an attempt began {at} and has not ended."
        case "failed":
            return whole(f"Not sent, {at}: {row.reason}")
        case "held":
            return whole(f"May have arrived or not, and is held until an operator says what became of it: {row.reason}")
    return whole(f"May have arrived or not, {at}, and is not sent again: {row.reason}")


def _sent(row: Delivery, where: ZoneInfo) -> str:
    by = f" by {row.provider}" if row.provider else ""
    after = [f"{what} {moment(at, where)}" for what, at in afterwards(row.happened)]
    doubt = ["an earlier attempt was in doubt, so it may have arrived twice"] if row.doubted and row.attempts > 1 else []
    return "; ".join([f"Sent {moment(row.at, where)}{by}", *after, *doubt]) + "."


def afterwards(happened: Mapping[str, Any]) -> list[tuple[str, datetime]]:
    """Return what happened to a message after it was sent, and when, in order."""
    known = [(what, at) for what in AFTERWARDS if what != "sent" and isinstance(at := happened.get(what), str)]
    return sorted(((what, datetime.fromisoformat(at)) for what, at in known), key=lambda each: each[1])


def _times(attempts: int) -> str:
    return "one attempt" if attempts == 1 else f"{attempts} attempts"


# Runs


def run(row: Run, stand: Standing | None, parked: str | None, where: ZoneInfo) -> str:
    """Say how a run is: since when, on what, and where it stands or how it ended."""
    begun = f"Run {row.id} began {moment(row.started_at, where)} on {row.trigger!r}"
    if row.ended_at is not None:
        why = f" ({row.reason})" if row.reason else ""
        return f"{begun} and is over since {moment(row.ended_at, where)}: {row.status}{why}."
    if row.status == "starting":
        return f"{begun} and is about to start on Temporal."
    if parked is not None:
        return f"{begun} and is parked: {parked}."
    return f"{begun} and {place(row, stand, where)}."


def place(row: Run, stand: Standing | None, where: ZoneInfo) -> str:
    """Say where an open run stands."""
    if stand is None:
        held = "is paused; " if row.paused else ""
        return f"{held}does not say where it stands: it is between two steps, or Temporal or its worker is away"
    by = f"is paused by {stand.paused}, " if stand.paused else ""
    if stand.retry_at is not None:
        return f"{by}waits at {stand.step!r} for its gate to open, {moment(stand.retry_at, where)}"
    if stand.deadline is None:
        return f"{by}stands between two steps"
    return f"{by}stands at {stand.step!r}, until {moment(stand.deadline, where)} at the latest"


def absent(wanted: str, row: Run, stand: Standing | None, reachable: bool | None, where: ZoneInfo) -> str:
    """Say why a run has no such message. `reachable` is whether it may still come to it, None if its source does not tell."""
    if row.ended_at is not None:
        why = f": {row.reason}" if row.reason else ""
        return f"Run {row.id} ended ({row.status}{why}) without coming to {wanted!r}."
    if row.status == "starting":
        return f"Run {row.id} has not started on Temporal yet, so it has not come to {wanted!r}."
    if reachable is False:
        return f"Run {row.id} has passed {wanted!r} by: it {place(row, stand, where)}, from where that message cannot come."
    may = "; it may still come" if reachable else ""
    return f"Run {row.id} has not come to {wanted!r}: it {place(row, stand, where)}{may}."


# Names


def meant(name: str, known: Sequence[str]) -> str:
    """Say what there is, and what was probably meant."""
    near = get_close_matches(name, known, n=1)
    there_is = f"there is {', '.join(known)}" if known else "there is none"
    return f"did you mean {near[0]!r}? {there_is}" if near else there_is
