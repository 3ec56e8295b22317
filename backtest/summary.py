"""What does a backtest say? Its counts as answers, plain JSON, from which the terminal and the page are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from backtest.parting import Known
from backtest.records import moment
from backtest.tally import IN_RUN, Tally

CANNOT_KNOW = (
    "How people would have reacted: what they did is what they did after what they were really sent, not after these messages.",
    "Opens, clicks, replies and bounces of these messages: a journey that waits for one of them waits in vain here.",
    "What a provider would have refused: every message that the gate lets through counts as sent.",
)
FROM_FILE = "Who had opted out, asked for a pause or was suppressed: a file of calls does not say, so nobody is taken to have."
FROM_STORE = (
    "Who had asked for a pause or for fewer messages at the time, for the store keeps only what holds today; what operators "
    "stopped, skipped or ended; and runs that an app asked for."
)
TAKEN = "Who could be reached: {why}, so everybody is taken to be reachable by {channels}."


def summary(tally: Tally) -> dict[str, Any]:
    """Return the answers of one side of a backtest: who entered, what they got or did not and why, how far they came."""
    runs = sum(tally.entries.values())
    return {
        "people": tally.people,
        "entered": tally.entered,
        "runs": runs,
        "written_to": tally.written_to,
        "messages": sum(tally.sent.values()),
        "entries_by_day": dict(sorted(tally.entries.items())),
        "sent_by_day": _nested(tally.sent),
        "sent_by_channel": _by(tally.sent, 1),
        "templates": [
            {"channel": channel, "template": template, "status": status, "messages": count}
            for (channel, template, status), count in sorted(tally.messages.items())
        ],
        "not_sent": _reasons(tally.withheld),
        "put_off": _reasons(tally.put_off),
        "ends": [
            {"status": status, "reason": reason, "runs": count}
            for (status, reason), count in sorted(tally.ends.items(), key=lambda each: (-each[1], each[0]))
        ],
        "funnel": _funnel(tally, runs),
        "goal": _goal(tally, runs),
        "messages_a_person_a_week": {str(messages): weeks for messages, weeks in sorted(tally.weeks.items())},
        "broken": [
            {"error": error, "people": count, "such_as": tally.examples.get(error, [])}
            for error, count in sorted(tally.broken.items(), key=lambda each: (-each[1], each[0]))
        ],
    }


def of_events(known: Known, tally: Tally) -> dict[str, Any]:
    """Say what the events were, and what of them could not be used."""
    return {
        "lines": known.lines,
        "calls": known.calls,
        "refused": known.refused,
        "refused_such_as": [{"line": line, "reason": reason} for line, reason in known.shown],
        "first": None if known.first is None else moment(known.first).isoformat(),
        "last": None if known.last is None else moment(known.last).isoformat(),
        "unknown_events": _odd(tally, "unknown"),
        "invalid_events": _odd(tally, "invalid"),
        "not_for_apps": _odd(tally, "ours"),
        "repeated": sum(_odd(tally, "doubled").values()),
    }


def _odd(tally: Tally, kind: str) -> dict[str, int]:
    found = ((name, count) for (what, name), count in tally.odd.items() if what == kind)
    return dict(sorted(found, key=lambda each: (-each[1], each[0])))


def _nested(counted: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), count in sorted(counted.items()):
        nested.setdefault(outer, {})[inner] = count
    return nested


def _by(counted: Mapping[tuple[str, str], int], place: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for key, count in counted.items():
        found[key[place]] += count
    return dict(sorted(found.items()))


def _reasons(counted: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    rows = sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    return [{"reason": reason, "channel": channel, "messages": count} for (reason, channel), count in rows]


def _funnel(tally: Tally, runs: int) -> list[dict[str, Any]]:
    """Return the steps in the order in which runs come to them."""
    return [
        {
            "step": step,
            "runs": tally.reached[step],
            "share": _share(tally.reached[step], runs),
            "outcomes": dict(_most(((how, count) for (of, how), count in tally.outcomes.items() if of == step and how))),
        }
        for step in tally.in_order()
    ]


def _most(counted: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counted, key=lambda each: (-each[1], each[0]))


def _goal(tally: Tally, runs: int) -> dict[str, Any]:
    reached = sum(tally.goal.values())
    by_days: Counter[int] = Counter()
    for (days, _), count in tally.goal.items():
        by_days[days] += count
    return {
        "reached": reached,
        "share": _share(reached, runs),
        "in_the_run": sum(count for (_, when), count in tally.goal.items() if when == IN_RUN),
        "by_days_since_entry": {str(days): count for days, count in sorted(by_days.items())},
        "median_days": _median(by_days),
    }


def _median(counted: Mapping[int, int]) -> int | None:
    """Return the value that half of what is counted does not go beyond."""
    half, so_far = sum(counted.values()) / 2, 0
    for value, count in sorted(counted.items()):
        so_far += count
        if so_far >= half:
            return value
    return None


def _share(part: int, of: int) -> float:
    return round(part / of, 4) if of else 0.0
