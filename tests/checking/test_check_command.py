"""`sojourn check` says what is wrong with a folder, where, why and what to write instead; and what a worker does not start with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import worker
from loading import BadJourneys
from settings import Settings
from studio.check import at_start
from tests.checking.bad import MJML, body, mail
from tests.checking.conftest import NOW, Built
from tests.pages import DOCS, README, ROOT, blocks, environment, write_files

PATIENCE_SECONDS = 60
EVENTS = "from workflows.definition import Event\n\nclass Joined(Event):\n    area: str = ''\n"
JOURNEY = """from datetime import timedelta
from journeys.events import Joined
from workflows.definition import journey
from workflows.journey import Journey
from workflows.messages import Sms

@journey()
async def welcoming(j: Journey, joined: Joined) -> None:
    await j.send(Sms("note", {"area": joined.area}))
"""


def sojourn(*words: str | Path, within: Path, exits: int = 0, **settings: str) -> str:
    """Run the command, and return what it prints."""
    command = ["sojourn", *map(str, words)]
    done = subprocess.run(
        command, cwd=within, env=environment() | settings, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == exits, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(folder: Path, **files: str) -> Path:
    """Write a folder of journeys: `events`, `welcoming`, and as `note` the text of its one message."""
    (folder / "templates" / "sms").mkdir(parents=True)
    for name, text in files.items():
        (folder / ("templates/sms/note.txt" if name == "note" else f"{name}.py")).write_text(text)
    return folder


def found(told: str) -> list[tuple[str, int, str]]:
    return [(each["file"], each["line"], each["rule"]) for each in json.loads(told)]


@pytest.mark.parametrize("folder", ["journeys", "bench/journeys", "tests/promises/journeys", "tests/production/journeys"])
def test_nothing_is_said_of_journeys_that_are_in_order(folder: str) -> None:
    assert sojourn("check", folder, within=ROOT).endswith(": nothing to say.\n")


def test_nothing_is_said_of_the_tutorials_journey(tmp_path: Path) -> None:
    write_files(DOCS / "tutorial.md", tmp_path)
    assert sojourn("check", "my_journeys", within=tmp_path) == "1 journey, 4 templates: nothing to say.\n"
    assert sojourn("check", "--journeys", "my_journeys", "--json", within=tmp_path) == "[]\n"


def test_of_the_journey_in_the_readme_only_its_templates_are_missed(tmp_path: Path) -> None:
    (tmp_path / "onboarding.py").write_text(next(block.text for block in blocks(README) if block.language == "python"))
    told = sojourn("check", tmp_path, "--json", within=tmp_path, exits=1)
    assert {rule for _, _, rule in found(told)} == {"missing-template"}
    assert len(json.loads(told)) == 4
    for name in ("email/welcome.mjml", "email/tips.mjml", "push/nudge.txt", "push/nudge_social.txt"):
        file = tmp_path / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"subject: x\n---\n{MJML}" if name.endswith("mjml") else "title: x\n---\nx")
    assert sojourn("check", tmp_path, within=tmp_path) == "1 journey, 4 templates: nothing to say.\n"


def test_a_file_beside_the_journey_is_imported_by_its_whole_name(tmp_path: Path) -> None:
    write(tmp_path / "mine", events=EVENTS, welcoming=JOURNEY.replace("journeys.events", "events"), note="{{ area }}")
    told = sojourn("check", "mine", within=tmp_path, exits=1)
    assert "mine/welcoming.py:2  forbidden-import" in told
    assert "`from journeys.events import ...`" in told


@pytest.mark.parametrize("command", ["draw", "paths", "check", "backtest"])
def test_what_a_file_raises_when_it_is_imported_is_told_with_its_place_by_every_command(command: str, tmp_path: Path) -> None:
    write(tmp_path / "mine", events=EVENTS, welcoming=JOURNEY.replace("@journey()", "@journey(exits=[Joined])"), note="{{ area }}")
    words = {"check": ["mine"], "backtest": ["welcoming", "nothing.jsonl", "--journeys", "mine"]}
    told = sojourn(command, *words.get(command, ["welcoming", "--journeys", "mine"]), within=tmp_path, exits=1)
    assert "mine/welcoming.py:7" in told
    assert "TypeError: journey() got an unexpected keyword argument 'exits'" in " ".join(told.split())
    assert "Traceback" not in told


def test_a_finding_is_told_with_its_file_line_reason_and_remedy(tmp_path: Path) -> None:
    write(tmp_path / "mine", events=EVENTS, welcoming=JOURNEY, note="{{ area }}\n{{ aera }}")
    (finding,) = json.loads(sojourn("check", "mine", "--json", within=tmp_path, exits=1))
    assert finding == {
        "file": "mine/templates/sms/note.txt",
        "line": 2,
        "rule": "undeclared-variable",
        "why": "aera is nothing that welcoming (welcoming.py:9) gives sms/note",
        "fix": "add it to the message's data, or say {{ aera | default(…) }}",
    }
    told = sojourn("check", "mine", within=tmp_path, exits=1)
    for words in ("mine/templates/sms/note.txt:2", finding["why"], finding["fix"], finding["rule"], "1 finding in 1 file."):
        assert words in told


def test_a_file_of_the_folder_is_asked_for_its_own_findings(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", events=EVENTS, welcoming=JOURNEY, note="{{ aera }}")
    options: Any = {"within": tmp_path, "SOJOURN_JOURNEYS": str(mine)}
    assert sojourn("check", mine / "welcoming.py", **options) == f"{mine / 'welcoming.py'}: nothing to say.\n"
    assert found(sojourn("check", mine / "templates", "--json", exits=1, **options)) == [
        ("mine/templates/sms/note.txt", 1, "undeclared-variable")
    ]


def test_a_file_of_no_folder_is_asked_for_its_source(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text("import random\n")
    assert found(sojourn("check", "alone.py", "--json", within=tmp_path, exits=1)) == [("alone.py", 1, "forbidden-import")]
    (tmp_path / "alone.py").write_text("")
    assert sojourn("check", "alone.py", within=tmp_path).startswith("alone.py: nothing to say of its source; the rest is")


def test_journeys_whose_source_has_faults_are_not_run_and_their_templates_are_looked_at_all_the_same(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", events=EVENTS + "open('ran', 'w')\n", welcoming=JOURNEY, note="{% if %}")
    told = found(sojourn("check", mine, "--json", within=tmp_path, exits=1))
    assert told == [("mine/events.py", 5, "input-output"), ("mine/templates/sms/note.txt", 1, "broken-template")]
    assert not (tmp_path / "ran").exists()
    said = sojourn("check", mine, within=tmp_path, exits=1)
    assert "2 findings in 2 files; the rest is asked once the journeys can be loaded." in said


@pytest.mark.parametrize(
    ("events", "place"),
    [
        ("from workflows.definition import Event\n", ("mine/welcoming.py", 2)),
        (EVENTS + "raise ValueError('no; write another')\n", ("mine/events.py", 5)),
        (EVENTS.replace("class Joined(Event)", "Joined = 1\nclass Other(Event)"), ("mine/welcoming.py", 7)),
    ],
    ids=["a name that is not there", "a file that raises", "what is no event"],
)
def test_journeys_that_cannot_be_loaded_are_a_finding(events: str, place: tuple[str, int], tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", events=events, welcoming=JOURNEY, note="{{ area }}")
    assert found(sojourn("check", mine, "--json", within=tmp_path, exits=1)) == [(*place, "unloadable")]


def test_what_there_is_not_is_said(tmp_path: Path) -> None:
    assert "there is nothing at nowhere" in sojourn("check", "nowhere", within=tmp_path, exits=2)
    assert "there is no folder of journeys" in sojourn("check", "--journeys", "nowhere", within=tmp_path, exits=1)
    assert "holds no journey" in sojourn("check", ".", within=tmp_path, exits=1)


# At worker start


def test_a_worker_does_not_start_with_a_message_that_nobody_could_be_sent(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", events=EVENTS, welcoming=JOURNEY.replace('"note"', '"nope"'))
    told = sojourn("worker", within=tmp_path, exits=1, SOJOURN_JOURNEYS=str(mine))
    assert f"{mine / 'welcoming.py'}:9: there is no template sms/nope" in " ".join(told.split())


def test_what_a_message_may_fail_by_or_is_a_matter_of_taste_is_only_warned_of(build: Built) -> None:
    shipment = build(body("await j.send(Email('note'))"), {"email/note.mjml": mail("Dear {{ user.traits.name }}, {{ area }}!")})
    assert [each.rule for each in at_start(shipment.folder, NOW)] == ["undeclared-variable"]
    shipment.library.folder.joinpath("email/note.mjml").write_text(mail("Dear {{ user.traits.name }}!"))
    assert [each.rule for each in at_start(shipment.folder, NOW)] == ["name-only"]


def test_what_is_warned_of_is_in_the_workers_log(build: Built, caplog: pytest.LogCaptureFixture) -> None:
    shipment = build(body("await j.send(Email('note'))"), {"email/note.mjml": mail("Dear {{ user.traits.name }}!")})
    worker.look_over(Settings(journeys=shipment.folder, _env_file=None))
    assert [(each.levelname, "note.mjml:3: it greets by name" in each.getMessage()) for each in caplog.records] == [
        ("WARNING", True)
    ]


def test_a_fault_of_what_looks_stops_no_worker(
    build: Built, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipment = build(body("await j.send(Email('note'))"), {})
    monkeypatch.setattr(worker, "at_start", lambda folder, now: 1 / 0)
    worker.look_over(Settings(journeys=shipment.folder, _env_file=None))
    assert "could not be looked over" in caplog.text


def test_a_template_that_cannot_be_read_stops_a_worker_if_a_journey_sends_it(build: Built) -> None:
    shipment = build(
        body("await j.send(Email('note'))"), {"email/note.mjml": mail("{{ did('pushed') }}"), "sms/draft.txt": "{% if %}"}
    )
    assert [each.rule for each in at_start(shipment.folder, NOW)] == ["broken-template"]
    shipment.library.folder.joinpath("email/note.mjml").write_text(mail("{% if %}"))
    with pytest.raises(BadJourneys, match=r"note.mjml:3: Jinja cannot read it"):
        at_start(shipment.folder, NOW)


def test_a_layout_that_cannot_be_read_stops_a_worker_too(build: Built) -> None:
    page = 'subject: x\n---\n{% extends "email/_layout.mjml" %}'
    shipment = build(body("await j.send(Email('note'))"), {"email/note.mjml": page, "email/_layout.mjml": MJML + "{% if %}"})
    with pytest.raises(BadJourneys, match=r"_layout.mjml:1: Jinja cannot read it"):
        at_start(shipment.folder, NOW)


def test_a_message_of_an_older_version_stops_no_worker(build: Built) -> None:
    older = body("await j.send(Email('gone'))").replace("welcoming(", "welcoming_v1(")
    newer = body("await j.sleep(DAY)", "@journey(version=2)").partition("@journey")
    shipment = build(older + newer[1] + newer[2], {"sms/other.txt": "x"})
    assert [each.rule for each in at_start(shipment.folder, NOW)] == ["missing-template"]
