"""Rule 12 on the shipped journeys: continued as new after every step, they say the same at the same times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from journeys.activation import activation
from journeys.advocacy import advocacy
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from tests.journeys.lives import Life, lives
from tests.language.both import HOME, assert_same_story, real, virtual
from tests.stage import Stage, stage
from workflows.run import Step
from workflows.simulate import live
from workflows.simulated import Simulation

FOLDER = Path(__file__).parents[2] / "journeys"
ASK, ASKS = "advocacy-ask", ("share", "refer")
SHORT = 45  # events
Taken = tuple[str, str, str]  # the journey, the step, its outcome
SHIPPED = (activation, advocacy, onboarding, reengagement)


@pytest.fixture(scope="module")
async def shipped_house_that_continues(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('house') / 'house.db'}"
    async with stage(temporal, url, FOLDER, zone=HOME, continue_after=1) as up:
        yield up


async def test_every_step_of_every_shipped_journey_can_be_continued_from(shipped_house_that_continues: Stage) -> None:
    for number, each in enumerate(telling()):
        life, start = each.life, each.life.happenings[0][0]
        happenings = [(at - start, happening) for at, happening in life.happenings]
        scene: dict[str, Any] = {"user": f"{life.person.user.id}-{number}", "reachable": life.person.reachable}
        scene |= {"variants": {ASK: each.ask}, "at": start}
        expected = await virtual(SHIPPED, happenings, **scene)
        assert_same_story(expected, await real(shipped_house_that_continues, SHIPPED, happenings, **scene))


@dataclass(frozen=True)
class Telling:
    """A life with that variant of advocacy's experiment, and what its runs do in it."""

    life: Life
    ask: str
    taken: frozenset[Taken]


def telling() -> list[Telling]:
    """Choose lives that take every step of every journey, with every kind of outcome that it has in short lives."""
    every = [_telling(life, ask) for life in lives().values() for ask in ASKS]
    short = [each for each in every if len(each.life.happenings) <= SHORT]
    missing, chosen = _all_taken(short), list[Telling]()
    assert {taken[:2] for taken in missing} == {taken[:2] for taken in _all_taken(every)}  # every step there is
    while missing:
        best = max(short, key=lambda each: len(each.taken & missing) / len(each.life.happenings))
        chosen.append(best)
        missing -= best.taken
    return chosen


def _all_taken(tellings: Sequence[Telling]) -> set[Taken]:
    return set[Taken]().union(*(each.taken for each in tellings))


def _telling(life: Life, ask: str) -> Telling:
    runs = live(SHIPPED, life.happenings, life.person, variants={ASK: ask})
    return Telling(life, ask, _taken(runs))


def _taken(runs: list[Simulation]) -> frozenset[Taken]:
    return frozenset((run.definition.name, *_kind(step)) for run in runs for step in run.steps)


def _kind(step: Step) -> tuple[str, str]:
    """Return the step's key without its count, and its outcome: the receipt or variant, or whether an event came."""
    outcome = step.outcome["status"] if isinstance(step.outcome, dict) else step.outcome
    return step.key.partition("#")[0], outcome if isinstance(outcome, str) else str(outcome is None)
