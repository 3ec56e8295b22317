"""Advocacy, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta

import pytest

from journeys.advocacy import advocacy
from journeys.events import CommitPushed, ProjectLeft, ReferralSent, StoryShared
from tests.journeys.said import said, when
from workflows.happenings import Happening, OptOut, Person
from workflows.run import User
from workflows.simulate import live
from workflows.simulated import Simulation

DAY = timedelta(days=1)
BEGIN = datetime(2025, 3, 3, 12, tzinfo=UTC)  # a Monday
STEADY = [day * 2.5 for day in range(11)]  # eleven commits in twenty-five days
SHARE, REFER = {"advocacy-ask": "share"}, {"advocacy-ask": "refer"}


def contribute(
    days: Iterable[float],
    *then: tuple[float, Happening],
    zone: str = "UTC",
    variants: Mapping[str, str] = SHARE,
    traits: Mapping[str, str] | None = None,
) -> list[Simulation]:
    """Let someone push on those days; then let that happen."""
    pushes = [(day, CommitPushed(project="flask", area="src")) for day in days]
    story = [(BEGIN + day * DAY, happening) for day, happening in sorted([*pushes, *then], key=lambda each: each[0])]
    return live([advocacy], story, Person(User("u1", zone, "en", traits or {})), variants=variants)


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "Asia/Tokyo", "Australia/Adelaide"])
def test_a_regular_is_asked_on_thursday_afternoon_where_they_are(zone: str) -> None:
    [run] = contribute(STEADY, zone=zone)
    asked = when(run, "share_your_story", zone)

    assert asked.strftime("%A") == "Thursday"
    assert time(16) <= asked.time() <= time(16, 30)
    assert BEGIN + 22.5 * DAY < asked < BEGIN + 30 * DAY


def test_the_ask_says_where_they_began_and_how_much_they_did() -> None:
    [run] = contribute(STEADY, traits={"first_area": "docs"})

    assert run.messages[0].data == {"project": "flask", "commits": 10, "first_area": "docs"}


def test_ten_commits_in_a_week_do_not_make_a_regular() -> None:
    [run] = contribute([day / 2 for day in range(12)])

    assert (said(run), run.status) == ([], "completed")


def test_three_weeks_with_few_commits_do_not_make_a_regular() -> None:
    [run] = contribute([0, 10, 20, 30])

    assert (said(run), run.status) == ([], "completed")


def test_a_gap_of_two_weeks_begins_the_count_anew() -> None:
    days = [0, 2, 4, 6, 8, 10, 12, 27, 29, 31, 33, 35]
    first, second = contribute(days)

    assert said(first) == said(second) == []
    assert second.started == BEGIN + 27 * DAY


@pytest.mark.parametrize(
    ("variants", "ask"), [(SHARE, "email/share_your_story"), (REFER, "email/bring_a_friend")], ids=["share", "refer"]
)
def test_what_they_are_asked_is_split_and_counts_for_the_experiment(variants: Mapping[str, str], ask: str) -> None:
    [run] = contribute(STEADY, variants=variants)

    assert said(run) == [ask]
    assert run.messages[0].experiment == "advocacy-ask"


@pytest.mark.parametrize(
    ("done", "what"), [(ReferralSent(project="flask"), "friend"), (StoryShared(project="flask"), "story")], ids=["friend", "story"]
)
def test_who_does_either_is_thanked_for_what_they_did(done: Happening, what: str) -> None:
    [run] = contribute(STEADY, (30, done))

    assert said(run) == ["email/share_your_story", "in_app/thanks"]
    assert run.messages[1].data["what"] == what
    assert run.sent[1].at == BEGIN + 30 * DAY


def test_nobody_is_reminded_of_the_ask_or_asked_again_within_half_a_year() -> None:
    [run] = contribute([day * 2.5 for day in range(60)])

    assert said(run) == ["email/share_your_story"]


def test_who_is_still_a_regular_after_half_a_year_is_asked_once_more() -> None:
    runs = contribute([day * 2.5 for day in range(110)])
    asked = [each.at for run in runs for each in run.sent]

    assert len(asked) == 2
    assert asked[1] - asked[0] > 180 * DAY


def test_who_opted_out_of_community_messages_is_not_asked() -> None:
    [run] = contribute(STEADY, (5, OptOut("community")))

    assert [each.receipt.reason for each in run.decided] == ["no_consent"]


def test_leaving_the_project_ends_it() -> None:
    [run] = contribute(STEADY[:10], (23, ProjectLeft(project="flask")))

    assert (said(run), run.status) == ([], "exited")
