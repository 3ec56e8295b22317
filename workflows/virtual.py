"""One run in virtual time: the `Runtime` of a simulation, driven from outside."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol

from workflows.definition import Definition, Event
from workflows.journey import Journey
from workflows.run import Arrival, Exited, Memory, Receipt, User
from workflows.runtime import Sending
from workflows.segments import Segment
from workflows.simulated import Decided, Simulation

SKIPPED = Receipt("suppressed", "kill_switch")
MOST_STEPS = 50_000  # of a run: hundreds of times what any takes that ends


class Around(Protocol):
    """What a run in virtual time needs of the life it is part of."""

    clock: datetime
    fallback_zone: str
    ended: list[Run]

    @property
    def user(self) -> User: ...
    def gate(self, definition: Definition[Any], sending: Sending, run_id: str) -> Receipt: ...
    def assign(self, experiment: str, weights: Mapping[str, int]) -> str: ...
    def belongs(self, segment: Segment) -> bool: ...


class Wait:
    """What a run hands to its driver: when to wake it."""

    __slots__ = ("deadline", "ready")

    def __init__(self, ready: Callable[[], bool], deadline: datetime | None) -> None:
        self.ready, self.deadline = ready, deadline

    def __await__(self) -> Generator[Wait, bool, bool]:
        return (yield self)


class Run:
    """One person's run of a journey. `begin` takes it to its first wait, `resume` from one to the next."""

    def __init__(self, life: Around, definition: Definition[Any], trigger: Event, key: str, seq: int) -> None:
        self.life, self.definition, self.key = life, definition, key
        self.result = Simulation(definition, life.clock)
        self.id = f"{definition.name}/{seq}"
        self.waiting: Wait | None = None
        self.stopped: Sending | None = None  # what waits because of a kill switch
        self.skipped = set[str]()  # the steps of what waited so, and is not sent
        memory = Memory(log=self.result.steps)
        self.journey = Journey(self, definition, life.user, trigger, life.clock, memory, life.fallback_zone)
        self.journey.ignore(seq)
        self.coroutine: Coroutine[Wait, bool, None] = definition.function(self.journey, trigger)  # type: ignore[assignment]

    # What a journey needs from the world: its Runtime

    def now(self) -> datetime:
        return self.life.clock

    def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> Wait:
        return Wait(ready, deadline)

    async def deliver(self, sending: Sending) -> Receipt:
        self.stopped = None
        if sending.step in self.skipped:
            return SKIPPED
        receipt = self.life.gate(self.definition, sending, self.id)
        if receipt.status != "deferred":
            self.result.decided.append(Decided(self.life.clock, sending.step, sending.message, receipt))
            return receipt
        if receipt.reason == "kill_switch":
            self.stopped = sending
        self.result.put_off.append(Decided(self.life.clock, sending.step, sending.message, receipt))
        return receipt

    async def conclude(self, sending: Sending, receipt: Receipt) -> Receipt:
        self.result.decided.append(Decided(self.life.clock, sending.step, sending.message, receipt))
        return receipt

    async def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        return self.life.assign(experiment, weights)

    async def matches(self, segment: Segment) -> bool:
        return self.life.belongs(segment)

    def stepped(self) -> None:
        """Raise RuntimeError for a run that does not end: a server lets it go on for years, and here nobody would hear of it."""
        if len(self.result.steps) > MOST_STEPS:
            raise RuntimeError(
                f"{self.definition.place}: this run of {self.definition.name!r} has taken {MOST_STEPS:,} steps, "
                f"up to {self.life.clock:%d %B %Y}, and comes to no end; give its loop one, or live it `until=` some moment"
            )

    # What drives it

    def begin(self) -> None:
        """Take the run to its first wait, or to its end."""
        self.resume(None)

    def resume(self, outcome: bool | None) -> None:
        """Go on from a wait: True if it is ready, False if its time is over."""
        try:
            self.waiting = self.coroutine.send(outcome)  # type: ignore[arg-type]
        except StopIteration:
            self._end("completed", "")
        except Exited as exited:
            self._end("exited", exited.reason)

    def skip(self, sending: Sending) -> None:
        """Have decided that a message which waits because of a kill switch is not sent, be the run paused or not."""
        self.skipped.add(sending.step)
        self.result.decided.append(Decided(self.life.clock, sending.step, sending.message, SKIPPED))

    @property
    def deadline(self) -> datetime | None:
        return self.waiting.deadline if self.waiting is not None else None

    def hear(self, arrival: Arrival, event: Event) -> None:
        """Take in an event that the journey listens to, if it concerns this run."""
        if self.definition.key is None or self.definition.reaches(event, self.key):
            self.journey.take(arrival, event)

    def wake_if_ready(self) -> None:
        while self.waiting is not None and self.waiting.ready():
            self.resume(True)

    def _end(self, status: Literal["completed", "exited"], reason: str) -> None:
        self.waiting = None
        self.result.status, self.result.reason, self.result.ended = status, reason, self.life.clock
        self.life.ended.append(self)
