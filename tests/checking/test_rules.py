"""Journeys and templates that would not do what they say are found fault with, at the right line, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from studio import journey_rules, template_rules
from studio.check import findings
from tests.checking.bad import BAD_JOURNEYS, BAD_TEMPLATES, GOOD_JOURNEYS, SENDS, body
from tests.checking.conftest import NOW, Built
from tests.checking.good import GOOD_TEMPLATES
from workflows.check import Finding


def numbered(cases: object) -> list[str]:
    return [f"{number}-{each[0]}" for number, each in enumerate(cases)]  # type: ignore[arg-type, var-annotated]


def marked(folder: Path) -> set[tuple[str, int]]:
    """Return the places that a case marks: each file, and its lines that have `#!` in them."""
    files = [each for each in folder.rglob("*") if each.is_file() and each.suffix != ".pyc"]
    return {(str(file), at) for file in files for at, line in enumerate(file.read_text().splitlines(), 1) if "#!" in line}


def places(found: set[Finding]) -> set[tuple[str, int]]:
    return {(each.file, each.line) for each in found}


@pytest.mark.parametrize(("rule", "journeys"), BAD_JOURNEYS, ids=numbered(BAD_JOURNEYS))
def test_a_bad_journey_is_found_by_its_rule_at_its_line(rule: str, journeys: str, build: Built) -> None:
    shipment = build(journeys, {})
    found = journey_rules.findings(shipment.journeys, NOW)
    assert {each.rule for each in found} == {rule}
    assert places(found) == marked(shipment.folder)


@pytest.mark.parametrize("journeys", GOOD_JOURNEYS.values(), ids=GOOD_JOURNEYS.keys())
def test_nothing_is_found_in_a_journey_whose_waits_may_come_to_something(journeys: str, build: Built) -> None:
    assert journey_rules.findings(build(journeys, {}).journeys, NOW) == set()


@pytest.mark.parametrize(("rule", "journeys", "templates"), BAD_TEMPLATES, ids=numbered(BAD_TEMPLATES))
def test_a_bad_template_is_found_by_its_rule_at_its_line(
    rule: str, journeys: str, templates: Mapping[str, str], build: Built
) -> None:
    shipment = build(journeys, templates)
    found = findings(shipment)
    assert {each.rule for each in found} == {rule}
    assert places(found) == marked(shipment.folder)


@pytest.mark.parametrize(("journeys", "templates"), GOOD_TEMPLATES.values(), ids=GOOD_TEMPLATES.keys())
def test_nothing_is_found_in_good_templates(journeys: str, templates: Mapping[str, str], build: Built) -> None:
    assert findings(build(journeys, templates)) == set()


def test_words_are_over_from_the_moment_that_they_name(build: Built) -> None:
    today, yesterday = NOW.date(), NOW.date() - timedelta(days=1)
    shipment = build(SENDS, {"sms/note.txt": f"expires: {today}\nwhy: x\n---\n{{{{ area }}}}"})
    assert findings(shipment) == set()

    (shipment.templates / "sms/note.txt").write_text(f"expires: {yesterday}\nwhy: x\n---\n{{{{ area }}}}")
    assert [each.why for each in findings(shipment)] == [f"it is over since {yesterday}"]


def test_words_may_say_the_topic_that_they_are_sent_on(build: Built) -> None:
    sends = body('await j.send(Sms("note", {"area": "x"}, topic="news"))\nawait j.send(Sms("note", {"area": "x"}, topic="offers"))')

    found = findings(build(sends, {"sms/note.txt": "topic: news\nwhy: x\n---\n{{ area }}"}))

    assert [("sent on offers" in each.why, each.line) for each in found] == [(True, 1)]


def test_there_is_a_bad_case_for_every_rule() -> None:
    rules = {each.__name__.replace("_", "-") for each in (*journey_rules.RULES, *template_rules.RULES)}
    assert rules == {rule for rule, *_ in (*BAD_JOURNEYS, *BAD_TEMPLATES)}
