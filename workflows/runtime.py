"""The port under a journey: what a live run and a simulated one each do in their own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from workflows.messages import Message
from workflows.run import Receipt
from workflows.segments import Segment


@dataclass(frozen=True)
class Sending:
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

    async def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> bool:
        """Return True once `ready()`, or False at the deadline, if there is one. When both come together, it is ready."""
        ...

    async def deliver(self, sending: Sending) -> Receipt:
        """Ask the gate, and send if it says so."""
        ...

    async def conclude(self, sending: Sending, receipt: Receipt) -> Receipt:
        """Have the ledger know what became of a message without its gate, and return what holds by the ledger."""
        ...

    async def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        """Return the variant this person has in the experiment, choosing it the first time."""
        ...

    async def matches(self, segment: Segment) -> bool:
        """Say whether the person belongs to the segment now."""
        ...

    def stepped(self) -> None:
        """Take note that a step is over. May leave the function, to continue it elsewhere from its memory."""
        ...
