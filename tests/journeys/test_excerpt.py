"""The shipped journeys, over the demo's excerpt of a real stream, in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from journeys.activation import activation
from journeys.advocacy import advocacy
from journeys.events import CommitPushed, ProjectJoined
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from tests.journeys.lives import Life, calls, lives
from workflows.happenings import Identify
from workflows.simulate import live
from workflows.simulated import Simulation

SHIPPED = (activation, advocacy, onboarding, reengagement)
REMINDERS = ("nudge", "smaller_step", "miss_you", "last_word")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def people() -> Mapping[str, Life]:
    return lives()


@pytest.fixture(scope="module")
def runs(people: Mapping[str, Life]) -> Mapping[str, Sequence[Simulation]]:
    """Everybody's runs, up to the day after the excerpt's last event."""
    end = max(life.happenings[-1][0] for life in people.values()) + DAY
    return {user: live(SHIPPED, life.happenings, life.person, until=end) for user, life in people.items()}


def sent(runs: Sequence[Simulation]) -> list[tuple[datetime, str]]:
    return sorted((each.at, each.message.template) for run in runs for each in run.sent)


def commits(life: Life, project: str) -> list[datetime]:
    return [at for at, event in life.happenings if isinstance(event, CommitPushed) and event.project == project]


def zone_of(life: Life, at: datetime) -> str:
    told = [event.zone for moment, event in life.happenings if isinstance(event, Identify) and event.zone and moment <= at]
    return told[-1] if told else "UTC"


def test_it_is_a_real_stream_of_at_least_a_hundred_people_and_ninety_days() -> None:
    stream = calls()
    moments = [datetime.fromisoformat(call["timestamp"]) for call in stream]

    assert len({call["userId"] for call in stream}) >= 100
    assert moments[-1] - moments[0] >= 90 * DAY
    assert moments == sorted(moments)
    assert len({call["messageId"] for call in stream}) == len(stream) <= 900


def test_every_invented_address_and_number_is_one_that_reaches_nobody() -> None:
    traits = [call["traits"] for call in calls() if call["type"] == "identify"]

    assert all(each.get("email", "@example.org").endswith("@example.org") for each in traits)
    assert all(each.get("phone", "+12025550100").startswith("+120255501") for each in traits)
    assert all("email" in each or "phone" in each for each in traits)


def test_every_journey_and_every_path_that_commits_can_take_occurs(runs: Mapping[str, Sequence[Simulation]]) -> None:
    counts = Counter(
        f"{each.message.channel}/{each.message.template}" for theirs in runs.values() for run in theirs for each in run.sent
    )

    assert counts == {
        "email/welcome": 63,
        "in_app/welcome": 7,
        "push/nudge": 24,
        "sms/nudge": 14,
        "email/nudge": 18,
        "in_app/second_area": 16,
        "email/untried_area": 16,
        "in_app/untried_area": 3,
        "email/smaller_step": 53,
        "sms/smaller_step": 4,
        "email/miss_you": 18,
        "email/take_your_time": 9,
        "push/last_word": 3,
        "email/last_word": 6,
        "in_app/welcome_back": 15,
        "email/share_your_story": 7,
        "email/bring_a_friend": 1,
    }


def test_everybody_who_joins_is_welcomed_once_a_project(
    people: Mapping[str, Life], runs: Mapping[str, Sequence[Simulation]]
) -> None:
    for user, life in people.items():
        joined = [event for _, event in life.happenings if isinstance(event, ProjectJoined)]
        assert [template for _, template in sent(runs[user])].count("welcome") == len(joined)


def test_nobody_who_acted_within_three_days_is_nudged(people: Mapping[str, Life], runs: Mapping[str, Sequence[Simulation]]) -> None:
    acted = 0
    for user, life in people.items():
        for run in (run for run in runs[user] if run.definition is onboarding and run.status == "completed"):
            project = run.messages[0].data["project"]
            if any(at <= run.started + 3 * DAY for at in commits(life, project)[1:]):
                acted += 1
                assert not {message.template for message in run.messages} & {"nudge"}
    assert acted == 10


def test_nobody_is_reminded_within_two_days_of_a_commit(
    people: Mapping[str, Life], runs: Mapping[str, Sequence[Simulation]]
) -> None:
    for user, life in people.items():
        pushed = [at for at, event in life.happenings if isinstance(event, CommitPushed)]
        for at, template in sent(runs[user]):
            assert template not in REMINDERS or not any(at - 2 * DAY < each <= at for each in pushed)


def test_newcomers_who_act_get_fewer_messages_than_newcomers_who_are_silent(
    people: Mapping[str, Life], runs: Mapping[str, Sequence[Simulation]]
) -> None:
    """Counted over the first three weeks of those who joined early enough to have had them."""
    silent: list[int] = []
    active: list[int] = []
    end = max(life.happenings[-1][0] for life in people.values())
    for user, life in people.items():
        joined = next((at for at, event in life.happenings if isinstance(event, ProjectJoined)), end)
        if joined < end - 21 * DAY:
            early = [at for at, _ in sent(runs[user]) if at < joined + 21 * DAY]
            acts = [at for at, event in life.happenings if isinstance(event, CommitPushed) and at < joined + 3 * DAY]
            (active if len(acts) > 1 else silent).append(len(early))

    assert min(len(silent), len(active)) >= 5
    assert sum(active) / len(active) < sum(silent) / len(silent)


def test_nobody_hears_from_us_more_than_once_in_a_morning_or_six_times_in_all(
    runs: Mapping[str, Sequence[Simulation]],
) -> None:
    for theirs in runs.values():
        letters = sorted(each.at for run in theirs for each in run.sent if each.message.channel != "in_app")
        assert all(later - earlier > timedelta(hours=6) for earlier, later in pairwise(letters))
        assert len(letters) <= 6


def test_nudges_come_on_weekdays_shortly_after_nine_where_people_are(
    people: Mapping[str, Life], runs: Mapping[str, Sequence[Simulation]]
) -> None:
    zones = set()
    for user, theirs in runs.items():
        for at, template in sent(theirs):
            if template == "nudge":
                zones.add(zone := zone_of(people[user], at))
                there = at.astimezone(ZoneInfo(zone))
                assert time(9) <= there.time() <= time(9, 20)
                assert there.weekday() < 5
    assert len(zones) > 8
