"""What a person did, as segments need it: their past by one indexed query for each window, and then event by event."""

from __future__ import annotations

import logging
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Boolean, and_, bindparam, case, func, literal_column, or_, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from store.columns import Moment
from store.documents import as_stored, fields
from store.many import among
from store.tables import AcceptedEvent
from workflows.lifecycle import in_force
from workflows.segments import Facts, Happened, Performed, Segment, activity, parts_of

log = logging.getLogger(__name__)


class Change(Protocol):
    """What of an event tells which traits it has changed, and from what."""

    @property
    def kind(self) -> str: ...
    @property
    def changed(self) -> Mapping[str, Any]: ...


Windows = Mapping[str, timedelta | None]  # by the event's name, how far back it is looked at: None is for ever

# As the index has it, in the same words.
happened_at = case(
    (col(AcceptedEvent.occurred_at) < col(AcceptedEvent.accepted_at), col(AcceptedEvent.occurred_at)),
    else_=col(AcceptedEvent.accepted_at),
)
# What the person did themselves: not what was asked for in their name, nor what one run alone was told. What was given up by
# the router they did all the same. What waits for it and has not been judged yet is no past, but for who asks how things are.
counted = (
    col(AcceptedEvent.kind) == literal_column("'track'"),
    col(AcceptedEvent.run_id).is_(None),
    or_(
        col(AcceptedEvent.status).in_([literal_column("'routed'"), literal_column("'dead'")]),
        and_(
            col(AcceptedEvent.status) == literal_column("'pending'"),
            or_(col(AcceptedEvent.noted), bindparam("fresh", type_=Boolean())),
        ),
    ),
)

EVER = datetime(1, 1, 2, tzinfo=UTC)

# Made once: making a statement costs more than running it.
theirs = (col(AcceptedEvent.person_id) == bindparam("person"), among(col(AcceptedEvent.name), "names"), *counted)
told: tuple[Any, ...] = (col(AcceptedEvent.id), col(AcceptedEvent.name), happened_at)
with_data: Any = select(*told, as_stored(col(AcceptedEvent.data))).where(*theirs, happened_at > bindparam("after"))
without_data: Any = select(*told, literal_column("NULL")).where(*theirs, happened_at > bindparam("after"))
earliest: Any = select(func.min(happened_at, type_=Moment)).where(*theirs)


@dataclass
class History:
    """What a person did and what their traits were, as of the last event that was taken in."""

    met: datetime
    traits: Mapping[str, Any]
    first: datetime | None = None  # when they first did something that counts for the lifecycle
    events: dict[str, list[Happened]] = field(default_factory=dict)

    def facts(self) -> Facts:
        """Return what is known by now."""
        acted = [happened[0][0] for name in activity() if (happened := self.events.get(name))]
        return Facts(min([self.met, *acted, *([self.first] if self.first else [])]), self.events, self.traits)

    def take(self, event: AcceptedEvent, traits: Mapping[str, Any]) -> None:
        """Take in one event more, and what the person's traits are after it."""
        self.traits = traits
        if event.kind == "track" and event.run_id is None:
            at = min(event.occurred_at, event.accepted_at)
            insort(self.events.setdefault(event.name, []), (at, event.data), key=_moment)

    @property
    def latest(self) -> datetime:
        """The last moment at which something is known to have happened: so it is that late, whatever a clock says."""
        return max((happened[-1][0] for happened in self.events.values()), default=EVER)


def _moment(happened: Happened) -> datetime:
    return happened[0]


def _fields(event: int, name: str, data: str | None) -> Mapping[str, Any] | None:
    said = fields(data)
    if said is None:
        complain(event, name)
    return said


@lru_cache(1024)  # once, and not whenever its person is judged
def complain(event: int, name: str) -> None:
    """Log that nobody can read an event's properties."""
    log.error("event %s (%s) counts as having happened, but its properties cannot be read: no JSON object", event, name)


def traits_along(now: Mapping[str, Any], events: Sequence[Change]) -> list[Mapping[str, Any]]:
    """Return a person's traits before the first of these events and after each: undone one by one, from what they are now.

    A merge undoes nothing: who turns out to be one person has been one all along.
    """
    along = [now]
    for event in reversed(events):
        undone = {} if event.kind == "merge" else event.changed
        along.append({**along[-1], **undone} if undone else along[-1])
    return along[::-1]


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
    fresh: bool = False,
) -> None:
    """Read what these segments need to be judged from `since` on: the past, with `fresh` also what nobody has judged yet."""
    windows, asked = windows_of(segments, by_state=by_state), with_fields(segments)
    connection = await session.connection()
    mine = {"person": person_id, "fresh": fresh}
    for window in sorted(set(windows.values()), key=lambda each: each or timedelta.max):
        names = [name for name, each in windows.items() if each == window]
        are_asked = not asked.isdisjoint(names)
        params = {**mine, "names": names, "after": EVER if window is None else since - window}
        for event, name, at, data in await connection.execute(with_data if are_asked else without_data, params):
            history.events.setdefault(name, []).append((at, _fields(event, name, data) if are_asked else {}))
    if by_state:
        history.first = await connection.scalar(earliest, {**mine, "names": activity()})
    for happened in history.events.values():
        happened.sort(key=_moment)
