"""Rule 8: assignment is sticky by person for the life of the experiment, and recorded."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlmodel import select

from store.tables import Assignment, Delivery, Person
from tests.language.both import Play, real
from tests.language.refused import Refusal
from tests.language.words import NOW, Entered, Tapped, days, hours, say
from tests.stage import Stage
from workflows.definition import ALWAYS, journey
from workflows.experiment import variant
from workflows.happenings import OptOut
from workflows.journey import Journey

HALVES = {"plain": 1, "social": 1}


@journey(again=ALWAYS)
async def splits_in_half(j: Journey, entered: Entered) -> None:
    first = await j.split("copy", {"plain": "p", "social": "s"})
    second = await j.split("copy", {"plain": "p", "social": "s"})
    await j.send(say(first + second))


async def test_a_person_has_the_same_variant_each_time_and_in_each_run(play: Play) -> None:
    for _ in range(4):
        user = uuid4().hex
        runs = await play([splits_in_half], [(NOW, Entered()), (days(1), Entered())], user=user)
        assert [run.texts for run in runs] == [[variant("copy", HALVES, user)[0] * 2]] * 2


@journey()
async def only_plain(j: Journey, entered: Entered) -> None:
    await j.send(say(await j.split("moving", {"plain": "plain", "social": "social"}, {"plain": 1, "social": 0})))


@journey()
async def only_social(j: Journey, tapped: Tapped) -> None:
    await j.send(say(await j.split("moving", {"plain": "plain", "social": "social"}, {"plain": 0, "social": 1})))


async def test_a_change_of_weights_moves_nobody(play: Play) -> None:
    runs = await play([only_plain, only_social], [(NOW, Entered()), (days(1), Tapped())])
    assert [run.texts for run in runs] == [["plain"], ["plain"]]


async def test_who_comes_after_a_change_of_weights_goes_by_the_new_ones(play: Play) -> None:
    runs = await play([only_plain, only_social], [(NOW, Tapped())])
    assert [run.texts for run in runs] == [["social"]]


async def test_what_was_assigned_before_holds(play: Play) -> None:
    [run] = await play([only_plain], [(NOW, Entered())], variants={"moving": "social"})
    assert run.texts == ["social"]


@pytest.mark.parametrize("experiment", ["copy", "subject", "time"])
def test_variants_are_given_by_weight(experiment: str) -> None:
    given = [variant(experiment, {"a": 1, "b": 0, "c": 3}, f"person-{number}") for number in range(2000)]
    assert given.count("b") == 0
    assert 0.20 < given.count("a") / 2000 < 0.30


@journey()
async def splits_and_forgets_one(j: Journey, entered: Entered) -> None:
    await j.split("copy", {"plain": 1, "social": 2}, {"plain": 1})


@journey()
async def splits_by_nothing(j: Journey, entered: Entered) -> None:
    await j.split("copy", {"plain": 1, "social": 2}, {"plain": 0, "social": 0})


async def test_weights_that_leave_out_a_variant_are_refused(refused: Refusal) -> None:
    assert "must name each of ['plain', 'social']" in await refused(splits_and_forgets_one)


async def test_weights_that_are_all_nothing_are_refused(refused: Refusal) -> None:
    assert "not all be 0" in await refused(splits_by_nothing)


@journey()
async def sends_a_variant(j: Journey, entered: Entered) -> None:
    nudge = await j.split("exposing", {"plain": say("plain"), "social": say("social")}, {"plain": 1, "social": 0})
    await j.sleep(days(1))
    await j.send(nudge)


async def test_an_assignment_is_recorded_and_exposure_when_the_gate_decides(house: Stage) -> None:
    user = uuid4().hex
    await real(house, [sends_a_variant], [(NOW, Entered())], user=user)
    assignments, deliveries = await recorded(house, user)
    assert [(each.experiment, each.variant) for each in assignments] == [("exposing", "plain")]
    [delivery] = deliveries
    assert (delivery.experiment, delivery.variant) == ("exposing", "plain")
    assert delivery.exposed_at == delivery.at
    assert delivery.at - assignments[0].at >= days(1)


async def test_who_leaves_before_the_message_was_never_exposed(house: Stage) -> None:
    user = uuid4().hex
    await real(house, [sends_a_variant], [(NOW, Entered())], user=user, until=hours(5))
    assignments, deliveries = await recorded(house, user)
    assert len(assignments) == 1
    assert deliveries == []


async def test_who_opted_out_was_never_exposed(house: Stage) -> None:
    user = uuid4().hex
    await real(house, [sends_a_variant], [(NOW, Entered()), (hours(1), OptOut("sends_a_variant"))], user=user)
    _, [delivery] = await recorded(house, user)
    assert (delivery.status, delivery.exposed_at) == ("suppressed", None)


async def recorded(house: Stage, user: str) -> tuple[list[Assignment], list[Delivery]]:
    async with house.store.read() as session:
        assignments = select(Assignment).join(Person).where(Person.user_id == user)
        deliveries = select(Delivery).join(Person).where(Person.user_id == user)
        return list((await session.exec(assignments)).all()), list((await session.exec(deliveries)).all())
