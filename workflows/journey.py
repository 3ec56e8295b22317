"""The words a journey is written in, and what they mean.

Everything here is deterministic. What differs between a live run and a simulated one is behind `workflows.runtime.Runtime`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any, TypeVar, cast, overload
from zoneinfo import ZoneInfo

from workflows.clock import EVERY_DAY, Day, share, zone
from workflows.definition import EVENTS, EXIT, PAUSE, RELEASE, Definition, Event
from workflows.messages import Message
from workflows.run import Arrival, Exited, Memory, Open, Order, Receipt, Step, StepMismatch, User
from workflows.runtime import Runtime, Sending
from workflows.segments import Segment
from workflows.terms import ZERO, bounded, moment_of, summary, wanted, weighted

A = TypeVar("A", bound=Event)
B = TypeVar("B", bound=Event)
C = TypeVar("C", bound=Event)
T = TypeVar("T")

WAITING = ("wait_for", "sleep", "until")
SKIPPED, CAPPED = "skipped by an operator", Receipt("suppressed", "frequency_cap")
INSTEAD = ":instead"  # ends the step of the message that goes in place of a capped one


class Journey:
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
        self.memory = memory
        self._runtime = runtime
        self._definition = definition
        self._trigger = trigger
        self._fallback_zone = fallback_zone
        self._users: list[tuple[int, User]] = [(0, user)]
        self._events: list[tuple[int, Event]] = []  # with how many arrivals the run had, this one included
        self._unread: list[tuple[int, Event]] = []  # by seq
        self._known: set[int] = set()
        self._calls: dict[str, int] = {}
        self._variants: dict[str, str] = {}
        self._replayed = 0
        self._place = 0
        self._moment = started
        self._exit: str | None = None
        self._released: datetime | None = None  # from when the gate may be asked again, by a release that has just come
        self._verb = ""
        self._known.update(memory.orders)
        arrivals, memory.inbox = memory.inbox, []
        for arrival in arrivals:
            self.take(arrival)

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
        deadline = await self._enter(key, bounded(message.expires))
        sending = Sending(key, message, deadline, self._variants.get(message.experiment or "", ""))
        receipt = CAPPED if self.memory.goes_instead else await self._deliver(sending)
        if isinstance(message.capped, Message) and receipt == CAPPED:
            self.memory.go_instead()
            receipt = await self._deliver(Sending(key + INSTEAD, message.capped, deadline))
        self._over(key, {"status": receipt.status, "reason": receipt.reason, "message": receipt.message}, deadline)
        if receipt.status == "exited":
            raise Exited(receipt.reason)
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
        key = self._key("wait_for", key or "wait:" + "|".join(event.name for event in events))
        step = self._logged(key)
        if step is None:
            fits, sent = wanted(events, of, where), of is None or of.status == "sent"
            deadline = await self._enter(key, bounded(within) if sent else ZERO)
            await self._settle(lambda: self._next(fits) is not None, deadline)
            step = self._over(key, self._next(fits), deadline)
        return None if step.outcome is None else self._read(step.outcome)

    async def sleep(self, duration: timedelta, *, key: str | None = None) -> None:
        """Do nothing for `duration`."""
        key = self._key("sleep", key or "sleep")
        if not self._logged(key):
            await self._rest(key, await self._enter(key, bounded(duration)))

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
            await self._begin(key)
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
            deadline = await self._enter(key, ZERO)
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
            deadline = await self._enter(key, ZERO)
            step = self._over(key, await self._runtime.matches(segment), deadline)
        return bool(step.outcome)

    # What the world tells the run

    def take(self, arrival: Arrival, event: Event | None = None) -> None:
        """Take in an accepted event, once. Raises ValueError or KeyError, and stays as it was, if it is not a known, valid one."""
        if arrival.seq in self._known:
            return
        if arrival.event in (PAUSE, RELEASE):
            self._obey(arrival)
            return
        if event is None and arrival.event in EVENTS:
            event = EVENTS[arrival.event].model_validate(arrival.data)
        self._known.add(arrival.seq)
        self.memory.inbox.append(arrival)
        place = len(self.memory.inbox)
        if arrival.user is not None:
            self._users.append((place, arrival.user))
        if arrival.event == EXIT:
            self.exit(Order(**arrival.data))
        if event is None:
            return
        self._events.append((place, event))
        insort(self._unread, (arrival.seq, event), key=lambda entry: entry[0])
        if isinstance(event, self._definition.exits_on):
            self._exit = self._exit or event.name

    def _obey(self, arrival: Arrival) -> None:
        """Follow an order that holds from now on and is not remembered as something that happened."""
        self._known.add(arrival.seq)
        self.memory.orders.append(arrival.seq)
        if arrival.event == PAUSE:
            self.pause(Order(**arrival.data))
            return
        at = self.memory.open
        if at is None or arrival.data["step"] not in (at.key, at.key + INSTEAD):
            return  # the run has left that message behind
        self._released = min(self._runtime.now() + timedelta(seconds=arrival.data["after"]), at.deadline)
        if at.retry_at is not None:
            self.memory.open = replace(at, retry_at=self._released)

    def ignore(self, seq: int) -> None:
        """Know the trigger by its number: it has reached the run already."""
        self._known.add(seq)

    def event(self, seq: int) -> Event:
        """Return the typed event that reached the run under that number. Raises KeyError if none did."""
        place = next((place for place, arrival in enumerate(self.memory.inbox, 1) if arrival.seq == seq), 0)
        return dict(self._events)[place]

    def pause(self, order: Order) -> None:
        self.memory.paused = order

    def resume(self) -> None:
        self.memory.paused = None

    def exit(self, order: Order) -> None:
        self.memory.ended_by = order

    def skip(self, order: Order) -> None:
        self.memory.skipped = order.step

    def skippable(self, step: str) -> bool:
        """Say whether that step is the open one, and one that waits: a send that has begun is let finish."""
        at = self.memory.open
        return at is not None and at.key == step and (at.retry_at is not None or at.verb in WAITING)

    @property
    def unseen_triggers(self) -> list[int]:
        """The seqs of events that could start this journey and came too late for its function to see: to be considered again."""
        late = self.memory.inbox[self._place :]
        return [arrival.seq for arrival in late if arrival.event in self._definition.trigger_names]

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

    async def _begin(self, key: str) -> None:
        """Stand before a step: never once exited, and not while paused."""
        if self.memory.open and self.memory.open.key != key:
            raise StepMismatch(self._definition.mismatch(key, self.memory.open.key))
        while self.memory.paused and not self._leaving:
            await self._runtime.wait(lambda: not self.memory.paused or self._leaving, None, lambda: "paused")
        self._leave_if_exited()

    async def _enter(self, key: str, within: timedelta) -> datetime:
        await self._begin(key)
        return self._open(key, self._runtime.now() + within)

    def _open(self, key: str, deadline: datetime) -> datetime:
        """Open the step, or go on with it as the continued run left it. Returns its absolute deadline."""
        self.memory.open = self.memory.open or Open(key, deadline, verb=self._verb)
        return self.memory.open.deadline

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

        while not over():
            if not await self._runtime.wait(over, None if overdue else deadline, said):
                overdue = True
        self._leave_if_exited()
        self._moment = max(self._runtime.now(), deadline) if overdue else self._runtime.now()
        skipped, self.memory.skipped = self.memory.skipped == key, None
        return skipped

    def _over(self, key: str, outcome: Any, deadline: datetime) -> Step:
        self._moment = max(self._moment, self._runtime.now())
        self._place = len(self.memory.inbox)
        step = Step(key, self._moment, self._place, outcome, deadline)
        self.memory.log.append(step)
        self.memory.open = None
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

    def _next(self, fits: Callable[[Event], bool]) -> int | None:
        """Return the seq of the earliest unread event that fits."""
        return next((seq for seq, event in self._unread if fits(event)), None)

    def _read(self, seq: int) -> Event:
        index = next(index for index, (known, _) in enumerate(self._unread) if known == seq)
        return self._unread.pop(index)[1]

    @property
    def _leaving(self) -> bool:
        return self._exit is not None or self.memory.ended_by is not None

    def _leave_if_exited(self) -> None:
        if self.memory.ended_by is not None:
            raise Exited(str(self.memory.ended_by))
        if self._exit is not None:
            raise Exited(self._exit)
