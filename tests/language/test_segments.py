"""Segments and lifecycle states in a journey: asked for, started on, waited for and exited on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType

from tests.language.both import Play, Story, assert_same_story, real, virtual
from tests.language.words import NOW, Replied, Tapped, days, hours, say
from tests.language.words import Entered as CameIn
from tests.stage import Stage, only
from workflows import lifecycle
from workflows.check import findings
from workflows.definition import ALWAYS, journey
from workflows.graph import graph
from workflows.happenings import Happening, Identify
from workflows.journey import Journey
from workflows.lifecycle import DORMANT, RESURRECTED, Lifecycle
from workflows.segments import SEGMENTS, Segment, hasnt, performed, trait
from workflows.transitions import Became, Entered, Left

tappers = Segment("tappers", performed(Tapped, at_least=2, within=days(3)))
payers = Segment("payers", (trait("plan") == "pro") & ~trait("paused").is_in([True]))
mute = Segment("mute", hasnt(Replied, within=days(2)))
THEIRS = {each.name: SEGMENTS.pop(each.name) for each in (tappers, payers, mute)}
LIVING = Lifecycle(new_for=days(1), at_risk_after=days(4), dormant_after=days(8), resurrected_for=days(2))


class BecameTapper(Entered, of=tappers):
    pass


class NoTapperAnyMore(Left, of=tappers):
    pass


class BecamePayer(Entered, of=payers):
    pass


class TurnedMute(Entered, of=mute):
    pass


class WentDormant(Became, state=DORMANT):
    pass


class CameBack(Became, state=RESURRECTED):
    pass


@pytest.fixture(autouse=True)
def segments() -> Iterator[None]:
    SEGMENTS.update(THEIRS)
    declared, lifecycle.DECLARED[:] = list(lifecycle.DECLARED), [(LIVING, __file__)]
    yield
    lifecycle.DECLARED[:] = declared
    for name in THEIRS:
        del SEGMENTS[name]


@journey()
async def asks(j: Journey, came: CameIn) -> None:
    for _ in range(4):
        await j.send(say(f"{await j.matches(tappers)} {await j.matches(payers)} {await j.matches(mute)}"))
        await j.sleep(days(1.5))


async def test_matches_asks_now_and_windows_become_false_by_time_alone(play: Play) -> None:
    story: Story = [
        (NOW, CameIn()),
        (hours(1), Tapped()),
        (hours(2), Tapped()),
        (hours(3), Replied()),
        (days(2), Identify({"plan": "pro"})),
        (days(4), Identify({"paused": True})),
    ]
    [run] = await play([asks], story)
    assert run.texts == ["False False True", "True False False", "True True True", "False False True"]


@journey(again=ALWAYS)
async def thanks(j: Journey, became: BecameTapper) -> None:
    await j.send(say(f"tapper at {j.now:%a %H}"))
    if await j.wait_for(NoTapperAnyMore, within=days(30)):
        await j.send(say(f"no more at {j.now:%a %H}"))


async def test_entering_starts_a_journey_and_leaving_by_time_alone_is_waited_for(play: Play) -> None:
    story: Story = [(NOW, CameIn()), (hours(1), Tapped()), (hours(5), Tapped()), (days(7), Tapped()), (days(8), Tapped())]
    first, second = await play([thanks], story)
    assert first.texts == ["tapper at Mon 17", "no more at Thu 13"]
    assert second.texts == ["tapper at Tue 12", "no more at Thu 12"]
    assert (first.started, second.started) == (hours(5), days(8))


@journey(exits_on=BecamePayer)
async def begs(j: Journey, came: CameIn) -> None:
    while True:
        await j.sleep(days(1))
        await j.send(say("please"))
        if len(j.seen(TurnedMute)) > 1:
            return


async def test_entering_a_segment_exits_a_journey(play: Play) -> None:
    [run] = await play([begs], [(NOW, CameIn()), (days(1.5), Identify({"plan": "pro"}))])
    assert (run.texts, run.status, run.reason, run.ended) == (["please"], "exited", "became_payer", days(1.5))


async def test_a_transition_is_seen(play: Play) -> None:
    [run] = await play([begs], [(NOW, CameIn()), (hours(1), Replied()), (days(3.2), Replied())], until=days(12))
    assert (len(run.texts), run.ended) == (6, days(6))


@journey(again=ALWAYS)
async def wins_back(j: Journey, dormant: WentDormant) -> None:
    await j.send(say(f"{dormant.previous} then {dormant.state}"))
    back = await j.wait_for(CameBack, within=days(30))
    await j.send(say(f"back: {back.previous if back else None}"))


async def test_a_lifecycle_state_starts_a_journey_by_time_alone(play: Play) -> None:
    first, second = await play([wins_back], [(NOW, CameIn()), (days(20), Tapped())])
    assert (first.started, first.texts, first.ended) == (days(8), ["at_risk then dormant", "back: dormant"], days(20))
    assert (second.started, second.texts) == (days(28), ["at_risk then dormant", "back: None"])


# Lives made up by chance


@journey(exits_on=WentDormant, again=ALWAYS)
async def follows(j: Journey, start: BecameTapper | CameBack | TurnedMute) -> None:
    await j.send(say(f"{start.name} {await j.matches(tappers)} {await j.matches(payers)} {await j.matches(mute)}"))
    if await j.wait_for(NoTapperAnyMore, BecamePayer, within=hours(50.3)):
        await j.send(say(f"then {await j.matches(tappers)} {await j.matches(mute)} {len(j.seen(TurnedMute))}"))


def life(seed: int) -> Story:
    """Make up a life of some weeks with silences in it, in which nothing comes within the same minute."""
    chance = random.Random(seed)
    kinds: list[Callable[[], Happening]] = [
        Tapped,
        Tapped,
        Replied,
        lambda: Identify({"plan": chance.choice(("free", "pro"))}),
        lambda: Identify({"paused": chance.choice((True, False))}),
    ]
    seconds = sorted(chance.sample(range(30, 15 * 24 * 3600, 97), 15) + chance.sample(range(27 * 86400, 30 * 86400, 97), 5))
    return [(NOW, CameIn()), *((timedelta(seconds=second), chance.choice(kinds)()) for second in seconds)]


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 20))])
async def test_both_runtimes_tell_the_same_story_of_what_becomes_of_somebody(house: Stage, seed: int) -> None:
    user, journeys = uuid4().hex, (follows, wins_back)
    expected = await virtual(journeys, life(seed), user=user)
    assert len(expected) > 3
    assert_same_story(expected, await real(house, journeys, life(seed), user=user))


# What it costs, and how it is drawn


@journey()
async def asks_once(j: Journey, came: CameIn) -> None:
    if await j.matches(mute):
        await j.sleep(days(1))


async def test_a_question_costs_a_run_one_event_of_history(house: Stage) -> None:
    user = await house.somebody()
    with only([asks_once]):
        await house.track(user, CameIn())
        run = await house.started(user)
        await house.settled(user)
        kinds = [event.event_type for event in await house.history(run)]
        await house.temporal.get_workflow_handle(run.workflow_id).terminate("the test is over")
    assert kinds.count(EventType.EVENT_TYPE_MARKER_RECORDED) == 1
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED not in kinds


def test_a_question_is_drawn_as_one_that_branches() -> None:
    drawn = graph(asks_once).mermaid()
    assert '{"is in mute?"}' in drawn
    assert '|"yes"|' in drawn
    assert '|"no"|' in drawn
    assert [finding for finding in findings(asks_once) if finding.rule != "forbidden-import"] == []
