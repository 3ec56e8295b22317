"""`sojourn replay --server` replays a sample of the people who are in a journey on a real server, and counts them all."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from studio.house import at_work
from studio.recorded import read_folder
from tests.stage import Stage, only, stage
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import InApp

HOUSE = Path(__file__).parents[2]
JOURNEYS = HOUSE / "tests" / "language" / "journeys"
WAITING, RESTING = 3, 2  # people
FILE = """
from datetime import time, timedelta

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import InApp


class GateTrialBegun(Event):
    pass


class GateTrialPaid(Event):
    pass


@journey()
async def gate_trial(j: Journey, begun: GateTrialBegun) -> None:
    await j.wait_for(GateTrialPaid, within=timedelta(0))
    await j.send(InApp("note", {"text": "hello"}))
    if await j.wait_for(GateTrialPaid, within=timedelta(days=3)):
        await j.sleep(timedelta(days=30))
"""


class GateTrialBegun(Event):
    pass


class GateTrialPaid(Event):
    pass


@journey()
async def gate_trial(j: Journey, begun: GateTrialBegun) -> None:
    await j.wait_for(GateTrialPaid, within=timedelta(0))
    await j.send(InApp("note", {"text": "hello"}))
    if await j.wait_for(GateTrialPaid, within=timedelta(days=3)):
        await j.sleep(timedelta(days=30))


@dataclass(frozen=True)
class Answer:
    code: int | None
    said: str

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.said)
        return told


@pytest.fixture(scope="module")
async def peopled(temporal: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A house in which five people are in the journey, and nobody is at work unless a test sends somebody in."""
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('gate') / 'house.db'}"
    async with stage(temporal, url, JOURNEYS, working=False) as up:
        with only([gate_trial]):
            people = [await up.somebody() for _ in range(WAITING + RESTING)]
            async with at_work(up):
                for person in people:
                    await up.track(person, GateTrialBegun())
                    await up.settled(person)
                for person in people[:RESTING]:
                    await up.track(person, GateTrialPaid())
                    await up.settled(person)
            yield up
            for person in people:
                await temporal.get_workflow_handle((await up.run(person)).workflow_id).terminate("the test is over")


async def sojourn(temporal: Client, *arguments: str | Path) -> Answer:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", *map(str, arguments), "--server", "--journey", "gate_trial"),
        cwd=HOUSE,
        env={
            **os.environ,
            "PYTHONPATH": str(HOUSE),
            "TEMPORAL_ADDRESS": temporal.service_client.config.target_host,
            "TEMPORAL_NAMESPACE": temporal.namespace,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    return Answer(process.returncode, said.decode() or complained.decode())


def written(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in FILE
    (folder / "gate_trial.py").write_text(FILE.replace(old, new) if old else FILE)
    return folder


async def test_people_in_a_journey_that_is_as_it_was_are_counted_and_replay(peopled: Stage, tmp_path: Path) -> None:
    async with at_work(peopled):
        answer = await sojourn(peopled.temporal, "replay", "--journeys", written(tmp_path), "--sample", "1", "--json")
    assert answer.code == 0
    everybody = {"journey": "gate_trial", "version": 1, "replayed": 2, "open": WAITING + RESTING}  # one at each step
    assert answer.told == {"replays": True, "findings": [], "journeys": [everybody], "untold": 0}


async def test_of_a_changed_shape_it_says_who_would_stand_still_and_who_stands_before_it(peopled: Stage, tmp_path: Path) -> None:
    changed = written(tmp_path, "await j.sleep(timedelta(days=30))", "await j.until(time(9))")
    async with at_work(peopled):
        answer = await sojourn(peopled.temporal, "replay", "--journeys", changed, "--sample", "1", "--json")
    assert answer.code == 1
    (finding,) = answer.told["findings"]
    assert (finding["has"], finding["comes_to"]) == ("sleep", "until")
    assert finding["after"] == ["wait:gate_trial_paid", "send:in_app/note", "wait:gate_trial_paid#2"]
    assert (finding["stuck"], finding["before"], finding["seen"]) == (RESTING, WAITING, WAITING + RESTING)


async def test_a_step_that_left_no_trace_in_any_history_is_missed_by_what_the_runs_say(peopled: Stage, tmp_path: Path) -> None:
    changed = written(tmp_path, "    await j.wait_for(GateTrialPaid, within=timedelta(0))\n", "")
    async with at_work(peopled):
        answer = await sojourn(peopled.temporal, "replay", "--journeys", changed)
    assert answer.code == 1
    assert "the history has `wait:gate_trial_paid`, and the code now comes to `send:in_app/note`" in answer.said
    assert f"{WAITING + RESTING} of {WAITING + RESTING} open runs looked at" in answer.said


async def test_without_a_worker_commands_are_compared_and_it_is_said_that_steps_are_not(peopled: Stage, tmp_path: Path) -> None:
    changed = written(tmp_path, '    await j.send(InApp("note", {"text": "hello"}))\n', "")
    answer = await sojourn(peopled.temporal, "replay", "--journeys", changed, "--look", "5")
    assert answer.code == 1
    assert "Of 5 nobody has said which steps they took" in answer.said


async def test_what_people_are_in_can_be_recorded_and_replays_from_the_file(peopled: Stage, tmp_path: Path) -> None:
    (tmp_path / "journeys").mkdir()
    journeys, out = written(tmp_path / "journeys"), tmp_path / "histories"
    async with at_work(peopled):
        answer = await sojourn(peopled.temporal, "record", "--journeys", journeys, "--out", out)
    assert (answer.code, answer.said.split()[:2]) == (0, ["2", "histories"])
    assert {(one.steps or ())[-1] for one in read_folder(out)} == {"wait:gate_trial_paid#2", "sleep"}


async def test_a_server_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "replay", "--server", "--journeys", str(written(tmp_path))),
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": str(HOUSE), "TEMPORAL_ADDRESS": "127.0.0.1:1"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().startswith("sojourn: Temporal at 127.0.0.1:1 does not answer as it should")
    assert "Traceback" not in said.decode()
