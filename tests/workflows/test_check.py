"""Journeys that replay could not repeat are refused, at the right line, and no others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.bad import ALSO, BAD, body, file
from tests.workflows.written import written
from workflows.check import findings
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email
from workflows.replay import RULES

SHIPPED = Path(__file__).parents[2] / "journeys"

GOOD = {
    "the journey of the design page": body(
        """
await j.send(Email("welcome"))

if await j.wait_for(ProjectCreated, within=timedelta(days=3)):
    await j.send(Email("tips"))
    return

await j.until(time(9))
nudge = await j.split("nudge-copy", {"plain": Push("nudge"), "social": Push("nudge_social")})
await j.send(nudge)"""
    ),
    "a loop over constants": file(
        """
REMINDERS = (("missed_you", 3), ("whats_new", 7), ("last_call", 14))


@journey(exits_on=ProjectCreated)
async def reengagement(j: Journey, went_quiet: SignedUp) -> None:
    for template, days in REMINDERS:
        await j.until(time(10))
        await j.send(Email(template))
        await j.sleep(timedelta(days=days))
    if j.user.traits.get("phone_verified"):
        await j.send(Push("last_call"))"""
    ),
    "a match on a wait": body(
        """
match await j.wait_for(ProjectCreated, SignedUp, within=timedelta(days=7)):
    case ProjectCreated(id=name) if name:
        await j.send(Email("created", {"name": name}))
    case SignedUp():
        pass
    case None:
        return"""
    ),
    "a set that only answers whether and how many": body(
        """
areas = {event.area for event in j.seen(ProjectCreated)}
kinds = {event.kind for event in j.seen(ProjectCreated) if event.area in areas}
both = areas | kinds
if len(areas) > 2 or "docs" in areas or not kinds or both == {"docs"} or any(area == "src" for area in areas):
    await j.send(Email("many", {"count": len(areas), "areas": sorted(areas)}))
other = {area.upper() for area in areas}
await j.wait_for(ProjectCreated, within=DAY, where=lambda created: created.area not in areas)"""
    ),
    "an aware moment": body(
        """
await j.until(datetime(2030, 1, 1, 9, tzinfo=UTC))
at = datetime.combine(j.now.date(), time(9), j.zone)
day = datetime.fromisoformat("2030-01-01T09:00+01:00")
await j.until(signed_up.at - timedelta(hours=2))
soon = j.now.replace(hour=8)"""
    ),
    "an error that is expected, around no verb": body(
        """
try:
    count = int(signed_up.id)
except ValueError:
    return
await j.send(Email("a", {"count": count}))"""
    ),
    "an event with an aware field, and names like those of builtins": file(
        """
from pydantic import AwareDatetime

class Booked(Event):
    id: str
    at: AwareDatetime
    hash: str = ""

def untried(*tried: str, input: str = "") -> str:
    counts = {}
    counts[input] = 1
    counts.update({"a": 1})
    return next((area for area in tried if area not in counts), "")"""
    ),
    "loops that end, or wait": body(
        """
left = 3
while left > 0:
    left -= 1
while True:
    if await j.wait_for(ProjectCreated, within=DAY):
        break
areas = [event.id for event in j.seen(ProjectCreated)]
while areas:
    areas.pop()
while (at := left) < 3:
    left = at + 1
while j.now < signed_up.at:
    await j.sleep(DAY)
while False:
    pass"""
    ),
    "an import for the type checker": file(
        """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from activities.send import Sending"""
    ),
}


def write(folder: Path, text: str) -> Path:
    place = folder / "onboarding.py"
    place.write_text(text)
    return place


@pytest.mark.parametrize(("rule", "text"), BAD, ids=[f"{number}-{rule}" for number, (rule, _) in enumerate(BAD)])
def test_a_bad_journey_is_refused_by_its_rule_at_its_line(rule: str, text: str, tmp_path: Path) -> None:
    found = findings(write(tmp_path, text))
    assert [rule] == sorted({finding.rule for finding in found} - (ALSO - {rule}))
    assert {finding.line for finding in found} == {at for at, line in enumerate(text.splitlines(), 1) if line.endswith("#!")}


def test_there_is_a_bad_journey_for_every_rule() -> None:
    assert {rule.__name__.replace("_", "-") for rule in RULES} <= {rule for rule, _ in BAD}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_nothing_is_found_in_a_good_journey(text: str, tmp_path: Path) -> None:
    assert findings(write(tmp_path, text)) == []


def test_nothing_is_found_in_the_shipped_journeys() -> None:
    assert findings(SHIPPED) == []


def test_a_finding_names_the_place_the_reason_and_the_remedy(tmp_path: Path) -> None:
    place = write(tmp_path, body("at = datetime.now(UTC)"))
    [finding] = findings(place)
    line = place.read_text().splitlines().index("    at = datetime.now(UTC)") + 1
    assert str(finding) == (
        f"{place}:{line}: datetime.datetime.now reads the machine's clock; use j.now, the run's own (wall-clock)"
    )


@pytest.mark.parametrize("content", [b"name = '\xff'", b"a = 1\0"])
def test_a_file_that_is_no_text_is_refused(content: bytes, tmp_path: Path) -> None:
    place = tmp_path / "onboarding.py"
    place.write_bytes(content)
    assert [(finding.rule, finding.line) for finding in findings(place)] == [("syntax", 1)]


def test_a_folder_is_looked_through_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("import os\nprint(os)\n")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c.py").write_text("import sys\n")
    assert [(Path(each.file).name, each.line) for each in findings(tmp_path)] == [("c.py", 1), ("b.py", 1), ("b.py", 2)]


# A journey that is loaded


class Checked(Event):
    plan: str = ""


@journey()
async def well_behaved(j: Journey, checked: Checked) -> None:
    await j.send(Email("a"))
    await j.wait_for(Checked, within=timedelta(days=1))


def test_of_a_loaded_journey_only_its_function_and_what_it_uses_are_looked_at() -> None:
    assert findings(well_behaved) == []  # this file imports pytest, and a journey may not


HEAD = """
import json
import random
from datetime import timedelta
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email

class Loaded(Event):
    pass

@journey()
async def loaded(j: Journey, event: Loaded) -> None:
"""


def rules_and_lines(definition: Any) -> list[tuple[str, int]]:
    return [(finding.rule, finding.line) for finding in findings(definition)]


def test_a_loaded_journey_answers_for_the_imports_it_uses(tmp_path: Path) -> None:
    module = written(tmp_path, HEAD + "    if random.random() < 1:\n        await j.send(Email('a'))\n")
    assert rules_and_lines(module.loaded) == [("forbidden-import", 3), ("randomness", 14)]


def test_a_loaded_journey_must_be_readable(tmp_path: Path) -> None:
    module = written(tmp_path, HEAD + "    await j.send(Email('a', dict(j.traits)))\n")
    assert rules_and_lines(module.loaded) == [("unreadable", 14)]


def test_what_a_rule_has_said_is_not_said_twice(tmp_path: Path) -> None:
    module = written(tmp_path, HEAD + "    [await j.send(Email(name)) for name in ('a', 'b')]\n")
    assert rules_and_lines(module.loaded) == [("misplaced-verb", 14)]
