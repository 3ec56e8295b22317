"""What a run knows and remembers: the values that travel with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True)
class User:
    """The person a run is about, as the run knows them: no address, no name, only what its decisions need.

    `traits` holds the traits that the journey's source reads, and no others.
    """

    id: str
    zone: str = ""
    locale: str = ""
    traits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """What became of a message.

    `sent`: the provider took it. `suppressed`: the gate said no, and `reason` is the rule. `exited`: the run is over.
    `failed`: it cannot be sent, and `reason` says why. `deferred` never reaches a journey: the gate asks to be asked again
    at `retry_at`. `message` is the message's idempotency key: `wait_for(MessageOpened, of=receipt, …)` knows it by that.
    """

    status: Literal["sent", "suppressed", "exited", "failed", "deferred"]
    reason: str = ""
    retry_at: datetime | None = None
    message: str = field(default="", compare=False)


@dataclass(slots=True)  # not frozen, as no Step and no Open is: a simulation makes hundreds of thousands a second
class Arrival:
    """One accepted event, as it reached a run. `event` is the wire name; an `identify` carries only what changed about the user.

    `seq` is the event's place in the order of acceptance; a run takes each number once. `at` is when it was accepted.
    """

    seq: int
    event: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    user: User | None = None


@dataclass(slots=True)
class Step:
    """One verb call that is over. `outcome` is JSON: the event's seq, the receipt, the variant, or nothing.

    `place` is how many arrivals the run had when the step ended: what the code could have seen.
    """

    key: str
    at: datetime
    place: int
    outcome: Any = None
    deadline: datetime | None = None


@dataclass(slots=True)
class Open:
    """The verb call a run stands in. `retry_at` is set while a message waits for its gate to open.

    `instead`: the message was capped, and it is the one that goes in its place.
    """

    key: str
    deadline: datetime
    retry_at: datetime | None = None
    verb: str = ""
    instead: bool = False


@dataclass(frozen=True)
class Order:
    """What an operator asked of a run. `step` is the key of the step to skip."""

    actor: str
    reason: str
    step: str = ""

    def __str__(self) -> str:
        return f"{self.actor}: {self.reason}"


@dataclass(slots=True)
class Memory:
    """All a run has been through: what a continued run needs to stand where it stood."""

    log: list[Step] = field(default_factory=list)
    inbox: list[Arrival] = field(default_factory=list)
    open: Open | None = None
    paused: Order | None = None
    skipped: str | None = None
    ended_by: Order | None = None
    orders: list[int] = field(default_factory=list)  # the seqs of pauses and releases that have reached the run

    @property
    def goes_instead(self) -> bool:
        """Whether the run stands in the message that goes in place of a capped one."""
        return self.open is not None and self.open.instead

    def go_instead(self) -> None:
        """Go on from a capped message to the one that goes in its place, or stay there: a continued run stands where it stood."""
        if self.open is not None:
            self.open = replace(self.open, instead=True)


class Exited(BaseException):
    """Leaves a journey from inside a verb. Not an `Exception`, so that `except Exception` in a journey cannot catch it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class StepMismatch(RuntimeError):
    """A continued run met a verb other than the one its log holds: the shape changed without a new version."""
