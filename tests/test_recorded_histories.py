"""The recorded histories of the shipped journeys replay, and a changed journey is told by the first step that differs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType

from studio.covering import passed_over
from studio.evidence import sends
from studio.recorded import Recorded, read_folder
from tests.journeys.lives import lives
from tests.language.test_shipped import SHIPPED
from workflows.simulate import live

HOUSE = Path(__file__).parents[1]
HISTORIES = HOUSE / "tests" / "histories"
BESIDE_THE_EXCERPT = {"send:in_app/thanks", "send:email/confirm_subscription"}
MOST_BYTES = 1_000_000


@pytest.fixture(scope="module")
def histories() -> list[Recorded]:
    return read_folder(HISTORIES)


@dataclass(frozen=True)
class Answer:
    """What `sojourn replay` ended with, and what it said."""

    code: int
    said: str
    told: dict[str, Any]


def replayed(*arguments: str | Path) -> Answer:
    command = [sys.executable, "-m", "cli", "replay", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SOJOURN_", "TEMPORAL_"))}
    done = subprocess.run(
        command, cwd=HOUSE, env={**environment, "PYTHONPATH": str(HOUSE)}, capture_output=True, text=True, check=False
    )
    return Answer(done.returncode, done.stdout + done.stderr, json.loads(done.stdout) if "--json" in command else {})


@dataclass(frozen=True)
class Change:
    """A journey's file with something else in the place of what it has."""

    journey: str
    old: str
    new: str
    file: str = ""

    def made(self, folder: Path) -> Path:
        """Return a folder of journeys like the shipped one, with this change, and those that were made there before."""
        journeys = folder / "journeys"
        if not journeys.exists():
            shutil.copytree(HOUSE / "journeys", journeys, ignore=shutil.ignore_patterns("__pycache__"))
        file = journeys / (self.file or f"{self.journey}.py")
        assert self.old in file.read_text()
        file.write_text(file.read_text().replace(self.old, self.new))
        return journeys


SECOND_EMAIL = 'if (await j.send(Email("smaller_step", here))).status != "sent":'
THIRD_WAIT = "if await j.wait_for(CommitPushed, within=timedelta(days=3)):"
STAY = """    if await j.wait_for(CommitPushed, within=timedelta(0)):  # they came back while we waited for a good hour
        return
"""
TOLD = {
    "the order": (
        Change(
            "reengagement",
            'await j.send(Email("miss_you", {**about, "first_area": j.traits.get("first_area", first.area)}))\n'
            "        back = await j.wait_for(CommitPushed, within=timedelta(days=14))",
            'back = await j.wait_for(CommitPushed, within=timedelta(days=14))\n        await j.send(Email("miss_you", about))',
        ),
        "send:email/miss_you",
        "wait:Commit Pushed#*",
    ),
    "a step more": (
        Change("onboarding", THIRD_WAIT, f"await j.sleep(timedelta(hours=1))\n    {THIRD_WAIT}"),
        "wait:Commit Pushed",
        "sleep",
    ),
    "a step less, which was over at once and left no trace": (
        Change("onboarding", STAY, ""),
        "wait:Commit Pushed#2",
        "split:nudge-angle",
    ),
    "the channel": (
        Change("activation", SECOND_EMAIL, SECOND_EMAIL.replace("Email", "InApp")),
        "send:email/smaller_step",
        "send:in_app/smaller_step",
    ),
    "the template's name": (
        Change("activation", SECOND_EMAIL, SECOND_EMAIL.replace("smaller_step", "step")),
        "send:email/smaller_step",
        "send:email/step",
    ),
    "one kind of wait for another": (
        Change("advocacy", "await j.sleep(timedelta(days=180))", "await j.until(time(9))"),
        "sleep",
        "until#2",
    ),
    "an end": (Change("advocacy", "    await j.sleep(timedelta(days=180))", "    return"), "sleep", "the end"),
}


@pytest.mark.parametrize("what", TOLD)
def test_a_changed_shape_is_told_by_the_first_step_that_differs(what: str, tmp_path: Path) -> None:
    change, has, comes_to = TOLD[what]
    answer = replayed(HISTORIES, "--journeys", change.made(tmp_path), "--json")
    assert answer.code == 1
    assert {each["journey"] for each in answer.told["findings"]} == {change.journey}
    first = answer.told["findings"][0]
    assert (first["has"], first["comes_to"].partition("#")[0]) == (has, comes_to.partition("#")[0])
    assert 0 < first["stuck"] <= first["seen"]
    assert f"{change.journey}.py:" in first["place"]
    assert f"new version= and keep the old function as {change.journey}_v1" in first["says"]


ALIKE = {
    "how long it waits": Change("onboarding", "within=timedelta(days=3)", "within=timedelta(hours=3)"),
    "how long it rests": Change("advocacy", "timedelta(days=180)", "timedelta(days=365)"),
    "the hour": Change("onboarding", "j.until(time(9), on=WEEKDAYS", "j.until(time(10)"),
    "what a template is told": Change("activation", '"untried": suggestion', '"idea": suggestion, "why": "new"'),
    "the template under the step's old name": Change(
        "activation", 'Email("smaller_step", here)', 'Email("step", here), key="send:email/smaller_step"'
    ),
    "weights": Change(
        "onboarding", '{"task": "task", "people": "people"}', '{"task": "task", "people": "people"}, {"task": 9, "people": 1}'
    ),
    "re-entry": Change("reengagement", "timedelta(days=60)", "timedelta(days=90)"),
    "a line of a template": Change("onboarding", "It is in. Thank you.", "Thank you!", file="templates/email/welcome.mjml"),
}


def test_words_durations_and_weights_may_change(tmp_path: Path) -> None:
    for change in ALIKE.values():
        change.made(tmp_path)
    answer = replayed(HISTORIES, "--journeys", tmp_path / "journeys", "--json")
    assert (answer.code, answer.told["findings"]) == (0, [])


def test_who_stands_before_the_step_that_differs_is_counted(tmp_path: Path, histories: list[Recorded]) -> None:
    change = Change("advocacy", '{"share": Email', '{"tell": Email("share_your_story", about), "share": Email')
    early = Change("advocacy", "    await j.until(time(16)", "    await j.sleep(timedelta(days=1))\n    await j.until(time(16)")
    assert replayed(HISTORIES, "--journeys", change.made(tmp_path / "more"), "--json").code == 0  # one may join
    (finding,) = replayed(HISTORIES, "--journeys", early.made(tmp_path / "early"), "--journey", "advocacy", "--json").told[
        "findings"
    ]
    theirs = [one for one in histories if one.journey == "advocacy"]
    steps = [one.steps or () for one in theirs]
    assert finding["stuck"] == sum("until" in each for each in steps)
    assert finding["seen"] == len(steps)
    assert finding["stuck"] + finding["before"] <= len(steps)
    assert finding["before"] == sum("until" not in each and not one.is_over for one, each in zip(theirs, steps, strict=True))


def test_a_channel_that_changes_under_a_step_s_own_name_is_told(tmp_path: Path) -> None:
    named = Change("reengagement", 'Email("take_your_time", about)', 'Push("last_word", about), key="send:email/take_your_time"')
    answer = replayed(HISTORIES, "--journeys", named.made(tmp_path), "--json")
    assert answer.code == 1
    assert {each["comes_to"] for each in answer.told["findings"]} == {"send:email/take_your_time"}
    assert all("'send_push'" in each["why"] and "restore the step's channel" in each["says"] for each in answer.told["findings"])


def test_a_new_version_beside_the_old_function_replays(tmp_path: Path) -> None:
    journeys = Change("onboarding", "async def onboarding(", "async def onboarding_v1(").made(tmp_path)
    file = journeys / "onboarding.py"
    text = file.read_text()
    newer = text[text.index("@journey(") :].replace("onboarding_v1(", "onboarding(").replace("exits_on", "version=2, exits_on", 1)
    file.write_text(f"{text}\n\n{newer.replace(THIRD_WAIT, f'await j.sleep(timedelta(hours=1)){chr(10)}    {THIRD_WAIT}')}")
    assert replayed(HISTORIES, "--journeys", journeys).code == 0


def test_a_journey_that_is_gone_while_people_are_in_it_is_told(tmp_path: Path, histories: list[Recorded]) -> None:
    journeys = Change("confirmation", "", "").made(tmp_path)
    (journeys / "activation.py").unlink()
    answer = replayed(HISTORIES, "--journeys", journeys)
    people = sum(one.journey == "activation" for one in histories)
    assert answer.code == 1
    assert "activation version 1: it is not in this folder of journeys; put its function back" in answer.said
    assert f"{people} of {people} histories have come to that step and would stand still" in answer.said


def test_a_variant_that_somebody_has_may_not_go(tmp_path: Path) -> None:
    gone = Change("onboarding", '{"task": "task", "people": "people"}', '{"tasks": "task", "peoples": "people"}')
    (finding,) = replayed(HISTORIES, "--journeys", gone.made(tmp_path), "--json").told["findings"][:1]
    assert finding["comes_to"] == "split:nudge-angle"
    assert "keep it, at weight 0, until no run needs it" in finding["why"]


def test_a_line_at_which_the_code_fails_is_told_once_whatever_was_before_or_came_after(tmp_path: Path) -> None:
    broken = Change("onboarding", STAY, "    hours = 1 / 0\n").made(tmp_path)
    (finding,) = replayed(HISTORIES, "--journeys", broken, "--json").told["findings"]
    assert (finding["comes_to"], finding["why"]) == ("until", "division by zero")
    assert finding["stuck"] > 1


def test_without_the_steps_that_the_recording_holds_messages_are_still_compared(tmp_path: Path, histories: list[Recorded]) -> None:
    bare = tmp_path / "histories"  # as Temporal's own download has them
    bare.mkdir()
    for number, one in enumerate(histories):
        (bare / f"{number}.json").write_text(one.history.to_json())
    renamed = Change("activation", SECOND_EMAIL, SECOND_EMAIL.replace("smaller_step", "step")).made(tmp_path)
    answer = replayed(bare, "--journeys", renamed, "--json")
    assert answer.code == 1
    assert {(each["has"], each["comes_to"]) for each in answer.told["findings"]} == {("send:email/smaller_step", "send:email/step")}
    assert answer.told["untold"] == len(histories)


def test_each_step_of_each_shipped_journey_is_in_a_recorded_history(histories: list[Recorded]) -> None:
    recorded = {(one.journey, key.partition("#")[0]) for one in histories for key in one.steps or ()}
    lived = {
        (run.definition.name, step.key.partition("#")[0])
        for life in lives().values()
        for run in live(SHIPPED, life.happenings, life.person)
        for step in run.steps
    }
    assert lived <= recorded
    assert {key for _, key in recorded} >= BESIDE_THE_EXCERPT


def test_the_recorded_histories_hold_what_the_engine_can_do(histories: list[Recorded]) -> None:
    events = [event for one in histories for event in one.history.events]
    updates = {each.workflow_execution_update_accepted_event_attributes.accepted_request.input.name for each in events}
    signals = {each.workflow_execution_signaled_event_attributes.signal_name for each in events}
    retried = [one for one in histories if len(steps := [send.step for send in sends(one.history)]) > len(set(steps))]
    ends = [each for each in events if each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED]
    said = [json.loads(each.workflow_execution_completed_event_attributes.result.payloads[0].data) for each in ends]
    assert updates >= {"pause", "resume", "skip"}
    assert signals >= {"exit", "Project Left"}
    assert {each.partition(":")[0] for each in said} == {"completed", "exited"}
    assert retried, "a message that waited for its gate"
    assert {one.journey for one in histories if passed_over(one)} >= {each.name for each in SHIPPED}
    assert any(each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW for each in events)


def test_the_recorded_histories_are_small_and_hold_no_address_and_no_machine(histories: list[Recorded]) -> None:
    assert sum(file.stat().st_size for file in HISTORIES.iterdir()) < MOST_BYTES
    assert not [one.name for one in histories if "@" in str(one.history.events)]


def test_the_suite_replays_them_before_it_tests_anything() -> None:
    makefile = (HOUSE / "Makefile").read_text()
    assert "\ntest: $(ENVIRONMENT) engine lint replay " in makefile
    assert "make test" in (HOUSE / ".ci" / "run").read_text()
