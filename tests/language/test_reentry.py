"""Rule 9: who may enter again, runs side by side by key, and what is considered again."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from activities.send import Sender
from tests.language.both import Play, Story, told
from tests.language.words import NOW, Booked, Called, Entered, Left, Moved, Tapped, by, days, hours, minutes, say
from tests.stage import Stage, eventually, only
from workflows.definition import ALWAYS, after, journey
from workflows.happenings import Operate
from workflows.journey import Journey
from workflows.run import Receipt
from workflows.wire import Dispatch


@journey()
async def once_ever(j: Journey, entered: Entered) -> None:
    await j.send(say(entered.via))
    await j.sleep(days(1))


async def test_by_default_a_person_enters_once_ever(play: Play) -> None:
    entering = [(NOW, Entered(via="a")), (hours(5), Entered(via="b")), (days(400), Entered(via="c"))]
    runs = await play([once_ever], entering)
    assert [run.texts for run in runs] == [["a"]]


@journey(again=after(days(30)))
async def once_a_month(j: Journey, entered: Entered) -> None:
    await j.send(say(entered.via))
    await j.sleep(days(10))


async def test_after_counts_from_the_end_of_the_last_run(play: Play) -> None:
    too_early, late_enough = days(40) - minutes(5), days(40) + minutes(5)
    entering = [(NOW, Entered(via="a")), (too_early, Entered(via="b")), (late_enough, Entered(via="c"))]
    runs = await play([once_a_month], entering)
    assert [(run.texts, run.started) for run in runs] == [(["a"], NOW), (["c"], late_enough)]


@journey(again=ALWAYS)
async def as_often_as_they_like(j: Journey, entered: Entered) -> None:
    await j.send(say(entered.via))
    await j.sleep(days(1))


async def test_always_lets_a_person_in_whenever_no_run_is_open(play: Play) -> None:
    entering = [(NOW, Entered(via="a")), (hours(5), Entered(via="b")), (days(1) + minutes(5), Entered(via="c"))]
    runs = await play([as_often_as_they_like], entering)
    assert [run.texts for run in runs] == [["a"], ["c"]]


@journey(again=ALWAYS)
async def at_once(j: Journey, entered: Entered) -> None:
    await j.send(say(entered.via))


async def test_a_run_that_is_over_at_once_does_not_keep_the_next_one_out(play: Play) -> None:
    runs = await play([at_once], [(NOW, Entered(via="a")), (NOW, Entered(via="b")), (NOW, Entered(via="c"))])
    assert [run.texts for run in runs] == [["a"], ["b"], ["c"]]


@journey(again=ALWAYS)
async def either_way(j: Journey, start: Entered | Tapped) -> None:
    await j.send(say(type(start).__name__))
    await j.sleep(days(1))


async def test_a_union_of_events_starts_one_journey(play: Play) -> None:
    happenings: Story = [(NOW, Tapped()), (hours(1), Entered()), (days(2), Entered())]
    runs = await play([either_way], happenings)
    assert [run.texts for run in runs] == [["Tapped"], ["Entered"]]


async def test_one_event_starts_every_journey_that_it_triggers(play: Play) -> None:
    runs = await play([once_ever, as_often_as_they_like], [(NOW, Entered(via="a"))])
    assert sorted(run.journey for run in runs) == ["as_often_as_they_like", "once_ever"]


# Runs side by side.


@journey(key="booking", exits_on=Left)
async def prepares_a_booking(j: Journey, booked: Booked) -> None:
    while event := await j.wait_for(Moved, Called, within=days(2)):
        await j.send(say(f"{booked.booking} {event.name}"))
    await j.send(say(f"{booked.booking} done"))


async def test_each_value_of_the_key_has_a_run_of_its_own(play: Play) -> None:
    booking = [(NOW, Booked(booking="one")), (hours(1), Booked(booking="two")), (hours(2), Booked(booking="one"))]
    runs = await play([prepares_a_booking], booking)
    assert [run.texts for run in runs] == [["one done"], ["two done"]]


async def test_an_event_that_has_the_key_reaches_only_the_run_of_its_value(play: Play) -> None:
    happenings: Story = [(NOW, Booked(booking="one")), (hours(1), Booked(booking="two")), (hours(2), Moved(booking="two"))]
    runs = await play([prepares_a_booking], happenings)
    assert [run.texts for run in runs] == [["one done"], ["two moved", "two done"]]


async def test_an_event_without_the_key_reaches_all_of_them(play: Play) -> None:
    happenings: Story = [(NOW, Booked(booking="one")), (hours(1), Booked(booking="two")), (hours(2), Called())]
    runs = await play([prepares_a_booking], happenings)
    assert [run.texts for run in runs] == [["one called", "one done"], ["two called", "two done"]]


async def test_an_exit_without_the_key_ends_all_of_them(play: Play) -> None:
    happenings: Story = [(NOW, Booked(booking="one")), (hours(1), Booked(booking="two")), (hours(2), Left())]
    runs = await play([prepares_a_booking], happenings)
    assert [(run.status, run.ended) for run in runs] == [("exited", hours(2))] * 2


async def test_once_ever_is_once_a_value(play: Play) -> None:
    booking = [(NOW, Booked(booking="one")), (days(5), Booked(booking="one")), (days(6), Booked(booking="two"))]
    runs = await play([prepares_a_booking], booking)
    assert [(run.texts, run.started) for run in runs] == [(["one done"], NOW), (["two done"], days(6))]


# Considered again.

PAUSE, OUT = Operate("pause", by()), Operate("exit", by())


@journey(again=ALWAYS, exits_on=Left)
async def hears_its_trigger(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(1))
    await j.send(say(f"{[each.via for each in j.seen(Entered)]}"))


async def test_a_trigger_that_the_run_has_seen_starts_no_other(play: Play) -> None:
    happenings: Story = [(NOW, Entered(via="a")), (hours(1), Entered(via="b")), (hours(2), Tapped())]
    runs = await play([hears_its_trigger], happenings)
    assert [run.texts for run in runs] == [["['a', 'b']"]]


async def test_a_trigger_that_came_too_late_for_the_run_to_see_is_considered_again(play: Play) -> None:
    happenings: Story = [(NOW, Entered(via="a")), (hours(1), Entered(via="b")), (hours(1), Entered(via="c")), (hours(2), OUT)]
    runs = await play([hears_its_trigger], [*happenings, (hours(3), Tapped())])
    assert [(run.status, run.texts) for run in runs] == [("exited", []), ("completed", ["['b', 'c']"])]
    assert (runs[1].started, runs[1].ended) == (hours(2), hours(3))


async def test_what_the_run_before_it_had_in_its_place_reaches_the_run_that_begins_again(play: Play) -> None:
    happenings: Story = [(hours(1), Entered(via="b")), (hours(1.5), PAUSE), (hours(1.7), Tapped()), (hours(2), OUT)]
    runs = await play([hears_its_trigger], [(NOW, Entered(via="a")), *happenings])
    assert [(run.status, run.texts) for run in runs] == [("exited", []), ("completed", ["['b']"])]
    assert (runs[1].started, runs[1].ended) == (hours(2), hours(2))


async def test_who_has_left_since_does_not_begin_again(play: Play) -> None:
    happenings: Story = [(NOW, Entered(via="a")), (hours(1), Entered(via="b")), (hours(2), Left())]
    runs = await play([greets_and_hears_its_trigger], happenings)
    assert [(run.status, run.texts) for run in runs] == [("exited", ["a"]), ("exited", [])]


@journey(again=ALWAYS, exits_on=Left)
async def greets_and_hears_its_trigger(j: Journey, entered: Entered) -> None:
    await j.send(say(entered.via))
    await j.wait_for(Entered, within=days(1), where=lambda again: again.via == "roof")


@journey(exits_on=Left)
async def hears_its_trigger_once(j: Journey, entered: Entered) -> None:
    await j.wait_for(Entered, within=days(1), where=lambda again: again.via == "roof")
    await j.send(say("over"))


async def test_what_is_considered_again_is_bound_by_the_same_terms(play: Play) -> None:
    happenings: Story = [(NOW, Entered(via="a")), (hours(1), Entered(via="b")), (hours(2), Left())]
    assert len(await play([hears_its_trigger_once], happenings)) == 1


# A unique row decides.


async def test_fifty_simultaneous_triggers_start_one_run(house: Stage) -> None:
    user = await house.somebody()
    with only([as_often_as_they_like]):
        await asyncio.gather(*(house.track(user, Entered(via=str(number))) for number in range(50)))
        await house.settled(user)
        runs = await house.runs(user)
        await house.end_open_runs(user)
    assert len(runs) == 1
    assert len(await house.events(user, "entered")) == 50


async def test_fifty_simultaneous_requests_and_triggers_start_one_run(house: Stage) -> None:
    user = await house.somebody()
    with only([as_often_as_they_like]):
        asking = [house.api.post("/v1/journeys/as_often_as_they_like/runs", json={"user_id": user, "data": {}}) for _ in range(25)]
        tracking = [house.track(user, Entered(via=str(number))) for number in range(25)]
        answers, _ = await asyncio.gather(asyncio.gather(*asking), asyncio.gather(*tracking))
        await house.settled(user)
        runs = await house.runs(user)
        await house.end_open_runs(user)
    assert len(runs) == 1
    assert sorted({answer.status_code for answer in answers}) in ([201, 409], [409])


async def test_an_event_routed_to_a_run_that_closes_meanwhile_is_considered_again_as_a_trigger(house: Stage) -> None:
    user = await house.somebody()
    with only([hears_its_trigger]):
        await house.track(user, Entered(via="first"))
        run = await house.started(user)
        await house.settled(user)
        await house.workflow(run).terminate("closed behind the router's back")
        await house.track(user, Entered(via="second"))
        await house.started(user, 2)
        await house.track(user, Tapped())
        await house.over(user)
    first, second = await told(house, user)
    assert (first.status, second.status, second.texts) == ("terminated", "completed", ["['second']"])


@journey(again=ALWAYS, exits_on=Left)
async def says_hello_to_whoever_enters(j: Journey, entered: Entered) -> None:
    await j.send(say(entered.via))
    await j.wait_for(Entered, within=days(1), where=lambda again: again.via == "roof")


async def test_a_trigger_that_came_after_the_exit_while_the_last_send_was_under_way_is_considered_again(
    house: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, send = asyncio.Event(), asyncio.Event(), Sender.send

    async def sends_late(sender: Sender, dispatch: Dispatch, now: datetime) -> Receipt:
        begun.set()
        await go_on.wait()
        return await send(sender, dispatch, now)

    monkeypatch.setattr(Sender, "send", sends_late)
    user = await house.somebody()
    with only([says_hello_to_whoever_enters]):
        await house.track(user, Entered(via="first"))
        await begun.wait()
        await house.track(user, Left())
        await house.track(user, Entered(via="second"))
        run = await house.started(user)

        async def has_been_told() -> bool:
            return await house.signals(run) == ["left", "entered"]

        await eventually(has_been_told)
        go_on.set()
        await house.settled(user)
        runs = await told(house, user)
        await house.end_open_runs(user)
    assert [(run.status, run.texts) for run in runs] == [("exited", []), ("open", ["second"])]
