"""Rules 12 and 13: the keys of steps, continuing as new, and changing a journey while people are in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, time

import pytest

from studio.house import at_work
from tests.language.both import Play, Story, told
from tests.language.words import NOW, Entered, Replied, Tapped, days, hours, moment, say
from tests.stage import Stage, eventually, only
from workflows.definition import ALWAYS, journey
from workflows.happenings import Identify
from workflows.journey import Journey
from workflows.messages import Push
from workflows.run import Memory, Open, Receipt, StepMismatch, User
from workflows.runtime import Sending
from workflows.segments import Segment
from workflows.simulate import START

# Rule 12: every verb call has a stable key.


@journey()
async def repeats_itself(j: Journey, entered: Entered) -> None:
    await j.send(say("one"))
    await j.send(Push("note", {"text": "two"}))
    await j.send(say("three"))
    await j.send(say("four"), key="the last one")


async def test_a_steps_key_is_its_verb_and_object_counted_or_the_key_it_is_given(play: Play) -> None:
    [run] = await play([repeats_itself], [(NOW, Entered())])
    assert [said.step for said in run.said] == ["send:email/note", "send:push/note", "send:email/note#2", "the last one"]


# A run that continues as new: `play` does so after every step, in its third flavour.


@journey()
async def remembers(j: Journey, entered: Entered) -> None:
    at_first = (j.now, len(j.seen(Tapped)), j.traits.get("plan"), j.user.locale)
    await j.sleep(days(1))
    later = (j.now, len(j.seen(Tapped)), j.traits.get("plan"), j.user.locale)
    await j.sleep(days(1))
    at_last = (j.now, len(j.seen(Tapped)), j.traits.get("plan"), j.user.locale)
    for now, seen, plan, locale in (at_first, later, at_last):
        await j.send(say(f"{now:%a} {seen} {plan} {locale}"))


async def test_now_seen_and_traits_answer_as_of_the_last_step_however_often_it_is_retold(play: Play) -> None:
    happenings: Story = [
        (hours(1), Tapped()),
        (hours(2), Identify({"plan": "free"})),
        (days(1.2), Tapped()),
        (days(1.4), Identify({"plan": "pro"}, locale="fr")),
    ]
    [run] = await play([remembers], [(NOW, Entered()), *happenings], traits={"plan": "trial"})
    assert run.texts == ["Mon 0 trial en", "Tue 1 free en", "Wed 2 pro fr"]


@journey()
async def branches(j: Journey, entered: Entered) -> None:
    await j.sleep(days(1))
    if not j.seen(Tapped):
        await j.send(say("have not seen you tap"))
    await j.sleep(days(1))
    if any(each.price > 10 for each in j.seen(Tapped)):
        await j.send(say("what a tap"))
    await j.until(time(9))
    variant = await j.split("branching", {"a": 1, "b": 1})
    while tapped := await j.wait_for(Tapped, within=days(2), where=lambda each: each.price > 5):
        await j.send(say(f"{tapped.button} {variant} {len(j.seen(Tapped))}"))


async def test_loops_and_branches_on_what_was_seen_are_retold_as_they_went(play: Play) -> None:
    tapping: Story = [
        (days(1.2), Tapped(button="a", price=20)),
        (days(1.4), Tapped(button="b", price=1)),
        (days(2.5), Tapped(button="c", price=6)),
        (days(4), Tapped(button="d", price=7)),
    ]
    [run] = await play([branches], [(NOW, Entered()), *tapping])
    assert run.texts == ["have not seen you tap", "what a tap", "a 1 3", "c 1 3", "d 1 4"]
    assert run.ended == days(6)


async def test_the_house_that_continues_does_so_after_every_step(house_that_continues: Stage) -> None:
    house = house_that_continues
    user = await house.somebody()
    with only([says_three_things]):
        await house.track(user, Entered())
        run = await house.over(user)
    await eventually(lambda: _has_continued(house, run.workflow_id, 3))
    assert (await told(house, user))[0].texts == ["one", "two", "three"]


@journey()
async def says_three_things(j: Journey, entered: Entered) -> None:
    for thing in ("one", "two", "three"):
        await j.send(say(thing))


async def _has_continued(house: Stage, workflow_id: str, times: int) -> bool:
    query = f"WorkflowId = '{workflow_id}' AND ExecutionStatus = 'ContinuedAsNew'"
    return len([each async for each in house.temporal.list_workflows(query)]) == times


# A run whose history grows long continues as new in the middle of a wait.


@journey()
async def waits_long(j: Journey, entered: Entered) -> None:
    tapped = await j.wait_for(Tapped, within=days(3), where=lambda each: each.price > 5)
    await j.send(say(f"{tapped} {len(j.seen(Tapped))}"))


async def test_an_open_wait_goes_on_with_its_old_deadline_and_all_it_had(empty_house: Stage) -> None:
    house = empty_house
    user = await house.somebody()
    with only([waits_long]):
        async with at_work(house):
            await house.track(user, Entered())
            run = await house.started(user)
            await house.track(user, Tapped(price=1))
            await house.settled(user)
            await house.forward(run, days(1))
        for _ in range(5):  # past the 4 MB from which the server suggests to continue as new
            await house.workflow(run).signal("a long story", "x" * 1_000_000)
        async with at_work(house):
            await eventually(lambda: _has_continued(house, run.workflow_id, 1))
            await house.forward(run, days(1.9))
            await house.settled(user)
            assert (await house.run(user)).ended_at is None
            await house.forward(run, days(0.2))
            await house.over(user)
    [story] = await told(house, user)
    assert (story.texts, story.status) == (["None 1"], "completed")


async def test_a_continued_run_that_comes_to_another_step_than_its_open_one_says_so() -> None:
    memory = Memory(open=Open("wait:tapped", moment("2025-01-09T12:00")))
    journey = Journey(Nowhere(), shaped, User("ada"), Entered(), START, memory)
    with pytest.raises(StepMismatch, match=r"was at step 'wait:tapped', and its code now comes to 'wait:replied'"):
        await reshaped(journey, Entered())


class Nowhere:
    """A runtime that never gets as far as being asked for anything but the time."""

    def now(self) -> datetime:
        return START

    async def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> bool:
        raise NotImplementedError

    async def deliver(self, sending: Sending) -> Receipt:
        raise NotImplementedError

    async def conclude(self, sending: Sending, receipt: Receipt) -> Receipt:
        raise NotImplementedError

    async def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        raise NotImplementedError

    async def matches(self, segment: Segment) -> bool:
        raise NotImplementedError

    def stepped(self) -> None:
        raise NotImplementedError


# Changing a journey while people are in it.


@journey()
async def shaped(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3))
    await j.wait_for(Replied, within=days(3))
    await j.send(say("as it was"))


async def reshaped(j: Journey, entered: Entered) -> None:
    await j.wait_for(Replied, within=days(3))
    await j.wait_for(Tapped, within=days(3))
    await j.send(say("the other way round"))


async def test_a_changed_order_of_steps_fails_the_task_and_names_both_keys(house_that_continues: Stage) -> None:
    house = house_that_continues
    user = await house.somebody()
    with only([shaped]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
    with only([replace(shaped, function=reshaped)]):
        await house.track(user, Tapped())
        failure = await house.task_failure(run)
    assert failure.startswith("StepMismatch: ")
    assert "was at step 'wait:tapped', and its code now comes to 'wait:replied'" in failure
    assert "test_steps.py" in failure
    with only([shaped]):
        await house.track(user, Replied())
        await house.over(user)
    assert (await told(house, user))[0].status == "completed"


@journey()
async def worded(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3))
    await j.send(say("first wording"))
    await j.sleep(days(3))


async def reworded(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(9))
    await j.send(say("second wording"))
    await j.sleep(days(1))


async def test_copy_and_durations_may_change_under_running_people(house_that_continues: Stage) -> None:
    house = house_that_continues
    user = await house.somebody()
    with only([worded]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
    with only([replace(worded, function=reworded)]):
        await house.track(user, Tapped())
        await house.settled(user)
        await house.forward(run, days(1.1))
        await house.over(user)
    [story] = await told(house, user)
    assert (story.status, story.texts) == ("completed", ["second wording"])


@journey(version=1, again=ALWAYS)
async def tour_v1(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3))
    await j.send(say("the old tour"))


@journey(version=2, again=ALWAYS)
async def tour(j: Journey, entered: Entered) -> None:
    await j.wait_for(Replied, within=days(3))
    await j.send(say("the new tour"))


async def test_a_run_ends_in_the_version_it_began_in_and_new_ones_begin_in_the_newest(house: Stage) -> None:
    user = await house.somebody()
    with only([tour_v1]):
        await house.track(user, Entered())
        await house.started(user)
    with only([tour_v1, tour]):
        await house.track(user, Tapped())
        await house.over(user)
        await house.track(user, Entered())
        await house.started(user, 2)
        await house.track(user, Replied())
        await house.over(user)
    old, new = await told(house, user)
    assert [(run.journey, run.version, run.texts) for run in (old, new)] == [
        ("tour", 1, ["the old tour"]),
        ("tour", 2, ["the new tour"]),
    ]


async def test_a_run_whose_journey_is_gone_is_parked_with_a_sentence_and_goes_on_when_it_is_back(empty_house: Stage) -> None:
    house = empty_house
    user = await house.somebody()
    with only([tour_v1]):
        async with at_work(house):
            await house.track(user, Entered())
            run = await house.started(user)
            await house.settled(user)
    with only([tour]):
        async with at_work(house):
            await house.track(user, Tapped())
            failure = await house.task_failure(run)
            told_to_api = await house.api.get(f"/v1/runs/{run.id}")
    assert failure == (
        "Parked: journey 'tour' version 1 is not in the journeys folder of this worker, so this run is parked; "
        "put its function back (an older version is called tour_v1), or exit the run"
    )
    assert told_to_api.json()["status"] == "parked"
    with only([tour, tour_v1]):
        async with at_work(house):
            await house.over(user)
    assert (await told(house, user))[0].texts == ["the old tour"]
