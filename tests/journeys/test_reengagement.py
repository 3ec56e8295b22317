"""Re-engagement, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from journeys.events import CommitPushed, ProjectLeft
from journeys.reengagement import reengagement
from tests.journeys.said import said, tried, when
from workflows.happenings import Happening, Person
from workflows.run import User
from workflows.simulate import live
from workflows.simulated import Simulation

DAY = timedelta(days=1)
BEGIN = datetime(2025, 2, 3, 15, tzinfo=UTC)
FEW, MANY = [0, 4, 9], [*range(0, 24, 2)]


def contribute(
    days: Sequence[float],
    *then: tuple[float, Happening],
    begin: datetime = BEGIN,
    zone: str = "UTC",
    without: str = "",
    traits: dict[str, str] | None = None,
) -> list[Simulation]:
    """Let someone push on those days, last to the docs; then let that happen."""
    reachable = frozenset({"email", "sms", "push", "in_app"} - set(without.split()))
    pushes = [(day, CommitPushed(project="flask", area="docs" if day == days[-1] else "src")) for day in days]
    story = [(begin + day * DAY, happening) for day, happening in sorted([*pushes, *then], key=lambda each: each[0])]
    return live([reengagement], story, Person(User("u1", zone, "en", traits or {}), reachable))


def pushed(day: float, area: str = "src") -> tuple[float, Happening]:
    return day, CommitPushed(project="flask", area=area)


def test_nobody_who_keeps_coming_within_the_month_hears_anything() -> None:
    [run] = contribute([0, 29, 58, 87, 116], (120, ProjectLeft(project="flask")))

    assert (said(run), run.status) == ([], "exited")


def test_who_came_only_once_is_not_reminded_a_third_time() -> None:
    [run] = contribute([0])

    assert (said(run), run.status, run.elapsed) == ([], "completed", 30 * DAY)


def test_thirty_quiet_days_after_a_few_commits_are_answered_by_one_letter_and_then_a_last_word() -> None:
    [run] = contribute(FEW)

    assert [(said, at) for said, at in zip(said(run), [each.at for each in run.sent], strict=True)] == [
        ("email/miss_you", BEGIN + 39 * DAY),
        ("push/last_word", BEGIN + 53 * DAY),
    ]


def test_the_letter_says_where_they_began_where_they_were_last_and_how_much_they_did() -> None:
    [run] = contribute(FEW, traits={"first_area": "root"})

    assert run.messages[0].data == {"project": "flask", "area": "docs", "commits": 3, "first_area": "root"}


def test_without_a_profile_they_began_with_the_first_commit_we_know() -> None:
    [run] = contribute(FEW)

    assert run.messages[0].data["first_area"] == "src"


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"])
def test_the_letter_comes_exactly_thirty_days_after_the_last_commit_whatever_the_zone(zone: str) -> None:
    [run] = contribute(FEW, zone=zone)

    assert when(run, "miss_you", zone) == BEGIN + 39 * DAY


def test_who_returns_after_the_letter_is_welcomed_at_once_and_hears_no_last_word() -> None:
    [run, *_] = contribute(FEW, pushed(45, "tests"))

    assert said(run) == ["email/miss_you", "in_app/welcome_back"]
    assert (run.messages[1].data["area"], run.messages[1].data["left_area"]) == ("tests", "docs")
    assert run.elapsed == 45 * DAY


def test_who_returns_within_the_year_after_the_last_word_is_welcomed() -> None:
    [run, *_] = contribute(FEW, pushed(300))

    assert said(run) == ["email/miss_you", "push/last_word", "in_app/welcome_back"]
    assert run.elapsed == 300 * DAY


def test_a_regular_gets_one_note_that_asks_nothing_and_no_last_word() -> None:
    [run] = contribute(MANY)

    assert said(run) == ["email/take_your_time"]
    assert run.sent[0].at == BEGIN + 52 * DAY


def test_a_regular_who_returns_is_welcomed() -> None:
    [run, *_] = contribute(MANY, pushed(100))

    assert said(run) == ["email/take_your_time", "in_app/welcome_back"]


def test_without_a_device_the_last_word_is_a_letter() -> None:
    [run] = contribute(FEW, without="push")

    assert tried(run)[1:] == [("push/last_word", "no_address"), ("email/last_word", "sent")]


def test_a_last_word_due_in_the_night_waits_for_the_morning_where_they_are() -> None:
    late = datetime(2025, 2, 3, 23, 30, tzinfo=UTC)
    [run] = contribute(FEW, begin=late, zone="UTC")

    assert when(run, "last_word", "UTC").isoformat() == "2025-03-29T08:00:00+00:00"


def test_the_night_is_theirs_and_not_ours() -> None:
    late = datetime(2025, 2, 3, 23, 30, tzinfo=UTC)  # 15:30 in Los Angeles
    [run] = contribute(FEW, begin=late, zone="America/Los_Angeles")

    assert when(run, "last_word", "UTC") == late + 53 * DAY


def test_a_return_in_the_night_before_the_last_word_does_not_recall_it_but_is_welcomed_after_it() -> None:
    late = datetime(2025, 2, 3, 23, 30, tzinfo=UTC)
    [run, *_] = contribute(FEW, pushed(53.1), begin=late)

    assert said(run) == ["email/miss_you", "push/last_word", "in_app/welcome_back"]


def test_a_spell_of_work_sixty_days_after_the_last_run_is_watched_again_and_a_sooner_one_is_not() -> None:
    sooner = contribute(FEW, pushed(45), pushed(104), pushed(104.5))
    later = contribute(FEW, pushed(45), pushed(105), pushed(105.5))

    assert [said(run) for run in sooner] == [["email/miss_you", "in_app/welcome_back"]]
    assert [said(run) for run in later][1:] == [["email/miss_you", "push/last_word"]]


def test_leaving_a_project_ends_it_without_a_word() -> None:
    [run] = contribute(FEW, (20, ProjectLeft(project="flask")))

    assert (said(run), run.status, run.reason) == ([], "exited", "Project Left")
