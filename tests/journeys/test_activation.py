"""Activation, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from journeys.activation import activation
from journeys.events import CommitPushed, ProjectLeft
from tests.journeys.said import said, tried, when
from workflows.happenings import Happening
from workflows.messages import Email, InApp
from workflows.run import User
from workflows.simulate import simulate
from workflows.simulated import Simulation

DAY = timedelta(days=1)
FRIDAY = datetime(2025, 3, 7, 18, tzinfo=UTC)
FIRST = CommitPushed(project="flask", area="src")


def push(area: str, project: str = "flask") -> CommitPushed:
    return CommitPushed(project=project, area=area)


def begin(*then: tuple[timedelta, Happening], zone: str = "UTC", without: str = "") -> Simulation:
    """Let someone push a first commit to the code on a Friday evening."""
    reachable = {"email", "sms", "push", "in_app"} - set(without.split())
    return simulate(activation, FIRST, then=then, at=FRIDAY, user=User("u1", zone), reachable=reachable)


def test_who_finds_a_second_area_alone_gets_a_card_and_no_advice() -> None:
    run = begin((DAY, push("src")), (2 * DAY, push("docs")), (3 * DAY, push("tests")))

    assert run.messages == [InApp("second_area", {"project": "flask", "area": "src", "second": "docs"})]
    assert run.elapsed == 2 * DAY


def test_who_is_busy_in_one_area_gets_one_tip_about_an_area_they_have_not_tried() -> None:
    run = begin((DAY, push("src")), (5 * DAY, push("src")))

    assert run.messages == [Email("untried_area", {"project": "flask", "area": "src", "untried": "docs", "commits": 3})]


def test_the_tip_leaves_out_an_area_tried_while_it_waited_for_a_good_hour() -> None:
    run = begin((DAY, push("src")), (15 * DAY, push("docs")))

    assert run.messages[0].data["untried"] == "tests"


def test_who_has_no_address_finds_the_tip_inside_the_product() -> None:
    run = begin((DAY, push("src")), without="email")

    assert tried(run) == [("email/untried_area", "no_address"), ("in_app/untried_area", "sent")]


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin", "Asia/Kolkata", "Etc/GMT-10"])
def test_silence_is_answered_in_the_middle_of_the_week_in_the_morning_where_they_are(zone: str) -> None:
    run = begin(zone=zone)
    told = when(run, "smaller_step", zone)

    assert said(run) == ["email/smaller_step"]
    assert told.strftime("%A") == "Tuesday"
    assert time(10) <= told.time() <= time(10, 40)
    assert told > FRIDAY + 14 * DAY


def test_commits_to_another_project_do_not_break_the_silence() -> None:
    assert said(begin((DAY, push("docs", "prefect")))) == ["email/smaller_step"]


def test_who_has_no_address_gets_the_smaller_step_as_a_text() -> None:
    assert said(begin(without="email")) == ["sms/smaller_step"]


def test_the_smaller_step_is_the_last_thing_said_whether_they_come_back_or_not() -> None:
    away, back = begin(), begin((20 * DAY, push("src")))

    assert said(away) == said(back) == ["email/smaller_step"]
    assert (away.status, back.status) == ("completed", "completed")


def test_leaving_the_project_ends_it() -> None:
    run = begin((DAY, ProjectLeft(project="flask")))

    assert (said(run), run.status, run.elapsed) == ([], "exited", DAY)
