"""Nobody's events hold up anybody else's, and a worker that comes up meets events before deadlines."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlmodel import col
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from store.tables import AcceptedEvent, Person, Run
from tests.language.words import Entered, Tapped, days, say
from tests.stage import Stage, eventually, only
from workflows.definition import ALWAYS, journey
from workflows.journey import Journey


@journey(again=ALWAYS)
async def waits_for_a_tap(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3))
    await j.send(say(entered.via))


@journey(key="via")
async def has_a_long_key(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3))


async def test_a_run_that_temporal_refuses_holds_up_nobody(empty_house: Stage) -> None:
    longest, other = "/" * 255, await empty_house.somebody()
    with only([has_a_long_key]):
        await empty_house.track(longest, Entered(via="/" * 255))
        await empty_house.track(other, Entered())
        async with asyncio.timeout(60):
            await empty_house.router.drain()
        assert (await empty_house.run(other)).status == "running"
        refused = await empty_house.run(longest)
    assert refused.status == "failed"
    assert refused.reason.startswith("cannot start: WorkflowId")


async def test_an_event_that_no_longer_fits_its_class_leaves_no_run_that_never_starts(
    empty_house: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    user = await empty_house.somebody()
    with only([waits_for_a_tap]):
        await empty_house.track(user, Entered(via="first"))
        async with empty_house.store.write() as session:  # as if its class had been another when it was accepted
            [event] = await empty_house.events(user, "entered")
            await session.exec(update(AcceptedEvent).where(col(AcceptedEvent.id) == event.id).values(data={"via": ["secret"]}))
        await empty_house.router.drain()
        await empty_house.track(user, Entered(via="second"))
        await empty_house.router.drain()
    first, second = await empty_house.runs(user)
    assert (first.status, first.reason) == ("failed", "cannot start: via: Input should be a valid string")
    assert second.status == "running"
    assert "secret" not in caplog.text


async def test_draining_ends_though_events_keep_coming(empty_house: Stage) -> None:
    async def come() -> None:
        while True:
            await empty_house.track(await empty_house.somebody(), Entered())

    with only([waits_for_a_tap]):
        coming = asyncio.gather(*(come() for _ in range(3)))
        try:
            await asyncio.sleep(0.5)
            async with asyncio.timeout(60):
                await empty_house.router.drain()
        finally:
            coming.cancel()


async def test_draining_waits_for_what_a_dead_router_had_claimed(empty_house: Stage) -> None:
    user = await empty_house.somebody()
    with only([waits_for_a_tap]):
        await empty_house.track(user, Entered())
        async with empty_house.store.write() as session:
            until = datetime.now(UTC) + timedelta(seconds=2)
            dead = update(Person).where(col(Person.user_id) == user)
            await session.exec(dead.values(claimed_by="dead", claimed_until=until))
        await empty_house.router.drain()
        assert (await empty_house.run(user)).status == "running"


async def test_a_run_whose_predecessor_was_reset_holds_up_nobody(house: Stage) -> None:
    user, other = await house.somebody(), await house.somebody()
    with only([waits_for_a_tap]):
        await house.track(user, Entered(via="first"))
        first = await house.started(user)
        await house.track(user, Tapped())
        await house.over(user)
        await reset_without_signals(house, first)
        await house.track(user, Entered(via="second"))
        await eventually(lambda: _has_runs(house, user, 2))
        await house.track(other, Entered())
        await house.started(other)


async def _has_runs(house: Stage, user: str, count: int) -> bool:
    return len(await house.runs(user)) >= count


async def reset_without_signals(house: Stage, run: Run) -> None:
    """Reset it to its first workflow task, and let it forget its events: it is open again, for days."""
    request = ResetWorkflowExecutionRequest(
        namespace=house.temporal.namespace,
        workflow_execution=WorkflowExecution(workflow_id=run.workflow_id, run_id=(await house.workflow(run).describe()).run_id),
        reason="by hand",
        request_id=uuid4().hex,
        workflow_task_finish_event_id=3,
        reset_reapply_exclude_types=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL],
    )
    await house.temporal.workflow_service.reset_workflow_execution(request)
