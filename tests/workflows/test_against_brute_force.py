"""Quiet hours and caps across clock changes, against another implementation that walks through time minute by minute.

It knows nothing of ours: it asks a clock on the wall, and nothing else. What it needs to be true is that hours begin and end,
and clocks change, on whole minutes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workflows.clock import EVERY_DAY, WEEKDAYS, Day
from workflows.policy import Calendar, Cap, Policy, QuietHours
from workflows.rules import Facts, Past, decide

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
AROUND = 3  # days before a change and after

# Both changes of a year, by the day in UTC on which they are. Two zones have none: controls.
CHANGES = {
    "Europe/Berlin": ("2025-03-30", "2025-10-26"),
    "America/New_York": ("2025-03-09", "2025-11-02"),
    "America/St_Johns": ("2025-03-09", "2025-11-02"),  # half an hour off the hour
    "Australia/Lord_Howe": ("2025-04-05", "2025-10-04"),  # changes by half an hour
    "Australia/Adelaide": ("2025-04-05", "2025-10-04"),  # half an hour off, in the south
    "Pacific/Chatham": ("2025-04-05", "2025-09-27"),  # three quarters of an hour off
    "Africa/Casablanca": ("2025-02-23", "2025-04-06"),  # by Ramadan
    "America/Santiago": ("2025-04-06", "2025-09-07"),  # at midnight: on one day a year there is none
    "Asia/Kolkata": ("2025-03-30", "2025-10-26"),
    "Asia/Kathmandu": ("2025-03-30", "2025-10-26"),
}
BOTH = [(zone, day) for zone, days in CHANGES.items() for day in days]
WINDOWS = {
    "night": QuietHours(time(21), time(8)),
    "early": QuietHours(time(1, 30), time(2, 30)),
    "into the change": QuietHours(time(22), time(2, 30)),
    "out of the change": QuietHours(time(2, 15), time(9)),
    "to midnight": QuietHours(time(18), time(0)),
    "from midnight": QuietHours(time(0), time(7, 45)),
    "at work on weekdays": QuietHours(time(17), time(9), days=WEEKDAYS),
    "on one day": QuietHours(time(0, 15), time(0, 30), days=(Day.WEDNESDAY,)),
}


# The other implementation.


@dataclass(frozen=True)
class Wall:
    """A clock on the wall, for some weeks: what it reads in each minute."""

    begins: datetime
    reads: Sequence[datetime]

    def minute(self, moment: datetime) -> int:
        return int((moment - self.begins) // MINUTE)

    def at(self, minute: int) -> datetime:
        return self.begins + minute * MINUTE


@cache
def wall(zone: str, around: str) -> Wall:
    begins = datetime.fromisoformat(around).replace(tzinfo=UTC) - 9 * DAY
    moments = [begins + each * MINUTE for each in range(45 * 24 * 60)]
    return Wall(begins, [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in moments])


def is_silent(reads: datetime, hours: QuietHours) -> bool:
    if Day(reads.weekday()) not in hours.days:
        return True
    at, start, end = (each.hour * 60 + each.minute for each in (reads.time(), hours.start, hours.end))
    return start <= at < end if start <= end else not end <= at < start


def speaks_again(clock: Wall, now: int, hours: QuietHours) -> int:
    """Return the first minute from `now` on in which it is not silent."""
    return next(each for each in range(now, len(clock.reads)) if not is_silent(clock.reads[each], hours))


def period(reads: datetime, window: Calendar) -> tuple[int, ...]:
    match window:
        case Calendar.DAY:
            return reads.timetuple()[:3]
        case Calendar.WEEK:
            return reads.isocalendar()[:2]
        case Calendar.MONTH:
            return reads.timetuple()[:2]


def has_room(clock: Wall, now: int, past: Sequence[int], limit: int, window: timedelta | Calendar) -> bool:
    if isinstance(window, timedelta):
        return sum(0 <= now - each < window // MINUTE for each in past) < limit
    this = period(clock.reads[now], window)
    return sum(each <= now and period(clock.reads[each], window) == this for each in past) < limit


def room_again(clock: Wall, now: int, past: Sequence[int], limit: int, window: timedelta | Calendar) -> int:
    return next(each for each in range(now, len(clock.reads)) if has_room(clock, each, past, limit, window))


# Both, side by side.


def facts(now: datetime, zone: str, policy: Policy, past: Sequence[datetime] = ()) -> Facts:
    return Facts(
        now=now,
        expires=now + 60 * DAY,
        zones=(ZoneInfo(zone),),
        channel="email",
        topic="news",
        policy=policy,
        past=tuple(Past(each, "email", "news") for each in past),
    )


@pytest.mark.parametrize(("zone", "changes"), BOTH, ids=[f"{zone} {day}" for zone, day in BOTH])
def test_the_zones_change_when_this_test_says_so(zone: str, changes: str) -> None:
    """Otherwise it would walk over days on which nothing happens."""
    where, day = ZoneInfo(zone), datetime.fromisoformat(changes).replace(tzinfo=UTC)
    offsets = {(day + each * HOUR).astimezone(where).utcoffset() for each in range(-1, 25)}
    assert len(offsets) == (1 if zone in ("Asia/Kolkata", "Asia/Kathmandu") else 2)


@pytest.mark.parametrize("hours", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize(("zone", "changes"), BOTH, ids=[f"{zone} {day}" for zone, day in BOTH])
def test_quiet_hours_are_over_when_a_clock_on_the_wall_says_so(zone: str, changes: str, hours: QuietHours) -> None:
    """For every quarter of an hour of the day of the change and of those beside it, and the minute before it."""
    clock, policy = wall(zone, changes), Policy(quiet_hours={"email": hours})
    first = clock.minute(datetime.fromisoformat(changes).replace(tzinfo=UTC) - DAY)
    last = first + 3 * 24 * 60
    opens = speaks_again(clock, last, hours)
    for now in range(last, first, -1):
        opens = opens if is_silent(clock.reads[now], hours) else now
        if now % 15 not in (0, 14):
            continue
        verdict = decide(facts(clock.at(now), zone, policy))
        expected = ("send", None) if opens == now else ("deferred", clock.at(opens))
        assert (verdict.status, verdict.retry_at) == expected, f"at {clock.reads[now]} there"


WALLS = st.times().map(lambda at: at.replace(second=0, microsecond=0, tzinfo=None))


@settings(max_examples=200)
@given(
    change=st.sampled_from(BOTH),
    minute=st.integers(-AROUND * 24 * 60, AROUND * 24 * 60),
    start=WALLS,
    end=WALLS,
    days=st.one_of(st.just(EVERY_DAY), st.sets(st.sampled_from(Day), min_size=1)),
)
@example(change=("Europe/Berlin", "2025-10-26"), minute=90, start=time(22), end=time(2, 30), days=EVERY_DAY)
@example(change=("Africa/Casablanca", "2025-02-23"), minute=0, start=time(0), end=time(2, fold=1), days=EVERY_DAY)
@example(change=("America/Santiago", "2025-09-07"), minute=0, start=time(12), end=time(0), days=EVERY_DAY)
def test_any_hours_are_over_when_a_clock_on_the_wall_says_so(
    change: tuple[str, str], minute: int, start: time, end: time, days: Sequence[Day]
) -> None:
    clock, hours = wall(*change), QuietHours(start, end, tuple(days))
    now = clock.minute(datetime.fromisoformat(change[1]).replace(tzinfo=UTC)) + minute
    verdict = decide(facts(clock.at(now), change[0], Policy(quiet_hours={"email": hours})))
    opens = speaks_again(clock, now, hours)
    assert (verdict.status, verdict.retry_at) == (("send", None) if opens == now else ("deferred", clock.at(opens)))


ROLLING = [HOUR, 6 * HOUR, DAY, 7 * DAY]


@settings(max_examples=100)
@given(
    change=st.sampled_from(BOTH),
    minute=st.integers(-AROUND * 24 * 60, AROUND * 24 * 60),
    ago=st.lists(st.integers(0, 4 * 24 * 60), max_size=4),
    limit=st.integers(1, 4),
    window=st.sampled_from([*Calendar, *ROLLING]),
)
def test_a_cap_has_room_when_a_clock_on_the_wall_says_so(
    change: tuple[str, str], minute: int, ago: Sequence[int], limit: int, window: timedelta | Calendar
) -> None:
    clock = wall(*change)
    now = clock.minute(datetime.fromisoformat(change[1]).replace(tzinfo=UTC)) + minute
    past = sorted(now - each for each in ago)
    policy = Policy(quiet_hours={}, caps=(Cap(limit, window),))
    verdict = decide(facts(clock.at(now), change[0], policy, [clock.at(each) for each in past]))
    room = room_again(clock, now, past, limit, window)
    assert (verdict.status, verdict.retry_at) == (("send", None) if room == now else ("deferred", clock.at(room)))


@pytest.mark.parametrize("window", [Calendar.DAY, 25 * HOUR], ids=str)
@pytest.mark.parametrize(("zone", "changes"), BOTH, ids=[f"{zone} {day}" for zone, day in BOTH])
def test_whoever_is_written_to_whenever_there_is_room_gets_no_more_than_the_cap(
    zone: str, changes: str, window: timedelta | Calendar
) -> None:
    """Days on which ours says when, and the other counts; the same moments as if the other had said when."""
    clock, policy = wall(zone, changes), Policy(quiet_hours={"email": QuietHours(time(22), time(2, 30))}, caps=(Cap(2, window),))
    begins = now = clock.minute(datetime.fromisoformat(changes).replace(tzinfo=UTC)) - AROUND * 24 * 60
    ours, theirs = list[int](), list[int]()
    while now < begins + 5 * 24 * 60:
        verdict = decide(facts(clock.at(now), zone, policy, [clock.at(each) for each in ours]))
        if verdict.status == "send":
            ours.append(now)
            now += 37
        else:
            assert verdict.retry_at is not None
            now = clock.minute(verdict.retry_at)
    now = begins
    while now < begins + 5 * 24 * 60:
        silent = is_silent(clock.reads[now], policy.quiet_hours["email"])
        if not silent and has_room(clock, now, theirs, 2, window):
            theirs.append(now)
            now += 37
        else:
            now += 1
    assert ours == theirs
    assert len(ours) >= 8
    if isinstance(window, timedelta):
        assert all(bisect_right(ours, each + window // MINUTE - 1) - place <= 2 for place, each in enumerate(ours))
