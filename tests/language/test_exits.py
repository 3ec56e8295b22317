"""Rule 4: from the moment an exit event is accepted, no send of that run begins."""

from __future__ import annotations

from studio.house import at_work
from tests.language.both import Play, told
from tests.language.words import NOW, Entered, Left, Replied, Tapped, by, days, hours, moment, say
from tests.stage import Stage, as_deployed, only
from workflows.definition import ALWAYS, journey
from workflows.happenings import Operate
from workflows.journey import Journey
from workflows.messages import Sms


@journey(exits_on=Left)
async def leaves_anywhere(j: Journey, entered: Entered) -> None:
    await j.send(say("hello"))
    await j.wait_for(Tapped, within=days(2))
    await j.send(say("waited"))
    await j.sleep(days(2))
    await j.send(say("slept"))


async def test_an_exit_event_ends_a_wait(play: Play) -> None:
    [run] = await play([leaves_anywhere], [(NOW, Entered()), (days(1), Left())])
    assert (run.status, run.reason, run.ended, run.texts) == ("exited", "left", days(1), ["hello"])


async def test_an_exit_event_ends_a_sleep(play: Play) -> None:
    [run] = await play([leaves_anywhere], [(NOW, Entered()), (days(3), Left())])
    assert (run.status, run.ended, run.texts) == ("exited", days(3), ["hello", "waited"])


async def test_an_exit_event_with_the_deadline_wins(play: Play) -> None:
    [run] = await play([leaves_anywhere], [(NOW, Entered()), (days(2), Left())])
    assert (run.status, run.ended, run.texts) == ("exited", days(2), ["hello"])


async def test_an_exit_event_that_came_before_the_trigger_does_not_count(play: Play) -> None:
    [run] = await play([leaves_anywhere], [(NOW, Left()), (hours(1), Entered())])
    assert (run.status, run.texts) == ("completed", ["hello", "waited", "slept"])


@journey(exits_on=(Left, Replied))
async def waits_for_its_exit(j: Journey, entered: Entered) -> None:
    replied = await j.wait_for(Replied, Tapped, within=days(3))
    await j.send(say(replied))


async def test_an_exit_event_ends_even_the_run_that_waits_for_it(play: Play) -> None:
    [run] = await play([waits_for_its_exit], [(NOW, Entered()), (days(1), Replied())])
    assert (run.status, run.reason, run.texts) == ("exited", "replied", [])


@journey(exits_on=Left)
async def texts_at_night(j: Journey, entered: Entered) -> None:
    await j.send(Sms("note", {"text": "good morning"}))


async def test_an_exit_event_ends_a_deferral(play: Play) -> None:
    late = moment("2025-01-06T23:00")
    [run] = await play([texts_at_night], [(NOW, Entered()), (hours(2), Left())], at=late)
    assert (run.status, run.ended, run.said) == ("exited", hours(2), [])


@journey(exits_on=Left)
async def will_not_hear_of_it(j: Journey, entered: Entered) -> None:
    for _ in range(3):
        try:
            await j.wait_for(Tapped, within=days(1))
        except Exception:
            await j.send(say("I stay"))


async def test_a_journey_cannot_catch_its_exit(play: Play) -> None:
    [run] = await play([will_not_hear_of_it], [(NOW, Entered()), (hours(2), Left())])
    assert (run.status, run.ended, run.said) == ("exited", hours(2), [])


@journey(exits_on=Left, again=ALWAYS)
async def ends_on_leaving(j: Journey, start: Entered | Left) -> None:
    await j.send(say(type(start).__name__))
    await j.sleep(days(5))
    await j.send(say("stayed"))


async def test_an_exit_event_that_is_a_trigger_too_ends_the_run_and_starts_another(play: Play) -> None:
    runs = await play([ends_on_leaving], [(NOW, Entered()), (days(1), Left())])
    assert [(run.status, run.started, run.ended) for run in runs] == [("exited", NOW, days(1)), ("completed", days(1), days(6))]
    assert [run.texts for run in runs] == [["Entered"], ["Left", "stayed"]]


async def test_an_operators_exit_is_one_too(play: Play) -> None:
    [run] = await play([leaves_anywhere], [(NOW, Entered()), (days(1), Operate("exit", by("asked us to")))])
    assert (run.status, run.reason, run.ended, run.texts) == ("exited", "ada: asked us to", days(1), ["hello"])


# On the real server: the gate reads the event log, not the run.


@journey(exits_on=Left)
async def sends_after_a_day(j: Journey, entered: Entered) -> None:
    await j.sleep(days(1))
    await j.send(say("a day later"))


async def test_an_accepted_exit_stops_a_send_though_no_router_has_told_the_run(empty_house: Stage) -> None:
    user = await empty_house.somebody()
    with only([sends_after_a_day]):
        async with at_work(empty_house):
            await empty_house.track(user, Entered())
            run = await empty_house.started(user)
            await empty_house.settled(user)
        await empty_house.track(user, Left())
        async with at_work(empty_house, routing=False):
            await empty_house.forward(run, days(1.1))
            await empty_house.over(user)
    [story] = await told(empty_house, user)
    assert (story.status, story.reason, story.texts) == ("exited", "left", [])


async def test_after_an_outage_events_come_before_the_deadlines_they_met(empty_house: Stage) -> None:
    assert await after_an_outage(empty_house, Left()) == ("exited", [])
    assert await after_an_outage(empty_house, Tapped(button="in time")) == ("completed", ["in time"])
    assert await after_an_outage(empty_house, None) == ("completed", ["nothing"])


@journey(exits_on=Left)
async def takes_one_in_a_day(j: Journey, entered: Entered) -> None:
    tapped = await j.wait_for(Tapped, within=days(1))
    await j.send(say(tapped.button if tapped else "nothing"))


async def after_an_outage(house: Stage, event: Left | Tapped | None) -> tuple[str, list[str]]:
    """While nothing of ours is up, an event is accepted and then the run's deadline passes."""
    user = await house.somebody()
    with only([takes_one_in_a_day]):
        async with at_work(house):
            await house.track(user, Entered())
            run = await house.started(user)
            await house.settled(user)
        if event is not None:
            await house.track(user, event)
        passing = await house.forward_unattended(run, days(1.1))
        async with as_deployed(house):
            await house.over(user)
            await passing
    [story] = await told(house, user)
    return story.status, story.texts
