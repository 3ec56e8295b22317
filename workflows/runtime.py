"""The port under a journey: what a live run and a simulated one each do in their own way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from workflows.messages import Message
from workflows.run import Receipt
from workflows.segments import Segment


class Sending(NamedTuple):
    """A message on its way to the gate: under which step, until when, and with which variant of its experiment."""

    step: str
    message: Message
    expires: datetime
    variant: str = ""


class Runtime(Protocol):
    """What a journey needs from the world it runs in."""

    def now(self) -> datetime:
        """Return the run's clock, aware."""
        ...

    def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> Awaitable[bool]:
        """Return True once `ready()`, which it is not yet, or False at the deadline, if there is one.

        When both come together, it is ready.
        """
        ...

    def deliver(self, sending: Sending) -> Awaitable[Receipt]:
        """Ask the gate, and send if it says so."""
        ...

    def conclude(self, sending: Sending, receipt: Receipt) -> Awaitable[Receipt]:
        """Have the ledger know what became of a message without its gate, and return what holds by the ledger."""
        ...

    def assign(self, experiment: str, weights: Mapping[str, int]) -> Awaitable[str]:
        """Return the variant this person has in the experiment, choosing it the first time."""
        ...

    def matches(self, segment: Segment) -> Awaitable[bool]:
        """Say whether the person belongs to the segment now."""
        ...

    def stepped(self) -> None:
        """Take note that a step is over. May leave the function, to continue it elsewhere from its memory."""
        ...
