"""What a person did, as segments need it: by one indexed query for each window, and told as of any event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, case, func, literal_column, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from store.many import among
from store.tables import AcceptedEvent, Id, Moment
from workflows.lifecycle import in_force
from workflows.segments import Facts, Performed, Segment, activity, parts_of

Windows = Mapping[str, timedelta | None]  # by the event's name, how far back it is looked at: None is for ever

# As the index has it, in the same words.
happened_at = case(
    (col(AcceptedEvent.occurred_at) < col(AcceptedEvent.accepted_at), col(AcceptedEvent.occurred_at)),
    else_=col(AcceptedEvent.accepted_at),
)
# What the person did themselves: not what was asked for in their name, nor what one run alone was told.
counted = (
    col(AcceptedEvent.kind) == literal_column("'track'"),
    col(AcceptedEvent.run_id).is_(None),
    col(AcceptedEvent.status).in_([literal_column("'pending'"), literal_column("'routed'")]),
)


EVER, LAST = datetime(1, 1, 2, tzinfo=UTC), 2**62

# Made once: making a statement costs more than running it.
theirs = (
    col(AcceptedEvent.person_id) == bindparam("person"),
    among(col(AcceptedEvent.name), "names"),
    col(AcceptedEvent.id) + literal_column("0") < bindparam("before", type_=Id),  # not by the index on ids: that is all they did
    *counted,
)
told: tuple[Any, ...] = (col(AcceptedEvent.name), happened_at, col(AcceptedEvent.id))
with_data: Any = select(*told, col(AcceptedEvent.data)).where(*theirs, happened_at > bindparam("after"))
without_data: Any = select(*told, literal_column("NULL")).where(*theirs, happened_at > bindparam("after"))
earliest: Any = select(func.min(happened_at, type_=Moment)).where(*theirs)


@dataclass
class History:
    """A person's past. What was accepted after an event can be left out, so that each event is judged as of itself."""

    met: datetime
    traits: Mapping[str, Any]
    first: datetime | None = None  # when they first did something that counts for the lifecycle
    events: dict[str, list[tuple[datetime, int, Mapping[str, Any]]]] = field(default_factory=dict)

    def facts(self, up_to: int | None = None) -> Facts:
        """Return what was known once the event of that number was accepted; all that is known, without one."""
        told = {
            name: [(at, data) for at, seq, data in happened if up_to is None or seq <= up_to]
            for name, happened in self.events.items()
        }
        acted = [happened[0][0] for name in activity() if (happened := told.get(name))]
        return Facts(min([self.met, *acted, *([self.first] if self.first else [])]), told, self.traits)

    def take(self, events: Iterable[AcceptedEvent]) -> None:
        """Take in events that are not in the store's past yet."""
        for event in events:
            if event.kind == "track" and event.run_id is None and event.id is not None:
                at = min(event.occurred_at, event.accepted_at)
                self.events.setdefault(event.name, []).append((at, event.id, event.data))
        for happened in self.events.values():
            happened.sort(key=lambda each: each[:2])


def windows_of(segments: Sequence[Segment], *, by_state: bool) -> Windows:
    """Return how far back these segments, and with `by_state` the lifecycle, look at which events."""
    windows: dict[str, timedelta | None] = dict.fromkeys(activity(), in_force().horizon) if by_state else {}
    for segment in segments:
        for name, window in segment.windows.items():
            before = windows.get(name, timedelta(0))
            windows[name] = None if before is None or window is None else max(before, window)
    return windows


def with_fields(segments: Sequence[Segment]) -> frozenset[str]:
    """Return the names of the events whose fields these segments ask for."""
    parts = (part for segment in segments for part in parts_of(segment.expression))
    return frozenset(part.event for part in parts if isinstance(part, Performed) and part.where)


async def read(
    session: AsyncSession,
    history: History,
    person_id: int,
    segments: Sequence[Segment],
    *,
    by_state: bool,
    since: datetime,
    before: int | None = None,
) -> History:
    """Read what these segments need to be judged from `since` on, up to the event `before`, which is left out."""
    windows, asked = windows_of(segments, by_state=by_state), with_fields(segments)
    connection = await session.connection()
    mine = {"person": person_id, "before": LAST if before is None else before}
    for window in sorted(set(windows.values()), key=lambda each: each or timedelta.max):
        names = [name for name, each in windows.items() if each == window]
        query = with_data if asked.intersection(names) else without_data
        params = {**mine, "names": names, "after": EVER if window is None else since - window}
        for name, at, seq, data in await connection.execute(query, params):
            history.events.setdefault(name, []).append((at, seq or 0, data or {}))
    if by_state:
        history.first = await connection.scalar(earliest, {**mine, "names": activity()})
    for happened in history.events.values():
        happened.sort(key=lambda each: each[:2])
    return history
