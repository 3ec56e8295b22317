"""What a run asks of the store: a variant that stays, and to be closed once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest
from sqlmodel import select
from temporalio.exceptions import ApplicationError

from store.tables import AcceptedEvent, Assignment, Run
from tests.activities.house import NOON, House, Ordered
from workflows.experiment import variant
from workflows.wire import Assignation, Closing

HALVES = {"plain": 50, "warm": 50}


async def assign(house: House, weights: Mapping[str, int], experiment: str = "tone") -> str:
    given: str = await house.run("assign_variant", Assignation(house.run_id, experiment, weights, NOON))
    return given


async def close(house: House, status: str = "completed", reason: str = "", *late: int) -> None:
    await house.run("close_run", Closing(house.run_id, status, reason, NOON, list(late)))


async def the_run(house: House) -> Run:
    async with house.store.read() as session:
        return await session.get_one(Run, house.run_id)


async def reconsidered(house: House) -> dict[int | None, str]:
    marked = select(AcceptedEvent).where(AcceptedEvent.person_id == house.person_id)
    async with house.store.read() as session:
        return {event.id: event.reconsider for event in (await session.exec(marked)).all() if event.reconsider}


async def test_a_variant_is_the_one_that_virtual_time_would_give(house: House) -> None:
    assert await assign(house, HALVES) == variant("tone", HALVES, house.user_id)


async def test_a_variant_stays_when_the_weights_change(house: House) -> None:
    first = await assign(house, HALVES)
    other = next(name for name in HALVES if name != first)

    assert await assign(house, {first: 0, other: 100}) == first


async def test_a_variant_that_is_no_longer_offered_gives_way_for_good(house: House) -> None:
    first = await assign(house, HALVES)
    other = next(name for name in HALVES if name != first)

    assert await assign(house, {other: 100}) == other
    assert await assign(house, {first: 100, other: 0}) == other


async def test_simultaneous_requests_get_one_variant_and_one_row(house: House) -> None:
    given = await asyncio.gather(*(assign(house, HALVES) for _ in range(8)))

    assert len(Counter(given)) == 1
    async with house.store.read() as session:
        kept = (await session.exec(select(Assignment).where(Assignment.person_id == house.person_id))).all()
    assert [(each.experiment, each.variant, each.at) for each in kept] == [("tone", given[0], NOON)]


async def test_a_run_that_is_gone_is_given_no_variant(house: House) -> None:
    with pytest.raises(ApplicationError, match="no run") as error:
        await house.run("assign_variant", Assignation("r_gone", "tone", HALVES, NOON))
    assert error.value.non_retryable


async def test_a_run_is_closed_with_how_it_ended(house: House) -> None:
    await close(house, "exited", "Left")

    run = await the_run(house)
    assert (run.status, run.reason, run.ended_at) == ("exited", "Left", NOON)


async def test_a_run_is_closed_once(house: House) -> None:
    await close(house, "exited", "Left")
    await close(house, "completed", "")

    assert (await the_run(house)).status == "exited"


async def test_a_trigger_that_comes_while_the_run_closes_is_considered_again_too(house: House) -> None:
    await close(house)
    late = await house.happen(Ordered.name)
    await close(house, "completed", "", late)

    assert await reconsidered(house) == {late: "greeting"}


async def test_a_trigger_that_began_a_run_already_is_not_considered_again(house: House) -> None:
    began = (await the_run(house)).trigger_id
    assert began is not None
    await close(house, "completed", "", began)

    assert await reconsidered(house) == {}


async def test_triggers_that_came_too_late_are_considered_again(house: House) -> None:
    seen, late = await house.happen(Ordered.name), await house.happen(Ordered.name)
    await close(house, "completed", "", late)

    assert await reconsidered(house) == {late: "greeting"}
    assert seen != late


async def test_closing_a_run_that_is_gone_does_nothing(house: House) -> None:
    await house.run("close_run", Closing("r_gone", "completed", "", NOON))

    assert (await the_run(house)).ended_at is None


async def test_a_trigger_that_came_too_late_for_two_journeys_is_considered_again_for_both(house: House) -> None:
    late = await house.happen(Ordered.name)
    other = (await the_run(house)).model_copy(update={"id": "r_other", "journey": "farewell", "workflow_id": "farewell/u"})
    async with house.store.write() as session:
        session.add(Run(**other.model_dump()))
    await close(house, "completed", "", late)
    await house.run("close_run", Closing("r_other", "completed", "", NOON, [late]))

    assert await reconsidered(house) == {late: "greeting farewell"}
