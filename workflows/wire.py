"""What crosses Temporal: the values in starts, signals, activities and continuations, and the names they go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.run import Arrival, Memory, Order, Receipt, User

CLOSE = "close_run"
ASSIGN = "assign_variant"
MATCHES = "match_segment"
CONCLUDE = "conclude_message"


def send_activity(channel: str) -> str:
    """Return the name of the activity that sends on a channel."""
    return f"send_{channel}"


@dataclass(frozen=True)
class Continued:
    """What a run that continues as new takes along. `offset` is its clock's lead over the server's, in seconds."""

    memory: Memory
    started: datetime
    offset: float


@dataclass(frozen=True)
class Enrolment:
    """What starts a run. `run_id` is ours, minted at enrolment: Temporal's own changes on reset and continue-as-new.

    `clock` is what the run's clock reads at its start, where that is not the server's: a played stream's own date.
    `continue_after` continues as new after so many steps, in place of when Temporal suggests it.
    """

    run_id: str
    version: int
    user: User
    trigger: Arrival
    clock: datetime | None = None
    fallback_zone: str = "UTC"
    continue_after: int | None = None
    continued: Continued | None = None


@dataclass(frozen=True)
class Signal:
    """An accepted event on its way to one run."""

    run_id: str
    arrival: Arrival


@dataclass(frozen=True)
class Dispatch:
    """A message to be gated and sent. With `run_id`, `step` makes its idempotency key. Moments are on the run's clock."""

    run_id: str
    step: str
    channel: str
    template: str
    topic: str
    expires: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    experiment: str | None = None
    variant: str = ""
    offset: float = 0.0
    transactional: bool = False
    waits: bool = True
    tracked: bool = True
    endpoint: str = ""  # of a webhook
    obeyed: int = 0  # the last of the orders by event that have reached the run: a pause after it has not

    @property
    def key(self) -> str:
        """The idempotency key: the same for every attempt, whatever becomes of the Temporal run."""
        return f"{self.run_id}:{self.step}"


@dataclass(frozen=True)
class Conclusion:
    """What became of a message, as its run knows it before the ledger does. `at` is on the run's clock."""

    dispatch: Dispatch
    receipt: Receipt
    at: datetime


@dataclass(frozen=True)
class Assignation:
    """A person to be given a variant."""

    run_id: str
    experiment: str
    weights: Mapping[str, int]
    at: datetime


@dataclass(frozen=True)
class Asked:
    """Whether the run's person belongs to a segment, at a moment on the run's clock."""

    run_id: str
    segment: str
    at: datetime


@dataclass(frozen=True)
class Closing:
    """A run that is over. `reconsider` holds the seqs of triggers that reached it too late to be seen."""

    run_id: str
    status: str
    reason: str
    at: datetime
    reconsider: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Standing:
    """Where a run stands, as its query `standing` answers. `offset` is its clock's lead over the server's, in seconds.

    A run that is paused between two steps stands at none: `step` is empty.
    """

    step: str
    deadline: datetime | None
    retry_at: datetime | None
    paused: Order | None
    offset: float


@dataclass(frozen=True)
class Steps:
    """The keys of a run's steps, as its query `steps` answers: of those it has taken, and of the one it stands in, if any."""

    taken: list[str]
    standing: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, in order; the last may be the one it stands in."""
        return (*self.taken, *filter(None, [self.standing]))


READ: tuple[type, ...] = (
    *(Enrolment, Signal, Dispatch, Receipt, Assignation, str, Asked, bool, Conclusion, Closing, Order, Standing, Steps),
)
"""What is read from Temporal, by a workflow, an activity or a client."""
