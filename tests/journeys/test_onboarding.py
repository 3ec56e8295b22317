"""Onboarding, in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from journeys.events import CommitPushed, ProjectJoined, ProjectLeft
from journeys.onboarding import onboarding
from tests.journeys.said import said, tried, when
from workflows.happenings import Happening, Identify, OptOut
from workflows.messages import Push
from workflows.run import Receipt, User
from workflows.simulate import live, simulate
from workflows.simulated import Simulation

NOW = timedelta(0)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONDAY = datetime(2025, 3, 3, 12, tzinfo=UTC)
JOINED = ProjectJoined(project="flask", area="src")
FIRST = CommitPushed(project="flask", area="src", files=2)
AGAIN = CommitPushed(project="flask", area="docs", files=1)


def join(*then: tuple[timedelta, Happening], at: datetime = MONDAY, zone: str = "UTC", without: str = "") -> Simulation:
    """Let someone join with a first commit; `without` names the channels that do not reach them."""
    reachable = {"email", "sms", "push", "in_app"} - set(without.split())
    return simulate(onboarding, JOINED, then=[(NOW, FIRST), *then], at=at, user=User("u1", zone), reachable=reachable)


def test_a_newcomer_is_welcomed_as_soon_as_their_first_commit_is_there() -> None:
    run = join()

    assert said(run)[0] == "email/welcome"
    assert run.sent[0].at == MONDAY
    assert run.messages[0].data == {"project": "flask", "area": "src"}


def test_a_newcomer_whose_first_commit_is_late_is_welcomed_after_an_hour() -> None:
    run = simulate(onboarding, JOINED, at=MONDAY)

    assert run.sent[0].at == MONDAY + HOUR


def test_a_newcomer_without_an_address_is_welcomed_inside_the_product() -> None:
    run = join(without="email")

    assert tried(run)[:2] == [("email/welcome", "no_address"), ("in_app/welcome", "sent")]


def test_who_makes_a_second_commit_within_three_days_hears_no_more() -> None:
    run = join((2 * DAY, AGAIN))

    assert (said(run), run.status, run.elapsed) == (["email/welcome"], "completed", 2 * DAY)


def test_a_second_commit_to_another_project_does_not_count() -> None:
    run = join((2 * DAY, CommitPushed(project="prefect", area="docs")))

    assert said(run) == ["email/welcome", "push/nudge"]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland", "Etc/GMT+8"])
def test_silence_is_answered_by_one_nudge_around_nine_in_the_morning_where_they_are(zone: str) -> None:
    nudged = when(join(zone=zone), "nudge", zone)

    assert time(9) <= nudged.time() <= time(9, 20)
    assert MONDAY + 3 * DAY < nudged <= MONDAY + 4 * DAY + HOUR / 3


def test_the_nudge_is_sent_on_no_weekend() -> None:
    wednesday = datetime(2025, 3, 5, 12, tzinfo=UTC)
    nudged = when(join(at=wednesday, zone="America/New_York"), "nudge", "America/New_York")

    assert (nudged.strftime("%A"), nudged.hour) == ("Monday", 9)
    assert nudged.utcoffset() == timedelta(hours=-4)  # the clocks were changed that Sunday


def test_who_comes_back_on_the_weekend_before_the_nudge_is_left_in_peace() -> None:
    wednesday = datetime(2025, 3, 5, 12, tzinfo=UTC)
    run = join((4 * DAY, AGAIN), at=wednesday)

    assert said(run) == ["email/welcome"]
    assert run.status == "completed"


def test_the_nudge_follows_a_person_who_moves_to_another_zone() -> None:
    run = join((DAY, Identify(zone="Asia/Tokyo")), zone="America/New_York")

    assert when(run, "nudge", "Asia/Tokyo").hour == 9


@pytest.mark.parametrize(
    ("without", "channels"),
    [
        ("", ["push/nudge"]),
        ("push", ["sms/nudge"]),
        ("push sms", ["email/nudge"]),
        ("push sms email", []),
    ],
)
def test_the_nudge_goes_to_the_first_channel_that_reaches_them(without: str, channels: list[str]) -> None:
    assert said(join(without=without))[1:] == channels


def test_a_nudge_that_its_provider_refuses_is_tried_on_the_next_channel() -> None:
    run = simulate(onboarding, JOINED, at=MONDAY, receipts={"nudge": Receipt("failed", "token gone")})

    assert tried(run)[1:] == [("push/nudge", "token gone"), ("sms/nudge", "token gone"), ("email/nudge", "token gone")]
    assert run.status == "completed"


def test_who_opted_out_of_push_for_onboarding_is_nudged_elsewhere() -> None:
    run = join((DAY, OptOut("onboarding", "push")))

    assert tried(run)[1:] == [("push/nudge", "no_consent"), ("sms/nudge", "sent")]


@pytest.mark.parametrize("angle", ["task", "people"])
def test_the_nudge_says_what_its_variant_says_and_counts_for_the_experiment(angle: str) -> None:
    run = simulate(onboarding, JOINED, variants={"nudge-angle": angle})
    data = {"project": "flask", "area": "src", "angle": angle}

    assert run.messages[1] == Push("nudge", data, experiment="nudge-angle")


def test_leaving_the_project_ends_it_before_the_nudge() -> None:
    run = join((DAY, ProjectLeft(project="flask")))

    assert said(run) == ["email/welcome"]
    assert (run.status, run.reason, run.elapsed) == ("exited", "Project Left", DAY)


def test_two_projects_are_onboarded_side_by_side_and_leaving_one_leaves_the_other() -> None:
    other = ProjectJoined(project="prefect", area="docs")
    story = [(MONDAY, JOINED), (MONDAY + HOUR, other), (MONDAY + DAY, ProjectLeft(project="flask"))]
    flask, prefect = live([onboarding], story)

    assert (flask.status, said(flask)) == ("exited", ["email/welcome"])
    assert (prefect.status, said(prefect)) == ("completed", ["email/welcome", "push/nudge"])


def test_nobody_is_onboarded_to_a_project_twice() -> None:
    assert len(live([onboarding], [(MONDAY, JOINED), (MONDAY + 90 * DAY, JOINED)])) == 1
