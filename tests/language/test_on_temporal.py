"""What a run costs Temporal, and what becomes of it when somebody acts on it there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from events import reconcile
from store.tables import Run
from tests.language.both import told
from tests.language.words import Entered, Tapped, days, say
from tests.stage import Stage, as_deployed, eventually, only
from workflows.definition import ALWAYS, journey
from workflows.journey import Journey

# The yardstick: send, a wait that waits, the event, send.


@journey()
async def yardstick(j: Journey, entered: Entered) -> None:
    await j.send(say("hello"))
    if await j.wait_for(Tapped, within=days(3)):
        await j.send(say("well done"))


@activity.defn(name="bare_send")
async def bare_send(user: str) -> None:
    """Send nothing: it is counted, not read."""


@workflow.defn(name="bare_yardstick")
class BareYardstick:
    """The same by hand, on Temporal alone."""

    def __init__(self) -> None:
        self.has_tapped = False

    @workflow.signal
    def tapped(self) -> None:
        self.has_tapped = True

    @workflow.run
    async def run(self, user: str) -> None:
        await workflow.execute_activity("bare_send", user, start_to_close_timeout=timedelta(seconds=30))
        await workflow.wait_condition(lambda: self.has_tapped, timeout=days(3))
        await workflow.execute_activity("bare_send", user, start_to_close_timeout=timedelta(seconds=30))


async def test_the_yardstick_journey_costs_one_history_event_more_than_by_hand(house: Stage) -> None:
    bare = await bare_history_length(house.temporal)
    user = await house.somebody()
    with only([yardstick]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        await house.track(user, Tapped())
        await house.over(user)
        await eventually(lambda: _has_closed(house, run))
    assert (await told(house, user))[0].texts == ["hello", "well done"]
    assert (bare, len(await house.history(run))) == (23, 24)


async def _has_closed(house: Stage, run: Run) -> bool:
    return (await house.workflow(run).describe()).close_time is not None


async def bare_history_length(client: Client) -> int:
    queue = f"bare-{uuid4().hex}"
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[BareYardstick], activities=[bare_send], workflow_runner=runner):
        handle = await client.start_workflow("bare_yardstick", "ada", id=queue, task_queue=queue)
        while len([event async for event in handle.fetch_history_events()]) < 11:  # the timer is started
            await asyncio.sleep(0.02)
        await handle.signal("tapped")
        await handle.result()
    return len([event async for event in handle.fetch_history_events()])


# What is done to a run in Temporal's own UI.


@journey(again=ALWAYS)
async def can_be_ended_from_outside(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3))
    await j.send(say(entered.via))


async def terminate(house: Stage, run: Run) -> None:
    await house.workflow(run).terminate("by hand")


async def cancel(house: Stage, run: Run) -> None:
    await house.workflow(run).cancel()


async def delete(house: Stage, run: Run) -> None:
    """Delete it once Temporal lists it: one that is deleted before that may be listed for ever after."""

    async def is_listed() -> bool:
        query = f"WorkflowId = '{run.workflow_id}' AND ExecutionStatus = 'Running'"
        return bool([each async for each in house.temporal.list_workflows(query)])

    await eventually(is_listed)
    execution = WorkflowExecution(workflow_id=run.workflow_id)
    request = DeleteWorkflowExecutionRequest(namespace=house.temporal.namespace, workflow_execution=execution)
    await house.temporal.workflow_service.delete_workflow_execution(request)


async def reset(house: Stage, run: Run) -> None:
    """Reset it to its first workflow task: the run begins anew, under another run id of Temporal's."""
    request = ResetWorkflowExecutionRequest(
        namespace=house.temporal.namespace,
        workflow_execution=WorkflowExecution(workflow_id=run.workflow_id, run_id=(await house.workflow(run).describe()).run_id),
        reason="by hand",
        request_id=uuid4().hex,
        workflow_task_finish_event_id=3,
    )
    await house.temporal.workflow_service.reset_workflow_execution(request)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reconciler look at young runs too."""
    monkeypatch.setattr(reconcile, "SETTLING", timedelta(0))


async def reconciled(house: Stage, user: str, status: str) -> None:
    async def is_right() -> bool:
        await reconcile.reconcile(house.store, house.temporal, house.settings.task_queue)
        return (await house.run(user)).status == status

    await eventually(is_right)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("act", "status", "reason"),
    [
        (terminate, "terminated", "terminated in Temporal"),
        (cancel, "cancelled", "cancelled in Temporal"),
        (delete, "terminated", "deleted in Temporal"),
    ],
)
async def test_a_run_that_is_ended_in_temporal_frees_its_row(
    house: Stage, act: Callable[[Stage, Run], Awaitable[None]], status: str, reason: str
) -> None:
    user = await house.somebody()
    with only([can_be_ended_from_outside]):
        await house.track(user, Entered(via="first"))
        await act(house, await house.started(user))
        await reconciled(house, user, status)
        await house.track(user, Entered(via="second"))
        await house.started(user, 2)
        await house.track(user, Tapped())
        await house.over(user)
    first, second = await told(house, user)
    assert (first.status, first.reason, first.texts) == (status, reason, [])
    assert (second.status, second.texts) == ("completed", ["second"])


@pytest.mark.usefixtures("at_once")
async def test_a_run_that_is_reset_in_temporal_is_open_again_and_sends_nothing_twice(house: Stage) -> None:
    user = await house.somebody()
    with only([says_hello_and_waits]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        await terminate(house, run)
        await reconciled(house, user, "terminated")
        await reset(house, run)
        await reconciled(house, user, "running")
        await house.track(user, Tapped())
        await house.over(user)
    [story] = await told(house, user)
    assert (story.status, story.texts) == ("completed", ["hello", "goodbye"])


@journey()
async def says_hello_and_waits(j: Journey, entered: Entered) -> None:
    await j.send(say("hello"))
    await j.wait_for(Tapped, within=days(3))
    await j.send(say("goodbye"))


@pytest.mark.usefixtures("at_once")
async def test_reconciling_leaves_alone_what_is_right(house: Stage) -> None:
    user = await house.somebody()
    with only([can_be_ended_from_outside]):
        await house.track(user, Entered())
        await house.started(user)
        await house.settled(user)
        before = await house.run(user)
        await reconcile.reconcile(house.store, house.temporal, house.settings.task_queue)
        assert await house.run(user) == before
        await house.track(user, Tapped())
        await house.over(user)
        over = await house.run(user)
        await reconcile.reconcile(house.store, house.temporal, house.settings.task_queue)
        assert await house.run(user) == over


async def test_a_worker_reconciles_by_itself_within_a_minute(empty_house: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timedelta(minutes=1) > 2 * reconcile.EVERY + reconcile.SETTLING
    monkeypatch.setattr(reconcile, "SETTLING", timedelta(0))
    monkeypatch.setattr(reconcile, "EVERY", timedelta(milliseconds=50))
    user = await empty_house.somebody()
    with only([can_be_ended_from_outside]):
        async with as_deployed(empty_house):
            await empty_house.track(user, Entered())
            await terminate(empty_house, await empty_house.started(user))
            await empty_house.over(user)
    assert (await empty_house.run(user)).status == "terminated"
