"""Kill switches: what becomes due while one is thrown waits, and an operator says what becomes of it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import cast

import pytest

from activities.send import Sender
from studio.calls import ON_CALL
from studio.real import release_all
from tests.language.both import Play, Story, assert_same_story, real, told, virtual
from tests.language.words import NOW, Entered, Left, days, hours, minutes, moment, say
from tests.stage import Stage, eventually, only
from workflows.clock import share
from workflows.definition import journey
from workflows.happenings import Operate, Release, Stop
from workflows.journey import Journey
from workflows.messages import Email, Sms
from workflows.run import Order, Receipt
from workflows.wire import Dispatch

ALL = Stop()
NIGHT = moment("2025-01-06T23:00")


@journey(exits_on=Left)
async def writes_each_hour(j: Journey, entered: Entered) -> None:
    await j.send(say("one"))
    for text in ("two", "three"):
        await j.sleep(hours(1))
        await j.send(say(text))


async def test_what_becomes_due_while_all_is_stopped_waits_and_is_sent_on_release(play: Play) -> None:
    story: Story = [(NOW, Entered()), (minutes(30), ALL), (hours(5), Release("send"))]
    [run] = await play([writes_each_hour], story)
    assert run.texts == ["one", "two", "three"]
    assert [said.after for said in run.said] == [NOW, hours(5), hours(6)]


async def test_what_waited_may_be_spread_over_a_time_each_person_at_their_own_share(play: Play) -> None:
    story: Story = [(NOW, Entered()), (minutes(30), ALL), (hours(5), Release("retime", ALL, hours(4)))]
    [run] = await play([writes_each_hour], story, user="edsger")
    share_of_it = minutes(98)
    assert abs(share("edsger") * hours(4) - share_of_it) < minutes(0.1)
    assert [said.after for said in run.said] == [NOW, hours(5) + share_of_it, hours(6) + share_of_it]


async def test_what_waited_may_be_skipped_and_the_run_goes_on(play: Play) -> None:
    [run] = await play([writes_each_hour], [(NOW, Entered()), (minutes(30), ALL), (hours(5), Release("skip"))])
    assert [(said.after, said.status, said.reason) for said in run.said] == [
        (NOW, "sent", ""),
        (hours(5), "suppressed", "kill_switch"),
        (hours(6), "sent", ""),
    ]


async def test_a_message_waits_no_longer_than_it_lives(play: Play) -> None:
    [run] = await play([writes_each_hour], [(NOW, Entered()), (minutes(30), ALL)], until=days(2))
    assert [(said.after, said.status, said.reason) for said in run.said] == [
        (NOW, "sent", ""),
        (hours(25), "suppressed", "expired"),
    ]


async def test_what_is_spread_beyond_its_life_expires(play: Play) -> None:
    story: Story = [(NOW, Entered()), (minutes(30), ALL), (hours(5), Release("retime", ALL, days(20)))]
    [run] = await play([writes_each_hour], story, user="donald", until=hours(25.5))
    assert (run.said[1].after, run.said[1].status, run.said[1].reason) == (hours(25), "suppressed", "expired")


@pytest.mark.parametrize(("stop", "stops"), [(Stop("journey", "writes_each_hour"), True), (Stop("channel", "sms"), False)], ids=str)
async def test_a_switch_stops_what_it_names_and_nothing_else(play: Play, stop: Stop, stops: bool) -> None:
    [run] = await play([writes_each_hour], [(NOW, stop), (minutes(1), Entered())], until=hours(3))
    assert run.texts == ([] if stops else ["one", "two", "three"])


async def test_what_two_switches_stop_waits_for_both(play: Play) -> None:
    by_mail = Stop("channel", "email")
    story: Story = [
        (NOW, by_mail),
        (minutes(1), ALL),
        (minutes(2), Entered()),
        (hours(1), Release("send")),
        (hours(3), Release("send", by_mail)),
    ]
    [run] = await play([writes_each_hour], story)
    assert [said.after for said in run.said] == [hours(3), hours(4), hours(5)]


async def test_a_switch_that_is_thrown_again_stops_what_was_spread_and_not_due(play: Play) -> None:
    story: Story = [
        (NOW, ALL),
        (minutes(1), Entered()),
        (hours(1), Release("retime", ALL, hours(4))),
        (hours(1) + minutes(1), ALL),
        (hours(8), Release("send")),
    ]
    [run] = await play([writes_each_hour], story, user="frances")
    assert [said.after for said in run.said] == [hours(8), hours(9), hours(10)]


async def test_an_exit_acts_while_all_is_stopped(play: Play) -> None:
    [run] = await play([writes_each_hour], [(NOW, Entered()), (minutes(30), ALL), (hours(5), Left())])
    assert (run.status, run.ended, run.texts) == ("exited", hours(5), ["one"])


@journey()
async def texts_and_writes(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Sms("note", {"text": "by text"}))
    await j.send(say(f"{receipt.status} {j.now:%H:%M}"))


async def test_what_is_released_at_night_waits_for_the_morning(play: Play) -> None:
    [run] = await play([texts_and_writes], [(NOW, ALL), (minutes(1), Entered()), (hours(2), Release("send"))], at=NIGHT)
    assert run.texts == ["by text", "sent 08:00"]


async def test_a_released_message_of_a_paused_run_waits_for_its_resumption(play: Play) -> None:
    order = Order("ada", "why not")
    story: Story = [
        (NOW, Entered()),
        (minutes(30), ALL),
        (hours(2), Operate("pause", order)),
        (hours(5), Release("send")),
        (hours(7), Operate("resume", order)),
    ]
    [run] = await play([writes_each_hour], story)
    assert [said.after for said in run.said] == [NOW, hours(7), hours(8)]


@journey()
async def writes_instead(j: Journey, entered: Entered) -> None:
    await j.send(Email("note", {"text": "never"}, expires=minutes(10)))
    await j.send(say("after"))


async def test_a_release_that_comes_after_its_message_has_expired_changes_nothing(play: Play) -> None:
    channel = Stop("channel", "email")
    [run] = await play([writes_instead], [(NOW, channel), (minutes(1), Entered()), (hours(1), Release("skip", channel))])
    assert [(said.after, said.status, said.reason) for said in run.said] == [
        (minutes(11), "suppressed", "expired"),
        (hours(1), "suppressed", "kill_switch"),
    ]


async def test_what_a_paused_run_waits_with_is_skipped_when_it_is_released(house: Stage) -> None:
    order = Order("ada", "why not")
    story: Story = [
        (NOW, Entered()),
        (minutes(30), ALL),
        (hours(2), Operate("pause", order)),
        (hours(5), Release("skip")),
        (hours(7), Operate("resume", order)),
    ]
    told_by_both = await virtual([writes_each_hour], story), await real(house, [writes_each_hour], story)
    assert_same_story(*told_by_both)


@pytest.fixture(params=["house", "house_that_continues"])
def stage(request: pytest.FixtureRequest) -> Stage:
    """The house, and the one in which runs continue as new."""
    return cast(Stage, request.getfixturevalue(request.param))


async def test_a_release_that_comes_while_the_gates_answer_is_on_its_way_is_not_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is written down as waiting, and so it is released; its run does not know yet that it waits."""
    answered, go_on, send = asyncio.Event(), asyncio.Event(), Sender.send

    async def answers_late(sender: Sender, dispatch: Dispatch, now: datetime) -> Receipt:
        receipt = await send(sender, dispatch, now)
        if receipt.reason == "kill_switch":
            answered.set()
            await go_on.wait()
        return receipt

    monkeypatch.setattr(Sender, "send", answers_late)
    user = await stage.somebody()
    with only([writes_once]):
        await stage.api.put("/v1/stops/all", headers=ON_CALL)
        await stage.track(user, Entered())
        await answered.wait()
        (await stage.api.post("/v1/stops/all/release", json={"choice": "send"}, headers=ON_CALL)).raise_for_status()
        run = await stage.started(user)

        async def has_been_told() -> bool:
            return "$release" in await stage.signals(run)

        await eventually(has_been_told)
        go_on.set()
        await stage.over(user)
    await release_all(stage)
    assert (await told(stage, user))[0].texts == ["once"]


@journey()
async def writes_once(j: Journey, entered: Entered) -> None:
    await j.send(say("once"))
