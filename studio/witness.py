"""Which lives are simulated, and what came of them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from studio.scenario import Scenario
from workflows import simulate
from workflows.definition import Definition
from workflows.happenings import Happening, Person
from workflows.policy import Policy, in_force
from workflows.run import Receipt
from workflows.simulated import Simulation


@dataclass(frozen=True)
class Lived:
    """A scenario, and the runs that it came to."""

    scenario: Scenario
    runs: Sequence[Simulation]


@contextmanager
def watching(told: Callable[[Lived], None]) -> Iterator[None]:
    """Be told of every life that `simulate` and `live` live: of who imports them from here on, or calls `simulate` at all."""
    live = simulate.live

    @wraps(live)
    def watched(
        definitions: Sequence[Definition[Any]],
        happenings: Sequence[tuple[datetime, Happening]],
        person: Person | None = None,
        *,
        variants: Mapping[str, str] | None = None,
        receipts: Mapping[str, Receipt] | None = None,
        policy: Policy | None = None,
        fallback_zone: str = "UTC",
        until: datetime | None = None,
    ) -> list[Simulation]:
        scenario = Scenario(
            tuple(definitions),
            tuple(happenings),
            person or Person(),
            dict(variants or {}),
            dict(receipts or {}),
            policy or in_force(),
            fallback_zone,
            until,
        )
        runs = live(
            definitions,
            happenings,
            person,
            variants=variants,
            receipts=receipts,
            policy=policy,
            fallback_zone=fallback_zone,
            until=until,
        )
        told(Lived(scenario, runs))
        return runs

    simulate.live = watched
    try:
        yield
    finally:
        simulate.live = live
