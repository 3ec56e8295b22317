"""Rules 2, 3, 10 and 11: which event a wait returns, what is seen, ties, order, duplicates, and what never reaches a run."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.language.both import Play, told
from tests.language.words import NOW, Entered, Replied, Tapped, WithAName, days, hours, minutes, say
from tests.stage import Stage, only
from workflows.definition import ALWAYS, Event, journey
from workflows.journey import Journey
from workflows.run import Arrival
from workflows.wire import Signal

# Rule 2: events.


@journey()
async def takes_one(j: Journey, entered: Entered) -> None:
    tapped = await j.wait_for(Tapped, within=days(3))
    await j.send(say(tapped.button if tapped else "nothing"))


async def test_a_wait_returns_the_event_that_comes_during_it(play: Play) -> None:
    [run] = await play([takes_one], [(NOW, Entered()), (days(1), Tapped(button="a"))])
    assert run.texts == ["a"]
    assert run.ended == days(1)


async def test_a_wait_returns_none_at_its_deadline(play: Play) -> None:
    [run] = await play([takes_one], [(NOW, Entered()), (days(4), Tapped(button="late"))])
    assert run.texts == ["nothing"]
    assert run.ended == days(3)


async def test_an_event_that_came_before_the_trigger_is_no_part_of_the_run(play: Play) -> None:
    [run] = await play([takes_one], [(NOW, Tapped(button="before")), (hours(1), Entered())])
    assert run.texts == ["nothing"]


@journey()
async def sleeps_then_takes_one(j: Journey, entered: Entered) -> None:
    await j.sleep(days(1))
    tapped = await j.wait_for(Tapped, within=days(3))
    await j.send(say(tapped.button if tapped else "nothing"))


async def test_a_wait_returns_an_event_that_came_before_it_began(play: Play) -> None:
    [run] = await play([sleeps_then_takes_one], [(NOW, Entered()), (hours(3), Tapped(button="early"))])
    assert run.texts == ["early"]
    assert run.ended == days(1)


async def test_of_several_events_a_wait_returns_the_earliest_accepted(play: Play) -> None:
    tapping = [(hours(3), Tapped(button="first")), (hours(4), Tapped(button="second"))]
    [run] = await play([sleeps_then_takes_one], [(NOW, Entered()), *tapping])
    assert run.texts == ["first"]


@journey()
async def loops(j: Journey, entered: Entered) -> None:
    while tapped := await j.wait_for(Tapped, within=days(2)):
        await j.send(say(tapped.button))
        await j.sleep(days(1))


async def test_a_loop_of_waits_sees_each_event_once_and_in_order(play: Play) -> None:
    tapping = [(hours(1), Tapped(button="a")), (hours(2), Tapped(button="b")), (hours(3), Tapped(button="c"))]
    [run] = await play([loops], [(NOW, Entered()), *tapping, (days(4.5), Tapped(button="d"))])
    assert run.texts == ["a", "b", "c", "d"]
    assert [said.after for said in run.said] == [hours(1), hours(25), hours(49), days(4.5)]
    assert run.ended == days(7.5)


@journey()
async def takes_what_is_dear(j: Journey, entered: Entered) -> None:
    dear = await j.wait_for(Tapped, within=days(3), where=lambda tapped: tapped.price >= 10)
    other = await j.wait_for(Tapped, within=days(3))
    await j.send(say(f"{dear and dear.button} then {other and other.button}"))


async def test_where_filters_on_the_typed_event_and_leaves_the_rest_to_later_waits(play: Play) -> None:
    tapping = [(hours(1), Tapped(button="cheap", price=9)), (hours(2), Tapped(button="dear", price=10))]
    [run] = await play([takes_what_is_dear], [(NOW, Entered()), *tapping])
    assert run.texts == ["dear then cheap"]
    assert run.ended == hours(2)


@journey()
async def takes_either(j: Journey, entered: Entered) -> None:
    for _ in range(3):
        match await j.wait_for(Tapped, Replied, within=days(3)):
            case Tapped(button=button):
                await j.send(say(f"tapped {button}"))
            case Replied(words=words):
                await j.send(say(f"replied {words}"))
            case None:
                await j.send(say("neither"))


async def test_a_union_wait_returns_whichever_was_accepted_first(play: Play) -> None:
    happenings = [(NOW, Entered()), (hours(1), Replied(words="yes")), (hours(2), Tapped(button="ok"))]
    [run] = await play([takes_either], happenings)
    assert run.texts == ["replied yes", "tapped ok", "neither"]


@journey()
async def waits_for_its_own_trigger(j: Journey, entered: Entered) -> None:
    again = await j.wait_for(Entered, within=days(3))
    await j.send(say(f"{[each.via for each in j.seen(Entered)]} {again and again.via}"))


async def test_no_wait_returns_the_trigger_though_it_is_seen(play: Play) -> None:
    [run] = await play([waits_for_its_own_trigger], [(NOW, Entered(via="window"))])
    assert run.texts == ["['window'] None"]


async def test_a_later_event_of_the_triggers_kind_is_returned_and_seen(play: Play) -> None:
    [run] = await play([waits_for_its_own_trigger], [(NOW, Entered(via="window")), (days(1), Entered(via="roof"))])
    assert run.texts == ["['window', 'roof'] roof"]


@journey()
async def looks_around(j: Journey, entered: Entered) -> None:
    await j.send(say(f"{len(j.seen(Tapped))} {len(j.seen(Tapped, Replied))}"))
    await j.sleep(days(1))
    before = [each.button for each in j.seen(Tapped)]
    tapped = await j.wait_for(Tapped, within=days(1))
    await j.send(say(f"{before} {tapped and tapped.button} {[each.button for each in j.seen(Tapped)]}"))
    await j.send(say(" ".join(type(each).__name__ for each in j.seen(Tapped, Replied, Entered))))


async def test_seen_looks_in_the_order_of_arrival_and_consumes_nothing(play: Play) -> None:
    happenings = [(hours(1), Tapped(button="a")), (hours(2), Replied()), (hours(3), Tapped(button="b"))]
    [run] = await play([looks_around], [(NOW, Entered()), *happenings])
    assert run.texts == ["0 0", "['a', 'b'] a ['a', 'b']", "Entered Tapped Replied Tapped"]


@journey()
async def takes_a_named_one(j: Journey, signed: WithAName) -> None:
    more = await j.wait_for(WithAName, within=days(1))
    await j.send(say(f"{signed.pages} and {more and more.pages}"))


async def test_an_event_may_have_a_wire_name_of_its_own(play: Play) -> None:
    [run] = await play([takes_a_named_one], [(NOW, WithAName(pages=2)), (hours(1), WithAName(pages=3))])
    assert run.texts == ["2 and 3"]


# Rule 3: ties and backlogs.


async def test_an_event_with_the_deadline_wins(play: Play) -> None:
    [run] = await play([takes_one], [(NOW, Entered()), (days(3), Tapped(button="just in time"))])
    assert run.texts == ["just in time"]
    assert run.ended == days(3)


async def test_an_event_after_the_deadline_does_not(play: Play) -> None:
    [run] = await play([takes_one], [(NOW, Entered()), (days(3) + minutes(1), Tapped(button="too late"))])
    assert run.texts == ["nothing"]


# Rule 10: duplicates and order.


@journey(again=ALWAYS)
async def counts_to_two(j: Journey, entered: Entered) -> None:
    first = await j.wait_for(Tapped, within=days(3))
    second = await j.wait_for(Tapped, within=days(3))
    await j.send(say(f"{first and first.button} {second and second.button}"))


async def test_a_message_id_acts_once(house: Stage) -> None:
    user, twice = await house.somebody(), uuid4().hex
    with only([counts_to_two]):
        await house.track(user, Entered())
        await house.started(user)
        await house.track(user, Tapped(button="a"), message_id=twice)
        await house.track(user, Tapped(button="again"), message_id=twice)
        await house.track(user, Tapped(button="b"))
        await house.over(user)
        assert (await told(house, user))[0].texts == ["a b"]
        await house.track(user, Entered(via="replayed"), message_id=twice)
        await house.settled(user)
    assert len(await house.runs(user)) == 1


async def test_a_batch_of_one_persons_events_acts_in_the_order_it_was_accepted(house: Stage) -> None:
    user = await house.somebody()
    calls = [Entered(), Tapped(button="a"), Tapped(button="b")]
    with only([counts_to_two]):
        await house.batch(user, calls)
        await house.over(user)
    assert (await told(house, user))[0].texts == ["a b"]


async def test_a_run_ignores_what_it_has_had_and_what_is_another_runs(house: Stage) -> None:
    user = await house.somebody()
    with only([counts_to_two]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.track(user, Tapped(button="a"))
        await house.settled(user)
        workflow, [row] = house.workflow(run), await house.events(user, "tapped")
        had = Arrival(row.id or 0, "tapped", row.accepted_at, {"button": "had it"})
        not_mine = Arrival(10**9, "tapped", row.accepted_at, {"button": "not mine"})
        await workflow.signal("tapped", Signal(run.id, had))
        await workflow.signal("tapped", Signal("r_of_somebody_else", not_mine))
        await house.track(user, Tapped(button="b"))
        await house.over(user)
    assert (await told(house, user))[0].texts == ["a b"]


# Rule 11: unknown, malformed, garbage.


@pytest.mark.parametrize(
    ("event", "properties", "status"),
    [
        ("tapped_by_nobody", {"button": "a"}, "unknown"),
        ("tapped", {"price": "a lot"}, "invalid"),
    ],
)
async def test_an_unknown_or_malformed_event_is_stored_and_reported_and_never_reaches_a_run(
    house: Stage, event: str, properties: dict[str, str], status: str
) -> None:
    user = await house.somebody()
    with only([takes_one]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.api.post("/v1/track", json={"userId": user, "event": event, "properties": properties})
        await house.settled(user)
        signals = await house.signals(run)
        await house.end_open_runs(user)
    [row] = await house.events(user, event)
    assert (row.status, row.data) == (status, properties)
    assert row.error
    assert signals == []


async def test_an_event_that_no_run_listens_to_costs_temporal_nothing(house: Stage) -> None:
    user = await house.somebody()
    with only([takes_one]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.track(user, Replied(words="unheard"))
        await house.settled(user)
        signals = await house.signals(run)
        await house.end_open_runs(user)
    assert signals == []


GARBAGE: list[list[object]] = [
    [],
    ["tapped"],
    [None],
    [{"run_id": 7}],
    [{"run_id": "RUN", "arrival": {"seq": "x", "event": "tapped", "at": "never"}}],
    [{"run_id": "RUN", "arrival": {"seq": 10**9, "event": "tapped", "at": "2025-01-01T00:00:00Z", "data": {"price": "a lot"}}}],
    [{"run_id": "RUN", "arrival": {"seq": 10**9 + 1, "event": "no_such", "at": "2025-01-01T00:00:00Z", "data": {}}}],
    [{"run_id": "RUN", "arrival": {"seq": 10**9 + 2, "event": "exit", "at": "2025-01-01T00:00:00Z", "data": {"who": "me"}}}],
    [{"run_id": "RUN", "arrival": {"seq": 10**9 + 3, "event": "tapped", "at": "2025-01-01T00:00:00Z", "data": None}}],
]


async def test_garbage_signals_never_break_a_run(house: Stage) -> None:
    user = await house.somebody()
    with only([takes_one]):
        await house.track(user, Entered())
        run = await house.started(user)
        for args in GARBAGE:
            await house.workflow(run).signal("tapped", args=[_addressed(each, run.id) for each in args])
            await house.workflow(run).signal("whatever this is", args=[_addressed(each, run.id) for each in args])
        await house.track(user, Tapped(button="sound"))
        await house.over(user)
    assert (await told(house, user))[0].texts == ["sound"]
    assert await house.failed_tasks(run) == []


def _addressed(value: object, run_id: str) -> object:
    return {**value, "run_id": run_id} if isinstance(value, dict) and value.get("run_id") == "RUN" else value


def test_an_event_cannot_take_the_name_of_another_or_of_sojourns_own() -> None:
    with pytest.raises(TypeError, match="two events are called 'tapped'"):
        type("Tapped", (Event,), {"__module__": __name__})
    with pytest.raises(TypeError, match="Sojourn's own"):
        type("Exit", (Event,), {"__module__": __name__})
