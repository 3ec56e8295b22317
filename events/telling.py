"""Telling the team by signed webhook (Standard Webhooks): again and again until its endpoint has taken it, or for three days."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json
from sqlmodel import col, select

from events.for_ever import for_ever
from settings import EndpointSetting, Settings
from store.session import Store, database_clock
from store.tables import Endpoint, Notice, Person

log = logging.getLogger(__name__)

EVERY = timedelta(seconds=1)
AT_ONCE = 5
POST_SECONDS = 20
LEASE = timedelta(minutes=2)  # longer than all the attempts that one claim makes may take
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# From an attempt to the next one: Standard Webhooks' own example.
SCHEDULE = (timedelta(seconds=5), 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
GONE = 410

notices = Notice.__table__  # type: ignore[attr-defined]

clock = select(database_clock())
some_are_due = select(Notice.id).where(col(Notice.due_at) <= database_clock()).limit(1)
those_due = (
    select(Notice, Person.user_id)
    .outerjoin(Person, col(Person.id) == Notice.person_id)
    .where(col(Notice.due_at) <= database_clock())
    .order_by(col(Notice.due_at))
    .limit(AT_ONCE)
    .with_for_update(skip_locked=True, of=Notice)
)


# Posts a body to a URL with these headers, and returns the status of the answer and what its Retry-After says. Raises anything
# where there is no answer.
Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[tuple[int, timedelta | None]]]


@dataclass(frozen=True)
class Answer:
    """What came of an attempt: `error` says why the notice was not taken, '' if it was."""

    error: str
    gone: bool = False
    retry_after: timedelta = timedelta(0)


@dataclass(frozen=True)
class Due:
    """A notice that is ours to tell: nobody else tries it before its lease is over."""

    id: int
    key: str
    attempt: int
    body: bytes


async def tell_for_ever(store: Store, settings: Settings, post: Post) -> None:
    """Tell the team what it is to be told, as it becomes due, if it has an endpoint."""
    name = settings.team_endpoint
    if name is not None:
        await for_ever("telling the team", lambda: tell(store, name, settings.endpoints[name], post), EVERY)


async def tell(store: Store, name: str, endpoint: EndpointSetting, post: Post) -> int:
    """Try once what is due, each in its turn; nothing while the endpoint is disabled. Returns how many were tried."""
    due = await _claim(store, name)
    for each in due:
        await _record(store, name, each, await _attempt(endpoint, each, post))
    return len(due)


async def _attempt(endpoint: EndpointSetting, due: Due, post: Post) -> Answer:
    try:
        async with asyncio.timeout(POST_SECONDS):
            status, after = await post(endpoint.url, due.body, signed(endpoint, due.key, due.body, datetime.now(UTC)))
    except Exception as error:  # its text may repeat what was posted
        return Answer(f"the endpoint did not answer: {type(error).__name__}")
    refusal = "" if 200 <= status < 300 else f"the endpoint answered {status}"
    return Answer(refusal, gone=status == GONE, retry_after=after or timedelta(0))


def signed(endpoint: EndpointSetting, key: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers of an attempt. The id is the same in every one."""
    return endpoint.signed(key, body, at)


async def _claim(store: Store, name: str) -> list[Due]:
    async with store.read() as session:
        disabled = await session.get(Endpoint, name)
        if (await session.exec(some_are_due)).first() is None or (disabled and disabled.disabled_at):
            return []
    async with store.write() as session:
        until = (await session.exec(clock)).one() + LEASE
        claimed = []
        for notice, user_id in (await session.exec(those_due)).all():
            notice.attempts, notice.due_at = notice.attempts + 1, until
            claimed.append(Due(notice.id or 0, notice.key, notice.attempts, _body(notice, user_id)))
        return claimed


def _body(notice: Notice, user_id: str | None) -> bytes:
    about: dict[str, Any] = {**notice.data, "user_id": user_id}
    return to_json({"type": notice.kind, "timestamp": notice.at.isoformat(timespec="milliseconds"), "data": about})


async def _record(store: Store, name: str, due: Due, answer: Answer) -> None:
    """Write down what came of an attempt. Another one that has begun meanwhile, for ours took too long, has the last word."""
    async with store.write() as session:
        now = (await session.exec(clock)).one()
        notice = (await session.exec(select(Notice).where(Notice.id == due.id, Notice.attempts == due.attempt))).first()
        if answer.gone:
            await session.merge(Endpoint(name=name, disabled_at=now, reason="it answered 410, so it is gone"))
            log.error("endpoint %s answered 410 and is disabled; enable it again once it is there", name)
        if notice is None:
            return
        if not answer.error:
            without_text = {key: value for key, value in notice.data.items() if key != "text"}
            notice.due_at, notice.told_at, notice.error, notice.data = None, now, "", without_text
        else:
            notice.due_at, notice.error = _next(due.attempt, now, answer), answer.error
            if notice.due_at is None:
                log.error("notice %s could not be told in %s attempts, and is given up: %s", due.key, due.attempt, answer.error)


def _next(attempt: int, now: datetime, answer: Answer) -> datetime | None:
    """Return when to try again after that many attempts; None once there have been enough."""
    if attempt > len(SCHEDULE):
        return None
    return now + max(SCHEDULE[attempt - 1], min(answer.retry_after, SCHEDULE[-1]))
