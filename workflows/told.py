"""What the world tells a run: the events and orders that reach it, each once, and what of them no wait has returned yet."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from workflows.definition import EVENTS, EXIT, PAUSE, RELEASE, Definition, Event
from workflows.run import Arrival, Memory, Order, User
from workflows.runtime import Runtime

WAITING = ("wait_for", "sleep", "until")
INSTEAD = ":instead"  # ends the step of the message that goes in place of a capped one


class Told:
    """The side of a run that the world speaks to. `Journey` is the side that its code does."""

    def __init__(self, runtime: Runtime, definition: Definition[Any], user: User, memory: Memory) -> None:
        self.memory = memory
        self._runtime = runtime
        self._definition = definition
        self._users: list[tuple[int, User]] = [(0, user)]
        self._events: list[tuple[int, Event]] = []  # with how many arrivals the run had, this one included
        self._unread: list[tuple[int, Event]] = []  # by seq
        self._known = set(memory.orders)
        self._place = 0
        self._exit = ""
        self._leaving = memory.ended_by is not None
        self._released: datetime | None = None  # from when the gate may be asked again, by a release that has just come
        arrivals, memory.inbox = memory.inbox, []
        for arrival in arrivals:
            self.take(arrival)

    def take(self, arrival: Arrival, event: Event | None = None) -> None:
        """Take in an accepted event, once. Raises ValueError or KeyError, and stays as it was, if it is not a known, valid one."""
        if arrival.seq in self._known:
            return
        if event is None:
            if arrival.event in (PAUSE, RELEASE):
                self._obey(arrival)
                return
            if arrival.event in EVENTS:
                event = EVENTS[arrival.event].model_validate(arrival.data)
        self._known.add(arrival.seq)
        self.memory.inbox.append(arrival)
        place = len(self.memory.inbox)
        if arrival.user is not None:
            self._users.append((place, arrival.user))
        if event is None:
            if arrival.event == EXIT:
                self.exit(Order(**arrival.data))
            return
        self._events.append((place, event))
        insort(self._unread, (arrival.seq, event), key=itemgetter(0))
        if isinstance(event, self._definition.exits_on):
            self._exit = self._exit or event.name
            self._leaving = True

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
        self._leaving = True

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

    def _next(self, fits: Callable[[Event], bool]) -> int | None:
        """Return the seq of the earliest unread event that fits."""
        for seq, event in self._unread:
            if fits(event):
                return seq
        return None

    def _read(self, seq: int) -> Event:
        index = next(index for index, (known, _) in enumerate(self._unread) if known == seq)
        return self._unread.pop(index)[1]
