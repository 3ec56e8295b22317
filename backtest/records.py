"""What of a call matters to a backtest? A plain tuple, as small as it can be, for there are millions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from events.calls import Call, Clock
from events.files import Line
from events.joining import joins
from events.lines import Refusal, read

# Whose, when (microseconds since 1970), on which line, of what kind, an event's name, properties or traits, context, message id.
Record = tuple[str, int, int, str, str, dict[str, Any], dict[str, Any], str]
Link = tuple[str, str, bool]  # two names that are one person's, and whether they are so even if each is a userId

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
MICROSECOND = timedelta(microseconds=1)
KEPT = ("track", "identify", "group")
TOLD = ("timezone", "locale", "device")  # of a context
CLOCK = Clock(EPOCH, offset=1.0)  # as of a played stream: a call's own timestamp is when it was, whatever the clock says
NO_TIMESTAMP = "timestamp: it states none, so nobody knows when in the past it was"


def understood(line: Line) -> Call | Refusal:
    """Read a line as a call of some time ago. A refusal says why it tells us nothing."""
    if not line.fault and line.call.get("timestamp") is None:
        return Refusal(line.number, NO_TIMESTAMP)
    return read(line, "", CLOCK)


def record(call: Call, number: int, at: datetime) -> Record | None:
    """Return what matters of a call, at the moment that counts; None if nothing does."""
    context = {name: call.context[name] for name in TOLD if call.context.get(name)}
    if call.kind not in KEPT and not context:
        return None
    return call.user_id, micros(at), number, call.kind, call.name, dict(call.data), context, call.message_id


def links(call: Call) -> Iterator[Link]:
    """Yield what a call says of who is who. An address joins nobody here: it may be of two."""
    if call.kind == "alias" or call.anonymous_id is not None:
        for join in joins(call):
            yield from ((join.name, other, join.firm) for other in join.others if not join.address)


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def moment(at: int) -> datetime:
    """Return the moment that is so many microseconds since 1970."""
    return EPOCH + at * MICROSECOND
