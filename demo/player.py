"""Playing a person's life on the real server, at its own dates: months pass in moments, in the order they would have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlmodel import col, select
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from events.route import to_route
from store.session import Store
from store.tables import AcceptedEvent, Person, Run
from workflows.wire import Standing

CLOCK_HEADER = "X-Sojourn-Clock"
LOOK_AGAIN_SECONDS = 0.005
PATIENCE_SECONDS = 60.0
CLOSE_CALL = timedelta(seconds=2)  # clocks go on while a call is made: it must reach its runs before a deadline that follows


@dataclass(frozen=True)
class Call:
    """One HTTP call, and when it was made. `path` may hold {run_id}, for the person's last run.

    A `refusable` call may be answered 409: what it asks for is no longer so.
    """

    at: datetime
    path: str
    body: Mapping[str, Any]
    method: str = "POST"
    refusable: bool = False


@dataclass(frozen=True)
class Waiting:
    """A run that waits: up to when, and what its clock is ahead of the server's."""

    run: Run
    due: datetime | None
    offset: timedelta


class Stuck(RuntimeError):
    """A played life cannot go on: a call was refused, or a run does not say where it stands."""


class Player:
    """Moves all of one person's runs together, to their earliest next deadline or event.

    `api` is a client of the HTTP API with the admin key; the store and Temporal are those that serve it.
    """

    def __init__(self, store: Store, temporal: Client, api: httpx.AsyncClient) -> None:
        self.store, self.temporal, self.api = store, temporal, api
        self.skipper = TimeSkipper(temporal, config=TimeSkippingConfig(enabled=False))

    async def live(
        self,
        user_id: str,
        calls: Sequence[Call],
        until: datetime | None = None,
        passed: Callable[[datetime], Awaitable[None] | None] | None = None,
    ) -> None:
        """Make these calls, in order, each at its own time, with all that is due before it; then let time pass to `until`.

        Without `until`, to the end of the person's last run. `passed` is told of each moment that is over.
        """
        for call in calls:
            await self._pass_until(user_id, call.at)
            await self._make(user_id, call)
            await self.settle(user_id)
            if passed is not None and (told := passed(call.at)) is not None:
                await told
        await self._pass_until(user_id, until)

    async def _make(self, user_id: str, call: Call) -> None:
        path = call.path
        if "{run_id}" in path:
            path = path.format(run_id=(await self._last_run(user_id)).id)
        answer = await self.api.request(call.method, path, json=call.body, headers={CLOCK_HEADER: call.at.isoformat()})
        if answer.is_error and not (call.refusable and answer.status_code == 409):
            raise Stuck(f"{call.method} {path} was answered {answer.status_code}: {answer.text}")

    async def _pass_until(self, user_id: str, end: datetime | None) -> None:
        """Let every deadline before `end` pass, in order, and bring all clocks to `end`."""
        while waiting := await self._waiting(user_id):
            due = min((each.due for each in waiting if each.due), default=None)
            target = _next_stop(due, end)
            if target is None:
                return
            await asyncio.gather(*(self._forward(each, target) for each in waiting))
            await self.settle(user_id)
            if target != due:
                return

    async def _forward(self, waiting: Waiting, target: datetime) -> None:
        """Bring one run's clock to `target`. A run that ended since it was asked has no clock any more."""
        handle = self.temporal.get_workflow_handle(waiting.run.workflow_id)
        try:
            ahead = target - (await self.skipper.get_current_time(handle) + waiting.offset)
            if ahead > timedelta(0):
                await self.skipper.fast_forward(handle, ahead)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise

    async def settle(self, user_id: str) -> None:
        """Return when all that was accepted has been routed, and every run of the person waits or is over."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._at_rest(user_id):
                await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _at_rest(self, user_id: str) -> bool:
        """Ask twice whether all is routed: a run that ends may hand an event back."""
        if not await self._routed(user_id):
            return False
        busy = await asyncio.gather(*(self._busy(run) for run in await self._open(user_id)))
        return not any(busy) and await self._routed(user_id)

    async def _waiting(self, user_id: str) -> list[Waiting]:
        """Return where the person's open runs stand, as soon as all of them stand somewhere.

        Between two steps is nowhere: a clock may be brought to a deadline before the run has heard of it.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await asyncio.gather(*(self._standing(run) for run in await self._open(user_id)))
                waiting = [each for each in found if each is not None]
                if len(waiting) == len(found):
                    return waiting
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                await self.settle(user_id)

    async def _standing(self, run: Run) -> Waiting | None:
        try:
            standing: Standing | None = await self.temporal.get_workflow_handle(run.workflow_id).query(
                "standing", result_type=Standing
            )
        except (RPCError, WorkflowQueryFailedError) as error:
            raise Stuck(f"run {run.id} ({run.workflow_id}) does not say where it stands: {error}") from error
        if standing is None:
            return None
        due = None if standing.paused else standing.retry_at or standing.deadline
        return Waiting(run, due, timedelta(seconds=standing.offset))

    async def _routed(self, user_id: str) -> bool:
        async with self.store.read() as session:
            mine = select(AcceptedEvent.id).join(Person).where(Person.user_id == user_id, to_route)
            return (await session.exec(mine.limit(1))).first() is None

    async def _open(self, user_id: str) -> list[Run]:
        async with self.store.read() as session:
            mine = select(Run).join(Person).where(Person.user_id == user_id, col(Run.ended_at).is_(None))
            return list((await session.exec(mine)).all())

    async def _last_run(self, user_id: str) -> Run:
        async with self.store.read() as session:
            mine = select(Run).join(Person).where(Person.user_id == user_id).order_by(col(Run.id).desc())
            return (await session.exec(mine.limit(1))).one()

    async def _busy(self, run: Run) -> bool:
        """Say whether the run has work in hand, or has ended without its row knowing it yet."""
        execution = WorkflowExecution(workflow_id=run.workflow_id)
        request = DescribeWorkflowExecutionRequest(namespace=self.temporal.namespace, execution=execution)
        try:
            found = await self.temporal.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return found.HasField("pending_workflow_task") or any(_in_hand(each) for each in found.pending_activities)


def _next_stop(due: datetime | None, end: datetime | None) -> datetime | None:
    """Return where to bring the clocks next: to the deadline, if it comes before `end`; else to `end`, short of the deadline."""
    if end is None or due is None:
        return due or end
    return due if due < end else min(end, due - CLOSE_CALL)


def _in_hand(activity: Any) -> bool:
    """An activity that waits for its next attempt is at rest: time has to pass first."""
    backing_off = activity.attempt > 1 and activity.state == 1 and activity.scheduled_time.ToDatetime(UTC) > datetime.now(UTC)
    return not backing_off
