"""What cannot be a journey, or an event, is refused when it is loaded: with its place, and with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checking.test_check_command import EVENTS, JOURNEY, found, sojourn, write
from tests.workflows.written import written

HEAD = """from datetime import timedelta
from workflows.definition import Event, journey
from workflows.journey import Journey

class Arrived(Event): ...
class Left(Event): ...

"""


def refused(folder: Path, decorator: str, body: str = "pass") -> str:
    """Say how a journey with that decorator is refused; its first line is the ninth of the file."""
    with pytest.raises(TypeError) as error:
        written(folder, f"{HEAD}\n{decorator}\nasync def staying(j: Journey, arrived: Arrived) -> None:\n    {body}\n")
    place, _, words = str(error.value).partition(": ")
    assert place.endswith(".py:9")
    return words


@pytest.mark.parametrize(
    ("term", "mend"),
    [
        ("exits_on='left'", "name an event's class, or a tuple of them"),
        ("exits_on=[Left]", "name an event's class, or a tuple of them"),
        ("exits_on=(Left, Left())", "name an event's class, or a tuple of them"),
        ("exits_on=Event", "name an event's class, or a tuple of them"),
        ("goal='left'", "name an event's class"),
        ("goal=Event", "name an event's class"),
        ("again=timedelta(days=3)", "say ONCE, ALWAYS or after(timedelta(...)), from workflows.definition"),
        ("version='2'", "give it a whole number, from 1 on"),
        ("version=0", "give it a whole number, from 1 on"),
        ("topic=3", "give it a name in quotation marks"),
    ],
)
def test_a_term_that_is_none_is_refused_with_what_to_write(term: str, mend: str, tmp_path: Path) -> None:
    said = refused(tmp_path, f"@journey({term})")
    assert said.startswith(f"journey 'staying' cannot have {term.partition('=')[0]}=")
    assert said.endswith(f"; {mend}")


def test_the_decorator_without_brackets_is_refused_with_what_to_write(tmp_path: Path) -> None:
    assert refused(tmp_path, "@journey") == "@journey above 'staying' lacks its brackets; write @journey()"


def test_a_yield_is_named_where_a_journey_holds_one(tmp_path: Path) -> None:
    said = refused(tmp_path, "@journey()", "yield 1")
    assert said == "journey 'staying' holds a `yield`, which nobody takes; take it out"


def test_what_all_events_are_made_of_starts_no_journey(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="annotate 'arrived' with the event"):
        written(tmp_path, f"{HEAD}\n@journey()\nasync def staying(j: Journey, arrived: Event) -> None: ...\n")


@pytest.mark.parametrize("name", ["name", "keyed"])
def test_a_field_that_is_called_as_something_of_the_event_itself_is_refused_and_may_keep_its_name_on_the_wire(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match=rf"a field cannot be called '{name}'.*title: str = Field\(alias='{name}'\)"):
        written(tmp_path, f"{HEAD}\nclass Made(Event):\n    {name}: str = ''\n")
    head = "from pydantic import Field\nfrom workflows.definition import Event\n\n"
    told = f"{head}class Made(Event):\n    title: str = Field('', alias='{name}')\n"
    assert written(tmp_path, told).Made.model_validate({name: "flask"}).title == "flask"


@pytest.mark.parametrize("command", ["draw", "paths", "check", "journeys"])
@pytest.mark.parametrize(
    "journey",
    [
        JOURNEY.replace("@journey()", "@journey(exits_on='joined')"),
        JOURNEY + "    await j.wait_for(Event, within=timedelta(1))\nfrom workflows.definition import Event\n",
        JOURNEY + "raise SystemExit(3)\n",
    ],
    ids=["an exit that is none", "a wait for what never comes", "a file that ends the process"],
)
def test_every_command_tells_of_it_in_a_sentence(command: str, journey: str, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine", events=EVENTS, welcoming=journey, note="{{ area }}")
    words = ["welcoming"] if command == "paths" else []
    told = sojourn(command, *words, "--journeys", mine, within=tmp_path, exits=1)
    assert "mine/welcoming.py:" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "journey",
    [
        JOURNEY.replace("workflows.definition", "journeys.events"),
        JOURNEY.replace("@journey()", "here = journey()\n\n@here"),
    ],
    ids=["taken from another file", "kept under another name"],
)
def test_a_journey_that_no_rule_would_read_is_refused(journey: str, tmp_path: Path) -> None:
    unawaited = journey.replace("await ", "")
    mine = write(tmp_path / "mine", events="from workflows.definition import journey\n" + EVENTS, welcoming=unawaited, note="x")
    assert [rule for _, _, rule in found(sojourn("check", mine, "--json", within=tmp_path, exits=1))] == ["unloadable"]
    assert "no rule reads it" in sojourn("draw", "--journeys", mine, within=tmp_path, exits=1)
