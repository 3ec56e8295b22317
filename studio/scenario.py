"""One person's life as a simulation is given it: whom it is about, what happens to them, and what holds for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.definition import JOURNEYS, Definition
from workflows.happenings import Happening, Person
from workflows.policy import LAID_DOWN, Policy
from workflows.run import Receipt
from workflows.simulate import START, live
from workflows.simulated import Simulation


@dataclass(frozen=True)
class Scenario:
    """What `live` is given. `policy` None is the one in force; without `until`, it goes on to the end of the last run.

    `met` is when the house meets the person, if that is before the first thing that happens to them.
    """

    journeys: Sequence[Definition[Any]]
    happenings: Sequence[tuple[datetime, Happening]]
    person: Person = field(default_factory=Person)
    variants: Mapping[str, str] = field(default_factory=dict)
    receipts: Mapping[str, Receipt] = field(default_factory=dict)
    policy: Policy | None = None
    fallback_zone: str = "UTC"
    until: datetime | None = None
    met: datetime | None = None

    @property
    def start(self) -> datetime:
        """When it begins: when they are met, or at the first thing that happens."""
        return self.met or (self.happenings[0][0] if self.happenings else START)

    def simulated(self) -> list[Simulation]:
        """Live it in virtual time."""
        return live(
            self.journeys,
            self.happenings,
            self.person,
            variants=self.variants,
            receipts=self.receipts,
            policy=self.policy,
            fallback_zone=self.fallback_zone,
            until=self.until,
        )


@contextmanager
def under(laid_down: Policy) -> Iterator[None]:
    """Let this policy be in force."""
    before, LAID_DOWN[:] = LAID_DOWN[:], [laid_down]
    try:
        yield
    finally:
        LAID_DOWN[:] = before


@contextmanager
def only(definitions: Sequence[Definition[Any]]) -> Iterator[None]:
    """Let these be the only journeys there are."""
    before = dict(JOURNEYS)
    JOURNEYS.clear()
    JOURNEYS.update({(each.name, each.version): each for each in definitions})
    try:
        yield
    finally:
        JOURNEYS.clear()
        JOURNEYS.update(before)
