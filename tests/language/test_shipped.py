"""Rule 12 on the shipped journeys: continued as new after every step, they say the same at the same times."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
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
from workflows.simulate import Simulation, live

FOLDER = Path(__file__).parents[2] / "journeys"
SHIPPED = (activation, advocacy, onboarding, reengagement)


@pytest.fixture(scope="module")
async def shipped_house_that_continues(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('house') / 'house.db'}"
    async with stage(temporal, url, FOLDER, zone=HOME, continue_after=1) as up:
        yield up


async def test_every_step_of_every_shipped_journey_can_be_continued_from(shipped_house_that_continues: Stage) -> None:
    for user, life in telling().items():
        start = life.happenings[0][0]
        scene: dict[str, Any] = {"user": user, "reachable": life.person.reachable, "at": start}
        happenings = [(at - start, happening) for at, happening in life.happenings]
        expected = await virtual(SHIPPED, happenings, **scene)
        assert_same_story(expected, await real(shipped_house_that_continues, SHIPPED, happenings, **scene))


def telling() -> Mapping[str, Life]:
    """Choose short lives of the demo's excerpt that take every step, with every kind of outcome, that any life in it takes."""
    people = lives()
    taken = {user: _taken(live(SHIPPED, life.happenings, life.person)) for user, life in people.items()}
    missing, chosen = set[object]().union(*taken.values()), dict[str, Life]()
    while missing:
        best = max(people, key=lambda user: len(taken[user] & missing) / len(people[user].happenings))
        chosen[best] = people[best]
        missing -= taken[best]
    return chosen


def _taken(runs: list[Simulation]) -> set[object]:
    return {(run.definition.name, run.status, *_kind(step)) for run in runs for step in run.steps}


def _kind(step: Step) -> tuple[str, str]:
    """Return the step's key without its count, and its outcome: the receipt or variant, or whether an event came."""
    outcome = step.outcome["status"] if isinstance(step.outcome, dict) else step.outcome
    return step.key.partition("#")[0], outcome if isinstance(outcome, str) else str(outcome is None)
