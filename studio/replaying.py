"""What does the code do, as it is now, when Temporal lets it live a recorded history again?

Temporal compares commands: their kinds, their order, the channel of a message. It does not look at durations, at inputs, nor
at the names of steps; so beside its verdict, the steps that the code takes are watched.
"""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from connecting import data_converter
from studio.recorded import Recorded
from workflows.run import Memory, Step, StepMismatch
from workflows.temporal import JourneyWorkflow, runner
from workflows.wire import CLOSE, Dispatch

MISMATCH = re.compile(r"was at step (?P<was_at>'.*'|\".*\"), and its code now comes to (?P<comes_to>'.*'|\".*\"); ")


@dataclass(frozen=True)
class Replayed:
    """What the code did. `steps` are the keys of the steps it came to, in order; the last may be the one it stands in.

    `dispatched` has each attempt to send: how many steps had been taken, and the step's key. `ended`: its function did.
    `was_at` is the step of a continued run's log in whose place the code came to the last of `steps`. `failure` is Temporal's
    word that it did not replay.
    """

    steps: tuple[str, ...]
    dispatched: tuple[tuple[int, str], ...]
    ended: bool
    was_at: str | None
    failure: str


async def replay(histories: Iterable[Recorded], *, sandbox: bool = False) -> AsyncIterator[tuple[Recorded, Replayed]]:
    """Replay them one after the other, as a worker of these journeys would, and tell of each what the code did."""
    watched: dict[str, _Watch] = {}
    order: list[Recorded] = []

    async def each() -> AsyncIterator[WorkflowHistory]:
        for one in histories:
            order.append(one)
            yield one.history

    replayer = Replayer(
        workflows=[JourneyWorkflow],
        workflow_runner=runner(sandbox=sandbox),
        data_converter=data_converter,
        interceptors=[_Watching(watched)],
        build_id="sojourn",
        runtime=_silent(),
    )
    async with replayer.workflow_replay_iterator(each()) as results:
        async for result in results:
            watch = watched.pop(result.history.run_id, None) or _Watch()
            yield order.pop(), watch.told(str(result.replay_failure) if result.replay_failure is not None else "")


@cache
def _silent() -> Runtime:
    """Return a runtime whose core says nothing: what it has to say of a failure is in the failure."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


class _Log(list[Step]):
    """A run's log that knows how far its code has come in it: beyond that are steps of the run that it continues."""

    reached = 0

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int):
            self.reached = max(self.reached, index + 1)
        return super().__getitem__(index)

    def append(self, step: Step) -> None:
        super().append(step)
        self.reached = len(self)


@dataclass
class _Watch:
    """What is seen of one run while it is replayed."""

    memory: Memory = field(default_factory=Memory)
    log: _Log = field(default_factory=_Log)
    dispatched: list[tuple[int, str]] = field(default_factory=list)
    ended: bool = False
    mismatch: tuple[str, str] | None = None

    @classmethod
    def of(cls, run: JourneyWorkflow) -> _Watch:
        memory = run.journey.memory
        memory.log = log = _Log(memory.log)
        return cls(memory, log)

    def told(self, failure: str) -> Replayed:
        was_at = self.mismatch[0] if self.mismatch else None
        return Replayed(self._steps(), tuple(self.dispatched), self.ended, was_at, failure)

    def _steps(self) -> tuple[str, ...]:
        taken = [step.key for step in self.log[: self.log.reached]]
        if self.mismatch:
            was_at, comes_to = self.mismatch
            return (*(taken[:-1] if taken[-1:] == [was_at] else taken), comes_to)
        stands = self.memory.open is not None and self.log.reached == len(self.log)
        return (*taken, self.memory.open.key) if stands and self.memory.open else tuple(taken)

    def sends(self, dispatch: Dispatch) -> None:
        self.dispatched.append((self.log.reached, dispatch.step))

    def ends(self, error: StepMismatch) -> None:
        if found := MISMATCH.search(str(error)):
            self.mismatch = ast.literal_eval(found["was_at"]), ast.literal_eval(found["comes_to"])


class _Watching(Interceptor):
    """Watches every run that is replayed, by Temporal's id of it."""

    def __init__(self, watched: dict[str, _Watch]) -> None:
        self.watched = watched

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        watched = self.watched

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
                for each in input.args:
                    if isinstance(each, Dispatch):
                        watched[workflow.info().run_id].sends(each)
                return super().start_activity(input)

            def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
                if input.activity == CLOSE:
                    watched[workflow.info().run_id].ended = True
                return super().start_local_activity(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                watch = watched[workflow.info().run_id] = _Watch.of(workflow.instance())
                try:
                    return await super().execute_workflow(input)
                except StepMismatch as error:
                    watch.ends(error)
                    raise

        return Inbound
