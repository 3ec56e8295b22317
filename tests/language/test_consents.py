"""What a person says about messages counts for the very next one, in virtual time and on the real server alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from journeys.confirmation import confirmation
from studio.scenario import under
from studio.story import Ran
from tests.language.both import Play, Story
from tests.language.words import NOW, Entered, days, hours, say
from workflows.definition import journey
from workflows.happenings import AskForFewer, AskForPause, Confirm, OptIn, OptOut, Suppress
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push
from workflows.policy import Policy, Topic

NO_CONSENT, PAUSED, SUPPRESSED = "suppressed/no_consent", "suppressed/paused", "suppressed/suppressed"
SENT = "sent/"


@pytest.fixture(autouse=True)
def laid_down() -> Iterator[None]:
    topics = (Topic("offers", opt_in=True), Topic("news", opt_in=True, double_opt_in=True))
    with under(Policy(topics=topics, quiet_hours={})):
        yield


def became(run: Ran) -> list[str]:
    """Return what became of each message of a run, in order."""
    return [f"{each.status}/{each.reason}" for each in run.said]


@journey(topic="offers")
async def offers_daily(j: Journey, entered: Entered) -> None:
    for _ in range(3):
        await j.send(say("an offer"))
        await j.sleep(days(1))


async def test_nothing_of_an_opt_in_topic_goes_out_before_a_yes(play: Play) -> None:
    [run] = await play([offers_daily], [(NOW, Entered()), (hours(30), OptIn("offers"))])
    assert became(run) == [NO_CONSENT, NO_CONSENT, SENT]


async def test_the_last_word_holds(play: Play) -> None:
    said: Story = [
        (NOW, OptIn("offers", "email")),
        (hours(1), Entered()),
        (hours(2), OptOut("offers")),
        (hours(30), OptIn("offers")),
    ]
    [run] = await play([offers_daily], said)
    assert became(run) == [SENT, NO_CONSENT, SENT]


async def test_a_no_to_everything_is_a_no_to_each_topic_until_a_later_yes_to_it(play: Play) -> None:
    said: Story = [(NOW, OptIn("offers")), (hours(1), Entered()), (hours(2), OptOut("*")), (hours(30), OptIn("offers"))]
    [run] = await play([offers_daily], said)
    assert became(run) == [SENT, NO_CONSENT, SENT]


@journey(topic="tips")
async def tips_daily(j: Journey, entered: Entered) -> None:
    for _ in range(3):
        await j.send(say("a tip"))
        await j.send(Email("note", {"text": "a receipt"}, transactional=True))
        await j.sleep(days(1))


async def test_a_pause_holds_what_is_not_transactional_until_it_is_over(play: Play) -> None:
    [run] = await play([tips_daily], [(NOW, Entered()), (hours(12), AskForPause(hours(24)))])
    assert became(run) == [SENT, SENT, PAUSED, SENT, SENT, SENT]


async def test_who_asks_for_fewer_gets_one_a_week_and_the_others_wait_as_long_as_they_live(play: Play) -> None:
    [run] = await play([tips_daily], [(NOW, AskForFewer()), (hours(1), Entered())])
    assert [each.reason for each in run.said if each.status == "suppressed"] == ["frequency_cap"] * 2
    assert run.texts == ["a tip", *["a receipt"] * 3]


@journey()
async def on_three_channels(j: Journey, entered: Entered) -> None:
    for message in (say("hello"), Push("note", {"text": "hello"}), InApp("note", {"text": "hello"})):
        await j.send(message)


async def test_nothing_goes_to_a_suppressed_address_and_the_other_channels_go_on(play: Play) -> None:
    [run] = await play([on_three_channels], [(NOW, Suppress("email", "complaint")), (hours(1), Entered())])
    assert became(run) == [SUPPRESSED, SENT, SENT]


async def test_a_suppression_is_of_the_channel(play: Play) -> None:
    [run] = await play([on_three_channels], [(NOW, Suppress("push", "manual")), (hours(1), Entered())])
    assert became(run) == [SENT, SUPPRESSED, SENT]


async def test_not_even_what_is_transactional_goes_to_a_suppressed_address(play: Play) -> None:
    [run] = await play([tips_daily], [(NOW, Entered()), (hours(1), Suppress("email", "hard_bounce"))], until=days(2) - hours(1))
    assert became(run) == [SENT, SENT, SUPPRESSED, SUPPRESSED]


@journey(topic="news")
async def news_daily(j: Journey, entered: Entered) -> None:
    for _ in range(3):
        await j.send(say("news"))
        await j.sleep(days(1))


async def test_a_yes_to_be_confirmed_holds_once_it_is(play: Play) -> None:
    said: Story = [(NOW, Entered()), (hours(1), OptIn("news")), (hours(30), Confirm("news"))]
    asked, run = _by_journey(await play([news_daily, confirmation], said))
    assert became(run) == [NO_CONSENT, NO_CONSENT, SENT]
    assert [(each.channel, each.template, each.after) for each in asked.said] == [("email", "confirm_subscription", hours(1))]


async def test_a_yes_that_is_taken_back_is_not_confirmed_any_more(play: Play) -> None:
    said: Story = [(NOW, OptIn("news")), (hours(1), OptOut("news")), (hours(3), Entered())]
    _, run = _by_journey(await play([news_daily, confirmation], said, until=timedelta(hours=5)))
    assert became(run) == [NO_CONSENT]


def _by_journey(runs: list[Ran]) -> list[Ran]:
    return sorted(runs, key=lambda run: run.journey)
