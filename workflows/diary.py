"""A run told to an operator, in Temporal's markdown: where it stands, and how it came there."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from workflows.clock import zone
from workflows.journey import Journey
from workflows.run import Step

SHOWN = 30


def diary(journey: Journey) -> str:
    """Tell where the run stands now, and its last steps, in the person's own time."""
    memory, where = journey.memory, journey.zone
    lines = [_standing(journey)]
    if memory.paused:
        lines.append(f"**Paused** by {memory.paused}")
    if journey.user.zone and zone(journey.user.zone) is None:
        lines.append(f"The person's time zone {journey.user.zone!r} is unknown; {where.key} is used in its place.")
    if len(memory.log) > SHOWN:
        lines.append(f"{len(memory.log) - SHOWN} earlier steps are not shown.")
    lines.append("\n".join(f"- {_moment(step.at, where)} `{step.key}` {_outcome(step)}" for step in memory.log[-SHOWN:]))
    return "\n\n".join(line for line in lines if line)


def _standing(journey: Journey) -> str:
    at = journey.memory.open
    if at is None:
        return "Between two steps."
    if at.retry_at is not None:
        return f"**`{at.key}`** waits for its gate to open: {_moment(at.retry_at, journey.zone)}"
    return f"**`{at.key}`** until {_moment(at.deadline, journey.zone)}"


def _moment(moment: datetime, where: ZoneInfo) -> str:
    return f"{moment.astimezone(where):%a %d %b %Y %H:%M %Z}"


def _outcome(step: Step) -> str:
    match step.outcome:
        case {"status": status, "reason": reason}:
            return f"{status}: {reason}" if reason else str(status)
        case bool(belongs):
            return "yes" if belongs else "no"
        case int(seq):
            return f"event {seq}"
        case str(variant):
            return variant
    return "timed out" if step.key.startswith("wait:") else "done"
