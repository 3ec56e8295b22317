"""The words a journey is written in, and what they mean.

Everything here is deterministic. What differs between a live run and a simulated one is behind `workflows.runtime.Runtime`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any, NoReturn, TypeVar, cast, overload
from zoneinfo import ZoneInfo

from workflows.clock import EVERY_DAY, Day, share, zone
from workflows.definition import Definition, Event
from workflows.messages import Message
from workflows.run import Exited, Memory, Open, Receipt, Step, StepMismatch, User
from workflows.runtime import Runtime, Sending
from workflows.segments import Segment
from workflows.terms import ZERO, bounded, moment_of, summary, wanted, weighted
from workflows.told import INSTEAD, Told

A = TypeVar("A", bound=Event)
B = TypeVar("B", bound=Event)
C = TypeVar("C", bound=Event)
T = TypeVar("T")

SKIPPED, CAPPED = "skipped by an operator", Receipt("suppressed", "frequency_cap")


class Journey(Told):
    """One person's run through a journey: the only thing its code may touch."""

    def __init__(
        self,
        runtime: Runtime,
        definition: Definition[Any],
        user: User,
        trigger: Event,
        started: datetime,
        memory: Memory,
        fallback_zone: str = "UTC",
    ) -> None:
        super().__init__(runtime, definition, user, memory)
        self._trigger = trigger
        self._fallback_zone = fallback_zone
        self._calls: dict[str, int] = {}
        self._variants: dict[str, str] = {}
        self._replayed = 0
        self._moment = started
        self._verb = ""

    # What a journey may ask

    @property
    def user(self) -> User:
        """The person, as the run knew them when its last step ended."""
        return next(user for place, user in reversed(self._users) if place <= self._place)

    @property
    def traits(self) -> Mapping[str, Any]:
        """The person's traits, as the run knew them when its last step ended."""
        return self.user.traits

    @property
    def now(self) -> datetime:
        """The run's clock, in the person's zone: the moment its last step ended."""
        return self._moment.astimezone(self.zone)

    @property
    def zone(self) -> ZoneInfo:
        """The person's zone; the configured one if theirs is unknown."""
        return zone(self.user.zone) or zone(self._fallback_zone) or ZoneInfo("UTC")

    def seen(self, *events: type[A]) -> list[A]:
        """Return what has happened so far of these events, the trigger included, in the order of arrival. Consumes nothing."""
        past = [self._trigger, *(event for place, event in self._events if place <= self._place)]
        return [event for event in past if isinstance(event, events)]

    # The verbs

    async def send(self, message: Message, *, key: str | None = None) -> Receipt:
        """Deliver `message` if the gate allows it, waiting out quiet hours and caps until it expires."""
        key = self._key("send", key or f"send:{message.channel}/{message.template}")
        if step := self._logged(key):
            return Receipt(**step.outcome)
        if self.memory.paused is not None:
            await self._resumed(key)
        deadline = self._open(key, self._runtime.now() + bounded(message.expires))
        sending = Sending(key, message, deadline, self._variants.get(message.experiment or "", ""))
        receipt = CAPPED if self.memory.goes_instead else await self._deliver(sending)
        if isinstance(message.capped, Message) and receipt == CAPPED:
            self.memory.go_instead()
            receipt = await self._deliver(Sending(key + INSTEAD, message.capped, deadline))
        if receipt.status == "exited":  # and what came meanwhile has not been seen
            raise Exited(receipt.reason)
        self._over(key, {"status": receipt.status, "reason": receipt.reason, "message": receipt.message}, deadline)
        return receipt

    @overload
    async def wait_for(
        self,
        event: type[A],
        /,
        *,
        within: timedelta,
        of: Receipt | None = None,
        where: Callable[[A], bool] | None = None,
        key: str | None = None,
    ) -> A | None: ...
    @overload
    async def wait_for(
        self,
        event: type[A],
        or_: type[B],
        /,
        *,
        within: timedelta,
        of: Receipt | None = None,
        where: Callable[[A | B], bool] | None = None,
        key: str | None = None,
    ) -> A | B | None: ...
    @overload
    async def wait_for(
        self,
        event: type[A],
        or_: type[B],
        or_too: type[C],
        /,
        *,
        within: timedelta,
        of: Receipt | None = None,
        where: Callable[[A | B | C], bool] | None = None,
        key: str | None = None,
    ) -> A | B | C | None: ...
    async def wait_for(
        self,
        *events: type[Any],
        within: timedelta,
        of: Receipt | None = None,
        where: Callable[[Any], bool] | None = None,
        key: str | None = None,
    ) -> Any:
        """Return the earliest of these events that no wait of this run has returned yet, or None after `within`.

        It may have come before the wait began; the trigger does not count. `where` filters on the typed event. `of` a message,
        by its receipt, only what happened to that one counts; to one that was not sent nothing does, and the wait is over at once.
        """
        key = self._key("wait_for", key or "wait:" + "|".join([event.name for event in events]))
        step = self._logged(key)
        if step is None:
            fits, sent = wanted(events, of, where), of is None or of.status == "sent"
            if self.memory.paused is not None:
                await self._resumed(key)
            deadline = self._open(key, self._runtime.now() + (bounded(within) if sent else ZERO))
            await self._settle(lambda: self._next(fits) is not None, deadline)
            step = self._over(key, self._next(fits), deadline)
        return None if step.outcome is None else self._read(step.outcome)

    async def sleep(self, duration: timedelta, *, key: str | None = None) -> None:
        """Do nothing for `duration`."""
        key = self._key("sleep", key or "sleep")
        if not self._logged(key):
            if self.memory.paused is not None:
                await self._resumed(key)
            await self._rest(key, self._open(key, self._runtime.now() + bounded(duration)))

    async def until(
        self,
        moment: time | datetime,
        *,
        on: Collection[Day] = EVERY_DAY,
        spread: timedelta = ZERO,
        key: str | None = None,
    ) -> None:
        """Do nothing until `moment`. A `time` is the next such time where the person is, strictly after now, on one of those days.

        `spread` adds a share of it that is fixed by person, so that a wave at 09:00 is spread over, say, 20 minutes.
        """
        key = self._key("until", key or "until")
        if not self._logged(key):
            if self.memory.paused is not None:
                await self._resumed(key)
            deadline = moment_of(moment, self._runtime.now(), self.zone, on, spread * share(self.user.id))
            bounded(deadline - self._runtime.now())
            await self._rest(key, self._open(key, deadline))

    async def split(
        self, experiment: str, variants: Mapping[str, T], weights: Mapping[str, int] | None = None, *, key: str | None = None
    ) -> T:
        """Return the variant this person has in the experiment: the same for good, whatever becomes of the weights."""
        key = self._key("split", key or f"split:{experiment}")
        step = self._logged(key)
        if step is None:
            if self.memory.paused is not None:
                await self._resumed(key)
            deadline = self._open(key, self._runtime.now())
            step = self._over(key, await self._runtime.assign(experiment, weighted(experiment, variants, weights)), deadline)
        if step.outcome not in variants:
            raise StepMismatch(
                f"{self._definition.place}: experiment {experiment!r} gave this person {step.outcome!r}, which is no longer "
                f"among its variants; keep it, at weight 0, until no run needs it"
            )
        self._variants[experiment] = step.outcome
        chosen = variants[step.outcome]
        return cast(T, replace(chosen, experiment=experiment)) if isinstance(chosen, Message) else chosen

    async def matches(self, segment: Segment, *, key: str | None = None) -> bool:
        """Say whether the person belongs to the segment now."""
        key = self._key("matches", key or f"matches:{segment.name}")
        step = self._logged(key)
        if step is None:
            if self.memory.paused is not None:
                await self._resumed(key)
            deadline = self._open(key, self._runtime.now())
            step = self._over(key, await self._runtime.matches(segment), deadline)
        return bool(step.outcome)

    # How a step is taken

    def _key(self, verb: str, base: str) -> str:
        self._verb = verb
        calls = self._calls[base] = self._calls.get(base, 0) + 1
        return base if calls == 1 else f"{base}#{calls}"

    def _logged(self, key: str) -> Step | None:
        """Return the step from the log of the run that this one continues, if it took it."""
        if self._replayed == len(self.memory.log):
            return None
        step = self.memory.log[self._replayed]
        if step.key != key:
            raise StepMismatch(self._definition.mismatch(key, step.key))
        self._replayed += 1
        self._moment, self._place = step.at, step.place
        return step

    async def _resumed(self, key: str) -> None:
        """Stand before a step while paused, unless the run is to be left."""
        self._refuse_other(key)
        while self.memory.paused and not self._leaving:
            await self._runtime.wait(lambda: not self.memory.paused or self._leaving, None, lambda: "paused")

    def _open(self, key: str, deadline: datetime) -> datetime:
        """Open the step, or go on with it as the continued run left it: never once exited. Returns its absolute deadline."""
        if self.memory.open is not None:
            self._refuse_other(key)
        if self._leaving:
            self._leave()
        if self.memory.open is None:
            self.memory.open = Open(key, deadline, verb=self._verb)
        return self.memory.open.deadline

    def _refuse_other(self, key: str) -> None:
        """Refuse a step other than the one that the continued run stood in."""
        at = self.memory.open
        if at is not None and at.key != key:
            raise StepMismatch(self._definition.mismatch(key, at.key))

    async def _settle(self, ready: Callable[[], bool], deadline: datetime) -> bool:
        """Wait until it is ready, the deadline is there or an operator skips it (True). Leaves on an exit.

        While paused, clocks run on and nothing is decided.
        """
        assert self.memory.open is not None
        key, overdue = self.memory.open.key, self._runtime.now() >= deadline

        def over() -> bool:
            return self._leaving or (self.memory.paused is None and (overdue or self.memory.skipped == key or ready()))

        def said() -> str:
            return summary(self._verb, key, deadline, self._runtime.now(), self.zone)

        settled = over()
        while not settled:
            if not (settled := await self._runtime.wait(over, None if overdue else deadline, said)):
                overdue = True
                settled = over()
        if self._leaving:
            self._leave()
        self._moment = max(self._runtime.now(), deadline) if overdue else self._runtime.now()
        skipped, self.memory.skipped = self.memory.skipped == key, None
        return skipped

    def _over(self, key: str, outcome: Any, deadline: datetime) -> Step:
        memory, now = self.memory, self._runtime.now()
        if now > self._moment:
            self._moment = now
        self._place = len(memory.inbox)
        step = Step(key, self._moment, self._place, outcome, deadline)
        memory.log.append(step)
        memory.open = None
        self._replayed += 1
        self._runtime.stepped()
        return step

    async def _rest(self, key: str, deadline: datetime) -> None:
        await self._settle(lambda: False, deadline)
        self._over(key, None, deadline)

    async def _deliver(self, sending: Sending) -> Receipt:
        assert self.memory.open is not None
        while True:
            while (retry_at := self.memory.open.retry_at) is not None:
                if await self._settle(partial(self._is_rescheduled, retry_at), retry_at):
                    return await self._runtime.conclude(sending, Receipt("suppressed", SKIPPED))
                if not self._is_rescheduled(retry_at):
                    self.memory.open = replace(self.memory.open, retry_at=None)
            self._released = None
            receipt = await self._runtime.deliver(sending)
            if receipt.status != "deferred":
                return receipt
            self.memory.open = replace(self.memory.open, retry_at=self._released or receipt.retry_at)

    def _is_rescheduled(self, retry_at: datetime) -> bool:
        """Say whether a release has come while the message waited for `retry_at`."""
        return self.memory.open is not None and self.memory.open.retry_at != retry_at

    def _leave(self) -> NoReturn:
        raise Exited(self._exit if self.memory.ended_by is None else str(self.memory.ended_by))
