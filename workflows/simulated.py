"""What a simulated run did, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeVar

from workflows.definition import Definition
from workflows.messages import Message
from workflows.run import Receipt, Step

T = TypeVar("T")


class Decided(NamedTuple):
    """One answer of the gate to a message: when, under which step, and what became of it."""

    at: datetime
    step: str
    message: Message
    receipt: Receipt


class Told(list[T]):
    """Some of what a run did, as a list that knows its run: a test that compares it can be shown the rest."""

    def __init__(self, some: Iterable[T], run: Simulation) -> None:
        super().__init__(some)
        self.run = run


@dataclass(slots=True)
class Simulation:
    """What a simulated run did, and how it ended. `status` is `open` while it still waits.

    `put_off` is what the gate had wait, each time it did, and until when; `reached` when the journey's goal was, by what came
    after the run began, be it over or not.
    """

    definition: Definition[Any]
    started: datetime
    decided: list[Decided] = field(default_factory=list)
    put_off: list[Decided] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    status: Literal["open", "completed", "exited"] = "open"
    reason: str = ""
    ended: datetime | None = None
    reached: datetime | None = None

    @property
    def sent(self) -> list[Decided]:
        return Told((each for each in self.decided if each.receipt.status == "sent"), self)

    @property
    def messages(self) -> list[Message]:
        return Told((each.message for each in self.sent), self)

    @property
    def elapsed(self) -> timedelta:
        """How long the run took; raises ValueError if it is not over."""
        if self.ended is None:
            raise ValueError(f"the run of {self.definition.name!r} that started {self.started} is still open")
        return self.ended - self.started
