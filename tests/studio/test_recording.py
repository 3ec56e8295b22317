"""`sojourn record` plays lives through journeys, and keeps few runs that do all that any of them did."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from engine.process import free_ports
from studio.covering import passed_over
from studio.recorded import read_folder

HOUSE = Path(__file__).parents[2]
AT = "2025-01-06T12:00:00+00:00"
LATER = "2025-01-08T12:00:00+00:00"
JOURNEY = """
from datetime import timedelta

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import InApp


class RecordTrialBegun(Event):
    pass


class RecordTrialPaid(Event):
    pass


@journey()
async def record_trial(j: Journey, begun: RecordTrialBegun) -> None:
    await j.send(InApp("hello"))
    await j.sleep(timedelta(days=1))
    if await j.wait_for(RecordTrialPaid, within=timedelta(days=3)):
        await j.send(InApp("thanks"))
"""


def call(person: str, at: str, event: str) -> dict[str, object]:
    return {"type": "track", "userId": person, "timestamp": at, "event": event, "properties": {}, "messageId": f"{person}-{event}"}


async def record(folder: Path, calls: list[dict[str, object]]) -> tuple[int | None, str]:
    (folder / "journeys" / "templates" / "in_app").mkdir(parents=True)
    (folder / "journeys" / "trial.py").write_text(JOURNEY)
    for name in ("hello", "thanks"):
        (folder / "journeys" / "templates" / "in_app" / f"{name}.txt").write_text("title: Trial\n---\nA word.\n")
    (folder / "lives.jsonl").write_text("".join(json.dumps(each) + "\n" for each in calls))
    with free_ports(2) as (port, ui_port):
        options = ("--journeys", "journeys", "--events", "lives.jsonl", "--out", "histories", "--port", port, "--ui-port", ui_port)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "record", *map(str, options)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HOUSE)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.real
async def test_of_people_who_do_the_same_one_is_kept_and_who_does_otherwise_is_too(tmp_path: Path) -> None:
    begin = [call(person, AT, "record_trial_begun") for person in ("ann", "bob", "cem", "dora")]
    code, said = await record(tmp_path, [*begin, call("cem", LATER, "record_trial_paid"), call("dora", LATER, "record_trial_paid")])
    assert code == 0, said
    runs = read_folder(tmp_path / "histories")
    whole = [one for one in runs if not passed_over(one)]
    assert sorted((one.steps or ())[-1] for one in whole) == ["send:in_app/thanks", "wait:record_trial_paid"]
    passed = [passed_over(one) for one in runs]
    assert ("record_trial", 1, "send:in_app/hello") in passed[-1]
    assert ("record_trial", 1, "sleep") in passed[-1]


@pytest.mark.real
async def test_events_that_nobody_enters_a_journey_by_are_refused(tmp_path: Path) -> None:
    code, said = await record(tmp_path, [call("ann", AT, "record_trial_paid")])
    assert code == 1
    assert said.startswith("sojourn: nobody entered a journey in these events")
    assert not (tmp_path / "histories").exists()
