"""The gate's rules: which comes first, and when quiet hours end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from workflows.policy import Calendar, Cap, Holdout, Policy, QuietHours, Topic
from workflows.rules import RULES, Facts, Past, Verdict, decide

NIGHT = QuietHours(time(21), time(8))
SIESTA = QuietHours(time(13), time(15))
NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
LATE = datetime(2025, 1, 6, 23, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def facts(now: datetime = NOON, zone: str = "UTC", hours: QuietHours = NIGHT, **more: Any) -> Facts:
    given_or_usual: dict[str, Any] = {"channel": "push", "topic": "onboarding", "expires": now + DAY, **more}
    laid_down = Policy(
        topics=(Topic("deals", opt_in=True),),
        caps=(Cap(1, timedelta(hours=6), channel="push"),),
        quiet_hours={"push": hours},
        holdout=Holdout(0.5),
    )
    return Facts(now=now, zones=(ZoneInfo(zone),), policy=laid_down, **given_or_usual)


def test_a_message_goes_out_when_nothing_speaks_against_it() -> None:
    assert decide(facts()) == Verdict("send")


REFUSALS: list[tuple[dict[str, Any], Verdict]] = [
    ({"exited": "upgraded"}, Verdict("exited", "upgraded")),
    ({"suppressed": "complaint"}, Verdict("suppressed", "suppressed")),
    ({"reachable": False}, Verdict("suppressed", "no_address")),
    ({"granted": False}, Verdict("suppressed", "no_consent")),
    ({"paused_until": LATE + DAY}, Verdict("suppressed", "paused")),
    ({"expires": LATE}, Verdict("suppressed", "expired")),
    ({"run_paused": "sojourn: replied"}, Verdict("deferred", "run_paused", LATE + timedelta(seconds=10))),
    ({"stopped": "journey onboarding"}, Verdict("deferred", "kill_switch", LATE + DAY)),
    ({"past": (Past(LATE - MINUTE, "push", "news"),)}, Verdict("deferred", "frequency_cap", LATE + timedelta(hours=6) - MINUTE)),
    ({}, Verdict("deferred", "quiet_hours", LATE + timedelta(hours=9))),
    ({"held_out": True}, Verdict("suppressed", "holdout")),
]
NIGHTLY = [verdict.reason for _, verdict in REFUSALS].index("quiet_hours")


@pytest.mark.parametrize("place", range(len(REFUSALS)), ids=[verdict.reason for _, verdict in REFUSALS])
def test_the_first_refusal_wins_over_all_that_come_after_it(place: int) -> None:
    all_from_here = {name: value for speaks_against, _ in REFUSALS[place:] for name, value in speaks_against.items()}
    refused, expected = decide(facts(LATE if place <= NIGHTLY else NOON, **all_from_here)), REFUSALS[place][1]
    expires = all_from_here.get("expires")
    assert refused == (replace(expected, retry_at=expires) if expected.reason == "kill_switch" and expires else expected)


@pytest.mark.parametrize(
    ("one", "verdict"), [each for each in REFUSALS if each[0]], ids=[verdict.reason for one, verdict in REFUSALS if one]
)
def test_each_refusal_is_enough_alone(one: dict[str, Any], verdict: Verdict) -> None:
    quiet_never = QuietHours(time(0), time(0))
    assert decide(facts(LATE, hours=quiet_never, **one)) == verdict


def test_every_rule_has_its_place_in_the_order() -> None:
    assert len(RULES) == len(REFUSALS)


def test_a_message_expires_at_its_moment_and_not_before() -> None:
    assert decide(facts(expires=NOON)).reason == "expired"
    assert decide(facts(expires=NOON + timedelta(microseconds=1))).status == "send"


@pytest.mark.parametrize(
    ("at", "silent"),
    [
        (time(20, 59), False),
        (time(21), True),
        (time(23, 59), True),
        (time(0), True),
        (time(7, 59), True),
        (time(8), False),
        (time(12), False),
    ],
)
def test_hours_over_midnight_are_quiet_from_their_start_up_to_their_end(at: time, silent: bool) -> None:
    assert NIGHT.include(at) is silent


@pytest.mark.parametrize(("at", "silent"), [(time(12, 59), False), (time(13), True), (time(14, 59), True), (time(15), False)])
def test_hours_within_a_day_are_quiet_from_their_start_up_to_their_end(at: time, silent: bool) -> None:
    assert SIESTA.include(at) is silent


def test_hours_that_end_where_they_start_are_never_quiet() -> None:
    assert not QuietHours(time(9), time(9)).include(time(9))


def test_only_the_channels_that_have_quiet_hours_keep_them() -> None:
    assert decide(facts(LATE)).status == "deferred"
    assert decide(facts(LATE, channel="email")).status == "send"


def test_quiet_hours_are_those_of_the_persons_zone() -> None:
    assert decide(facts(NOON, "Asia/Tokyo")) == Verdict("deferred", "quiet_hours", datetime(2025, 1, 6, 23, tzinfo=UTC))
    assert decide(facts(LATE, "America/New_York")).status == "send"


def test_a_message_that_does_not_live_until_morning_is_suppressed_at_once() -> None:
    morning = LATE + timedelta(hours=9)
    assert decide(facts(LATE, expires=morning)) == Verdict("suppressed", "quiet_hours")
    assert decide(facts(LATE, expires=morning + MINUTE)) == Verdict("deferred", "quiet_hours", morning)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2025-03-29T23:00:00+01:00", "2025-03-30T08:00:00+02:00"),  # the night is an hour shorter
        ("2025-10-25T23:00:00+02:00", "2025-10-26T08:00:00+01:00"),  # and here longer
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall_when_it_changes_at_night(now: str, opens: str) -> None:
    verdict = decide(facts(datetime.fromisoformat(now), "Europe/Berlin"))
    assert verdict == Verdict("deferred", "quiet_hours", datetime.fromisoformat(opens))


def test_quiet_hours_that_end_in_a_skipped_hour_end_right_after_it() -> None:
    verdict = decide(facts(datetime.fromisoformat("2025-03-30T01:00:00+01:00"), "Europe/Berlin", QuietHours(time(22), time(2, 30))))
    assert verdict.retry_at == datetime.fromisoformat("2025-03-30T03:00:00+02:00")


def test_quiet_hours_that_end_in_a_repeated_hour_end_both_times() -> None:
    hours = QuietHours(time(22), time(2, 30))
    again = datetime.fromisoformat("2025-10-26T02:10:00+01:00")  # the second time the clock reads this
    verdict = decide(facts(again, "Europe/Berlin", hours))
    assert verdict.retry_at == datetime.fromisoformat("2025-10-26T02:30:00+01:00")


def test_what_is_transactional_passes_consent_caps_pauses_and_the_holdout_and_nothing_else() -> None:
    passes = {"no_consent", "paused", "run_paused", "frequency_cap", "holdout"}
    for one, verdict in REFUSALS:
        moment = LATE if verdict.reason in ("quiet_hours", "expired") else NOON
        decided = decide(facts(moment, transactional=True, **{"expires": moment + 2 * DAY, **one}))
        assert (decided.status == "send") is (verdict.reason in passes), verdict.reason


def test_an_opt_in_topic_takes_a_yes_and_an_opt_out_topic_none() -> None:
    assert decide(facts(topic="deals")).reason == "no_consent"
    assert decide(facts(topic="deals", granted=True)).status == "send"
    assert decide(facts(topic="onboarding", granted=None)).status == "send"


def test_a_capped_message_that_does_not_wait_is_skipped() -> None:
    had = (Past(NOON - MINUTE, "push", "news"),)
    assert decide(facts(past=had, waits=False)) == Verdict("suppressed", "frequency_cap")
    assert decide(facts(past=had, expires=NOON + MINUTE)) == Verdict("suppressed", "frequency_cap")


def test_who_asked_for_fewer_gets_one_a_week() -> None:
    had = (Past(NOON - timedelta(hours=8), "email", "news"),)
    monday = datetime(2025, 1, 13, tzinfo=UTC)
    assert decide(facts(past=had)).status == "send"
    assert decide(facts(past=had, fewer=True, expires=NOON + 8 * DAY)) == Verdict("deferred", "frequency_cap", monday)


def test_the_calendars_windows_begin_where_the_person_is() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    assert Calendar.DAY.begins(NOON, tokyo) == datetime(2025, 1, 5, 15, tzinfo=UTC)
    assert Calendar.WEEK.begins(NOON, tokyo) == datetime(2025, 1, 5, 15, tzinfo=UTC)
    assert Calendar.MONTH.begins(NOON, tokyo) == datetime(2024, 12, 31, 15, tzinfo=UTC)
    assert Calendar.MONTH.ends(NOON, tokyo) == datetime(2025, 1, 31, 15, tzinfo=UTC)


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute


CHANGES = (
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("Australia/Lord_Howe", "2025-04-06"),
    ("UTC", "2025-01-01"),
)


@settings(max_examples=200)
@given(
    change=st.sampled_from(CHANGES),
    since=st.integers(-24 * 60, 24 * 60),
    start=st.times().map(lambda at: time(at.hour, at.minute)),
    end=st.times().map(lambda at: time(at.hour, at.minute)),
)
@example(change=CHANGES[1], since=90, start=time(22), end=time(2, 30))
def test_a_deferred_message_is_asked_again_when_its_hours_are_over(
    change: tuple[str, str], since: int, start: time, end: time
) -> None:
    assume((_minutes(start) - _minutes(end)) % (24 * 60) >= 120)  # a clock change cannot skip all of the open hours
    where, hours = ZoneInfo(change[0]), QuietHours(start, end)
    now = datetime.fromisoformat(change[1]).replace(tzinfo=UTC) + timedelta(minutes=since)
    verdict = decide(facts(now, change[0], hours, expires=now + 3 * DAY))
    if not hours.include(now.astimezone(where).time()):
        assert verdict.status == "send"
        return
    assert verdict.retry_at is not None
    assert now < verdict.retry_at <= now + DAY + timedelta(hours=1)
    assert decide(facts(verdict.retry_at, change[0], hours, expires=now + 3 * DAY)).status == "send"
    waited_out = [reading for reading in _readings(now, verdict.retry_at, where) if not hours.include(reading)]
    assert not waited_out or _goes_back(now, verdict.retry_at, where)  # no minute is waited that is not quiet


def _readings(since: datetime, until: datetime, where: ZoneInfo) -> list[time]:
    return [(since + n * MINUTE).astimezone(where).time() for n in range((until - since) // MINUTE)]


def _goes_back(since: datetime, until: datetime, where: ZoneInfo) -> bool:
    moments = [since + n * MINUTE for n in range((until - since) // MINUTE + 1)]
    readings = [moment.astimezone(where).replace(tzinfo=None) for moment in moments]
    return any(later < earlier for earlier, later in pairwise(readings))
