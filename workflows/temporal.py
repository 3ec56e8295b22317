"""Any journey as a Temporal workflow whose type is the journey's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.definition import EVENTS, JOURNEYS, PAUSE, Definition, Event
from workflows.diary import diary
from workflows.journey import Journey
from workflows.messages import Webhook
from workflows.run import Exited, Memory, Order, Receipt
from workflows.runtime import Sending
from workflows.segments import Segment
from workflows.wire import (
    ASSIGN,
    CLOSE,
    CONCLUDE,
    MATCHES,
    Asked,
    Assignation,
    Closing,
    Conclusion,
    Continued,
    Dispatch,
    Enrolment,
    Signal,
    Standing,
    Steps,
    send_activity,
)

SEND_TIMEOUT = timedelta(seconds=30)
STORE_TIMEOUT = timedelta(seconds=10)
RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5))


# ZoneInfo does not work inside Temporal's sandbox, and events and journeys register themselves once a process: both packages
# are passed through, with the libraries they stand on.
PASSED = ("workflows", "journeys", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "tzdata", "zoneinfo")


def runner(*, sandbox: bool = False) -> WorkflowRunner:
    """Return what runs workflow code: by default unsandboxed, for journeys are checked when they are loaded."""
    if sandbox:
        return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED))
    return UnsandboxedWorkflowRunner()


class Parked(RuntimeError):
    """The run's journey is not in the code that this worker runs."""


@workflow.defn(dynamic=True)
class JourneyWorkflow:
    """One person's run. Its signals are accepted events, by their own names; its updates are an operator's orders."""

    @workflow.init
    def __init__(self, args: Sequence[RawValue]) -> None:
        self.enrolment = enrolment = workflow.payload_converter().from_payload(args[0].payload, Enrolment)
        self.definition = _definition(workflow.info().workflow_type, enrolment.version)
        self.trigger = _trigger(enrolment)
        continued = enrolment.continued or _beginning(enrolment)
        self.offset, self.started = timedelta(seconds=continued.offset), continued.started
        self.steps_before = len(continued.memory.log)
        self.journey = Journey(
            self,
            self.definition,
            enrolment.user,
            self.trigger,
            continued.started,
            continued.memory,
            enrolment.fallback_zone,
        )
        self.journey.ignore(enrolment.trigger.seq)

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> str:
        try:
            await self.definition.function(self.journey, self.trigger)
            status, reason = "completed", ""
        except Exited as exited:
            status, reason = "exited", exited.reason
        workflow.set_current_details(diary(self.journey))
        await workflow.execute_local_activity(
            CLOSE,
            Closing(self.enrolment.run_id, status, reason, self.now(), self.journey.unseen_triggers),
            start_to_close_timeout=STORE_TIMEOUT,
        )
        return f"{status}: {reason}" if reason else status

    # What the world tells the run

    @workflow.signal(dynamic=True)
    def on_event(self, name: str, args: Sequence[RawValue]) -> None:
        """Take in an event. Never raises: that would stop the run."""
        try:
            signal = workflow.payload_converter().from_payload(args[0].payload, Signal)
            if signal.run_id == self.enrolment.run_id:
                self.journey.take(signal.arrival)
                if signal.arrival.event == PAUSE:
                    workflow.set_current_details(diary(self.journey))
        except Exception as error:
            workflow.logger.warning("signal %r ignored: %s", name, error)

    @workflow.update
    def pause(self, order: Order) -> None:
        self.journey.pause(order)
        workflow.set_current_details(diary(self.journey))

    @pause.validator
    def _may_pause(self, order: Order) -> None:
        _see_that_it_is_signed(order)

    @workflow.update
    def resume(self, order: Order) -> None:
        self.journey.resume()
        workflow.set_current_details(diary(self.journey))

    @resume.validator
    def _is_paused(self, order: Order) -> None:
        _see_that_it_is_signed(order)
        if self.journey.memory.paused is None:
            raise ApplicationError("the run is not paused", type="MovedOn")

    @workflow.update
    def skip(self, order: Order) -> None:
        self.journey.skip(order)

    @skip.validator
    def _stands_there(self, order: Order) -> None:
        _see_that_it_is_signed(order)
        if not self.journey.skippable(order.step):
            at = self.journey.memory.open
            where = f"at {at.key!r}" if at else "between two steps"
            raise ApplicationError(f"the run does not wait at step {order.step!r}; it is {where}", type="MovedOn")

    @workflow.update
    def exit(self, order: Order) -> None:
        self.journey.exit(order)

    @exit.validator
    def _may_exit(self, order: Order) -> None:
        _see_that_it_is_signed(order)

    @workflow.query
    def standing(self) -> Standing | None:
        """Where the run stands; None between two steps, unless it is paused there."""
        at, paused, offset = self.journey.memory.open, self.journey.memory.paused, self.offset.total_seconds()
        if at is None:
            return Standing("", None, None, paused, offset) if paused else None
        return Standing(at.key, at.deadline, at.retry_at, paused, offset)

    @workflow.query
    def steps(self) -> Steps:
        """The run's steps, by their keys: what its code was when it took them, which no history tells whole."""
        memory = self.journey.memory
        return Steps([step.key for step in memory.log], memory.open.key if memory.open else "")

    # What a journey needs from the world: its Runtime

    def now(self) -> datetime:
        return workflow.now() + self.offset

    async def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> bool:
        left = None if deadline is None else deadline - self.now()
        if ready() or (left is not None and left <= timedelta(0)):
            return ready()
        workflow.set_current_details(diary(self.journey))
        try:
            await workflow.wait_condition(lambda: ready() or _is_full(), timeout=left, timeout_summary=summary())
        except TimeoutError:
            return ready()
        if not ready():
            self._continue()
        return True

    async def deliver(self, sending: Sending) -> Receipt:
        try:
            receipt: Receipt = await workflow.execute_activity(
                send_activity(sending.message.channel),
                self._dispatch(sending),
                result_type=Receipt,
                start_to_close_timeout=SEND_TIMEOUT,
                retry_policy=RETRIES,
                summary=sending.message.template,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return await self.conclude(sending, Receipt("failed", str(error.cause or error)))
        return receipt

    async def conclude(self, sending: Sending, receipt: Receipt) -> Receipt:
        holds: Receipt = await workflow.execute_local_activity(
            CONCLUDE,
            Conclusion(self._dispatch(sending), receipt, self.now()),
            result_type=Receipt,
            start_to_close_timeout=STORE_TIMEOUT,
        )
        return holds

    async def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        variant: str = await workflow.execute_local_activity(
            ASSIGN,
            Assignation(self.enrolment.run_id, experiment, weights, self.now()),
            result_type=str,
            start_to_close_timeout=STORE_TIMEOUT,
        )
        return variant

    async def matches(self, segment: Segment) -> bool:
        belongs: bool = await workflow.execute_local_activity(
            MATCHES,
            Asked(self.enrolment.run_id, segment.name, self.now()),
            result_type=bool,
            start_to_close_timeout=STORE_TIMEOUT,
        )
        return belongs

    def stepped(self) -> None:
        every = self.enrolment.continue_after
        taken = len(self.journey.memory.log) - self.steps_before
        if _is_full() if every is None else taken >= every:
            self._continue()

    def _dispatch(self, sending: Sending) -> Dispatch:
        message = sending.message
        return Dispatch(
            run_id=self.enrolment.run_id,
            step=sending.step,
            channel=message.channel,
            template=message.template,
            topic=message.topic or self.definition.topic,
            expires=sending.expires,
            data=message.data,
            experiment=message.experiment,
            variant=sending.variant,
            offset=self.offset.total_seconds(),
            transactional=message.transactional,
            waits=message.capped == "wait",
            tracked=message.tracked,
            endpoint=message.endpoint if isinstance(message, Webhook) else "",
            obeyed=max(self.journey.memory.orders, default=0),
        )

    def _continue(self) -> NoReturn:
        """Continue as new, with all the run remembers: the function begins at the top, and its steps return what they did."""
        continued = Continued(self.journey.memory, self.started, self.offset.total_seconds())
        workflow.continue_as_new(_continued(self.enrolment, continued))


def _see_that_it_is_signed(order: Order) -> None:
    """Refuse an order of nobody. Each update has a validator: without one, an update of garbage would fail the run's task."""
    if not (order.actor and order.reason):
        raise ApplicationError("an order names its actor and its reason", type="Unsigned")


def _is_full() -> bool:
    return workflow.info().is_continue_as_new_suggested()


def _continued(enrolment: Enrolment, continued: Continued) -> Enrolment:
    return replace(enrolment, continued=continued)


def _beginning(enrolment: Enrolment) -> Continued:
    now = workflow.now()
    started = enrolment.clock or now
    return Continued(Memory(), started, (started - now).total_seconds())


def _definition(name: str, version: int) -> Definition[Any]:
    definition = JOURNEYS.get((name, version))
    if definition is None:
        raise Parked(
            f"journey {name!r} version {version} is not in the journeys folder of this worker, so this run is parked; "
            f"put its function back (an older version is called {name}_v{version}), or exit the run"
        )
    return definition


def _trigger(enrolment: Enrolment) -> Event:
    kind = EVENTS.get(enrolment.trigger.event)
    if kind is None:
        raise Parked(
            f"event {enrolment.trigger.event!r}, which this run started on, is not in the journeys folder of this worker, "
            f"so this run is parked; put its class back, or exit the run"
        )
    return kind.model_validate(enrolment.trigger.data)
