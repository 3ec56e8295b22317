"""Which lives are simulated, and what came of them?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from studio.scenario import Scenario
from workflows.simulate import WATCHING, Scene
from workflows.simulated import Simulation


@dataclass(frozen=True)
class Lived:
    """A scenario, and the runs that it came to."""

    scenario: Scenario
    runs: Sequence[Simulation]


@contextmanager
def watching(told: Callable[[Lived], None]) -> Iterator[None]:
    """Be told of every life that `simulate` and `live` live."""

    def watch(scene: Scene, runs: list[Simulation]) -> None:
        told(Lived(_scenario(scene), runs))

    WATCHING.append(watch)
    try:
        yield
    finally:
        WATCHING.remove(watch)


def _scenario(scene: Scene) -> Scenario:
    return Scenario(
        scene.cast.definitions,
        tuple(scene.happenings),
        scene.person,
        dict(scene.variants),
        dict(scene.receipts),
        scene.cast.policy,
        scene.cast.fallback_zone,
        scene.until,
    )
