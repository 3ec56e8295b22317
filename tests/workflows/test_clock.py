"""Wall-clock time where a person is, against a computation that only watches the minutes go by."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workflows.clock import EVERY_DAY, WEEKDAYS, WEEKEND, Day, in_words, local, next_reading, next_time, share, zone

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

# Zones with their clock changes, to watch from a day before to a day after.
CHANGES = {
    "Europe/Berlin": (date(2025, 3, 30), date(2025, 10, 26)),
    "America/New_York": (date(2025, 3, 9), date(2025, 11, 2)),
    "America/St_Johns": (date(2025, 3, 9), date(2025, 11, 2)),  # three and a half hours behind
    "America/Havana": (date(2025, 3, 9), date(2025, 11, 2)),  # midnight itself is skipped
    "America/Nuuk": (date(2025, 3, 29), date(2025, 10, 25)),  # the last hour of a day is skipped
    "Australia/Lord_Howe": (date(2025, 4, 6), date(2025, 10, 5)),  # by half an hour
    "Africa/Casablanca": (date(2025, 2, 23), date(2025, 4, 6)),  # back for Ramadan, and forth
    "Asia/Kolkata": (date(2025, 3, 30), date(2025, 10, 26)),  # never
    "Asia/Kathmandu": (date(1986, 1, 1), date(2025, 10, 26)),  # by a quarter of an hour, once
    "Pacific/Apia": (date(2011, 9, 24), date(2011, 12, 30)),  # a whole day is skipped
    "Pacific/Kwajalein": (date(1993, 8, 21), date(2025, 1, 1)),  # this one, too
    "America/Caracas": (date(2007, 12, 9), date(2016, 5, 1)),  # by half an hour, back and forth
}


def watched(now: datetime, at: time, where: ZoneInfo, on: Collection[Day] = EVERY_DAY) -> datetime:
    """Return what `next_time` should: watch the clock on the wall, minute by minute, until it comes to read `at`, or skips it.

    `latest` is the latest reading so far: what is read once more after the clock was put back has been there already.
    """
    minute = now.astimezone(UTC).replace(second=0, microsecond=0) - 2 * DAY
    latest = minute.astimezone(where).replace(tzinfo=None)
    while True:
        minute += MINUTE
        reading = minute.astimezone(where).replace(tzinfo=None)
        if reading > latest:
            if minute > now and _comes_by(latest, reading, at, on):
                return minute
            latest = reading


def _comes_by(latest: datetime, reading: datetime, at: time, on: Collection[Day]) -> bool:
    days = [latest.date() + n * DAY for n in range((reading.date() - latest.date()).days + 1)]
    return any(latest < datetime.combine(day, at) <= reading for day in days if day.weekday() in on)


def change(name: str, which: int) -> datetime:
    return datetime.combine(CHANGES[name][which], time(0), UTC)


quickly = settings(max_examples=30)
moments_of_day = st.builds(time, st.integers(0, 23), st.integers(0, 59))
days_of_week = st.one_of(st.sampled_from([EVERY_DAY, WEEKDAYS, WEEKEND]), st.lists(st.sampled_from(Day), min_size=1, unique=True))
seconds_around = st.integers(-86_400, 2 * 86_400)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", CHANGES)
def test_next_time_is_what_the_watched_clock_comes_to_read(name: str, which: int) -> None:
    where = ZoneInfo(name)

    @quickly
    @given(since=seconds_around, at=moments_of_day)
    @example(since=0, at=time(0))
    @example(since=3 * 3_600, at=time(2, 30))
    @example(since=86_400, at=time(23, 30))
    def matches(since: int, at: time) -> None:
        now = change(name, which) + timedelta(seconds=since)
        assert next_time(now, at, where) == watched(now, at, where)

    matches()


@quickly
@given(
    name=st.sampled_from(sorted(CHANGES)), which=st.sampled_from([0, 1]), since=seconds_around, at=moments_of_day, on=days_of_week
)
def test_next_time_keeps_to_the_days_of_the_week(name: str, which: int, since: int, at: time, on: Collection[Day]) -> None:
    now = change(name, which) + timedelta(seconds=since)
    assert next_time(now, at, ZoneInfo(name), on) == watched(now, at, ZoneInfo(name), on)


@quickly
@given(
    name=st.sampled_from(sorted(CHANGES)),
    now=st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # the zone is beside it
    at=moments_of_day,
    on=days_of_week,
)
def test_next_time_is_strictly_after_now_and_comes_within_eight_days(
    name: str, now: datetime, at: time, on: Collection[Day]
) -> None:
    found = next_time(now, at, ZoneInfo(name), on)
    assert now < found < now + timedelta(days=9)


def test_at_nine_sharp_the_next_nine_is_tomorrows() -> None:
    nine = datetime(2025, 1, 6, 8, tzinfo=UTC)
    assert next_time(nine, time(9), ZoneInfo("Europe/Berlin")) == nine + DAY
    assert next_time(nine - timedelta(microseconds=1), time(9), ZoneInfo("Europe/Berlin")) == nine


@pytest.mark.parametrize(
    ("name", "day", "at", "expected"),
    [
        ("Europe/Berlin", date(2025, 3, 30), time(2, 30), "2025-03-30T03:00:00+02:00"),
        ("Europe/Berlin", date(2025, 3, 30), time(2, 0), "2025-03-30T03:00:00+02:00"),
        ("Europe/Berlin", date(2025, 3, 30), time(1, 59), "2025-03-30T01:59:00+01:00"),
        ("Australia/Lord_Howe", date(2025, 10, 5), time(2, 15), "2025-10-05T02:30:00+11:00"),
        ("America/Havana", date(2025, 3, 9), time(0, 0), "2025-03-09T01:00:00-04:00"),
        ("Pacific/Apia", date(2011, 12, 30), time(9), "2011-12-31T00:00:00+14:00"),
    ],
)
def test_a_time_that_is_skipped_becomes_the_first_instant_after_it(name: str, day: date, at: time, expected: str) -> None:
    assert local(datetime.combine(day, time(12), UTC), at, ZoneInfo(name)) == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("name", "day", "at", "expected"),
    [
        ("Europe/Berlin", date(2025, 10, 26), time(2, 30), "2025-10-26T02:30:00+02:00"),
        ("America/New_York", date(2025, 11, 2), time(1, 0), "2025-11-02T01:00:00-04:00"),
        ("Australia/Lord_Howe", date(2025, 4, 6), time(1, 45), "2025-04-06T01:45:00+11:00"),
        ("Africa/Casablanca", date(2025, 2, 23), time(2, 30), "2025-02-23T02:30:00+01:00"),
    ],
)
def test_a_time_that_is_repeated_means_the_first(name: str, day: date, at: time, expected: str) -> None:
    assert local(datetime.combine(day, time(12), UTC), at, ZoneInfo(name)) == datetime.fromisoformat(expected)


def test_between_the_two_readings_of_a_repeated_time_the_next_is_tomorrows() -> None:
    between = datetime.fromisoformat("2025-10-26T02:45:00+02:00")
    assert next_time(between, time(2, 30), ZoneInfo("Europe/Berlin")) == datetime.fromisoformat("2025-10-27T02:30:00+01:00")


def test_a_reading_counts_both_times_it_is_there() -> None:
    between = datetime.fromisoformat("2025-10-26T02:45:00+02:00")
    assert next_reading(between, time(2, 30), ZoneInfo("Europe/Berlin")) == datetime.fromisoformat("2025-10-26T02:30:00+01:00")


@quickly
@given(name=st.sampled_from(sorted(CHANGES)), which=st.sampled_from([0, 1]), since=seconds_around, at=moments_of_day)
def test_the_next_reading_is_never_later_than_the_next_time(name: str, which: int, since: int, at: time) -> None:
    now, where = change(name, which) + timedelta(seconds=since), ZoneInfo(name)
    assert now < next_reading(now, at, where) <= next_time(now, at, where)


@quickly
@given(
    name=st.sampled_from(sorted(CHANGES)),
    which=st.sampled_from([0, 1]),
    since=seconds_around,
    at=moments_of_day,
    on=days_of_week,
    spread=st.timedeltas(timedelta(0), timedelta(hours=3)),
)
def test_a_spread_is_added_and_decides_no_day(
    name: str, which: int, since: int, at: time, on: Collection[Day], spread: timedelta
) -> None:
    now, where = change(name, which) + timedelta(seconds=since), ZoneInfo(name)
    assert next_time(now, at, where, on, spread) == next_time(now, at, where, on) + spread


@quickly
@given(st.text(min_size=1, max_size=40))
def test_a_share_is_the_same_each_time_and_below_one(person: str) -> None:
    assert 0 <= share(person) < 1
    assert share(person) == share(person)


def test_shares_spread_a_crowd_evenly() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        tenths[int(share(f"user-{number}") * 10)] += 1
    assert max(tenths) < 1.25 * min(tenths)


def test_a_share_does_not_change_between_releases() -> None:
    assert share("user-1") == pytest.approx(0.7764059, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "Europe", "../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "x" * 5000, "zone.tab"]
)
def test_a_zone_that_is_none_is_none(name: str) -> None:
    assert zone(name) is None


def test_a_zone_is_found_by_its_name() -> None:
    assert zone("Asia/Kolkata") == ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(0), "no time"),
        (timedelta(seconds=-3), "no time"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(minutes=90), "1 hour 30 minutes"),
        (timedelta(days=3), "3 days"),
        (timedelta(days=3, hours=1, minutes=5), "3 days 1 hour"),
        (timedelta(days=3, minutes=5), "3 days 5 minutes"),
    ],
)
def test_a_duration_is_said_as_a_person_would(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words
