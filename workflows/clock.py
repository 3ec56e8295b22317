"""Wall-clock time where a person is: pure functions of the moment, the zone and the person."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo


class Day(IntEnum):
    """A day of the week, numbered as `date.weekday` does."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


EVERY_DAY = tuple(Day)
WEEKDAYS = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY)
WEEKEND = (Day.SATURDAY, Day.SUNDAY)


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """Return the IANA zone of that name, or None if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def share(person: str) -> float:
    """Return a number from 0 up to 1 that is always the same for this person."""
    return int.from_bytes(hashlib.sha256(person.encode()).digest()[:8], "big") / 2**64


def local(day: datetime, at: time, where: ZoneInfo) -> datetime:
    """Return, in UTC, the moment the clock on the wall reads `at` on that day.

    A reading that a clock change skips becomes the first instant after the change; one that it repeats means the first
    (PEP 495, `fold=0`).
    """
    reading = datetime.combine(day.date(), at.replace(fold=0), where)
    moment = reading.astimezone(UTC)
    if moment.astimezone(where).replace(tzinfo=None) == reading.replace(tzinfo=None):
        return moment
    return _change(reading.replace(fold=1).astimezone(UTC), moment, where)


def _change(before: datetime, after: datetime, where: ZoneInfo) -> datetime:
    """Find the instant between two moments at which the zone's offset changes, to the second."""
    old = before.astimezone(where).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, where).utcoffset() == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def next_time(
    now: datetime, at: time, where: ZoneInfo, on: Collection[Day] = EVERY_DAY, spread: timedelta = timedelta(0)
) -> datetime:
    """Return, in UTC, the next moment strictly after `now` at which it is `at` there, on one of those days, plus `spread`.

    `spread` is what has to be added for this person: the caller's share of it, already taken. It has no say in which day it is,
    so that a crowd that comes at 09:05 is told the same day, whatever their shares.
    """
    day = now.astimezone(where) - timedelta(days=1)
    while True:
        if day.weekday() in on:
            moment = local(day, at, where)
            if moment > now:
                return moment + spread
        day = datetime.combine(day.date() + timedelta(days=1), time(12), where)


def next_reading(now: datetime, at: time, where: ZoneInfo) -> datetime:
    """Return, in UTC, the next moment strictly after `now` at which the clock there reads `at`; of a repeated time, each counts."""
    found = next_time(now, at, where)
    again = datetime.combine(now.astimezone(where).date(), at.replace(fold=1), where).astimezone(UTC)
    reads = again.astimezone(where).time().replace(fold=0) == at.replace(fold=0)
    return again if reads and now < again < found else found


def next_change(now: datetime, until: datetime, where: ZoneInfo) -> datetime | None:
    """Return, in UTC, when the clock there is changed between two moments that are not far apart; None if it is not."""
    changes = now.astimezone(where).utcoffset() != until.astimezone(where).utcoffset()
    return _change(now, until, where) if changes else None


def in_words(duration: timedelta) -> str:
    """Say a duration as a person would: '3 days', '1 hour 30 minutes'."""
    seconds = max(0, round(duration.total_seconds()))
    parts = []
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}" + ("s" if count > 1 else ""))
    return " ".join(parts[:2]) or "no time"
