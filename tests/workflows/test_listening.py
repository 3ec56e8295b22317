"""What a journey listens to is read from its source, or refused with file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workflows.written import written
from workflows.listening import Listening, OfNoMessage, Unreadable, listening

HEAD = """
from datetime import time, timedelta
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.message_events import MessageOpened
from workflows.messages import Email

DAY = timedelta(days=1)

class Heard(Event):
    plan: str = ""

class Noticed(Event, name="Was Noticed"):
    pass

class Gone(Event):
    pass

class Never(Event):
    pass

class words:
    Heard = Heard

BOTH = (Heard, Noticed)
"""


def read(folder: Path, lines: str, terms: str = "") -> Listening:
    indented = "\n".join("    " + line for line in lines.splitlines())
    text = f"{HEAD}\n@journey({terms})\nasync def listener(j: Journey, never: Never) -> None:\n{indented}\n"
    listener = written(folder, text).listener
    return listening(listener)


READ = {
    "a wait": ("await j.wait_for(Heard, within=DAY)", {"heard"}, set()),
    "a wait for one of two": ("await j.wait_for(Heard, Noticed, within=DAY)", {"heard", "Was Noticed"}, set()),
    "a wait in a condition": ("while e := await j.wait_for(Heard, within=DAY):\n    pass", {"heard"}, set()),
    "a look back": ("if len(j.seen(Noticed)) > 1:\n    pass", {"Was Noticed"}, set()),
    "an event by way of its holder": ("await j.wait_for(words.Heard, within=DAY)", {"heard"}, set()),
    "a look back in a filter": ("await j.wait_for(Heard, within=DAY, where=lambda e: not j.seen(Gone))", {"heard", "gone"}, set()),
    "what happens to a message": (
        "await j.wait_for(MessageOpened, of=await j.send(Email('a')), within=DAY)",
        {"message_opened"},
        set(),
    ),
    "a trait by its name": ("x = j.traits['plan']", set(), {"plan"}),
    "a trait that may be missing": ("x = j.traits.get('plan', 'free')", set(), {"plan"}),
    "a trait of the user": ("x = j.user.traits['plan']", set(), {"plan"}),
    "whether there is a trait": ("x = 'plan' in j.traits and 'team' not in j.user.traits", set(), {"plan", "team"}),
    "nothing": ("await j.send(Email('a', {'zone': j.user.zone, 'at': str(j.now), 'in': j.zone.key}))", set(), set()),
    "sleeping and waking": ("await j.sleep(DAY)\nawait j.until(time(9))\nawait j.split('a', {'b': 1})", set(), set()),
}


@pytest.mark.parametrize(("lines", "events", "traits"), READ.values(), ids=READ.keys())
def test_it_is_read(lines: str, events: set[str], traits: set[str], tmp_path: Path) -> None:
    assert read(tmp_path, lines) == Listening(frozenset(events), frozenset(traits))


def test_exits_are_listened_to_and_goals_and_triggers_are_not(tmp_path: Path) -> None:
    assert read(tmp_path, "pass", "exits_on=(Gone, Heard), goal=Noticed").events == {"gone", "heard"}


def test_a_nested_function_with_text_at_the_margin_is_read(tmp_path: Path) -> None:
    text = f'''{HEAD}
def made():
    @journey()
    async def listener(j: Journey, never: Never) -> None:
        text = """
at the margin
"""
        await j.wait_for(Heard, within=DAY)
    return listener
'''
    assert listening(written(tmp_path, text).made()).events == {"heard"}


REFUSED = {
    "passing the journey on": ("nudge(j)", "'j' is passed on or used otherwise than j.verb(...)"),
    "another name for the journey": ("k = j", "'j' is passed on or used otherwise"),
    "another journey by that name": ("j = None", "'j' is passed on or used otherwise"),
    "an unknown verb": ("await j.teleport()", "'j' is passed on or used otherwise"),
    "the journey's insides": ("x = j.memory", "'j' is passed on or used otherwise"),
    "a verb kept for later": ("wait = j.wait_for", "j.wait_for is not called on the spot"),
    "a look kept for later": ("look = [j.seen]", "j.seen is not called on the spot"),
    "a wait for nothing": ("await j.wait_for(within=DAY)", "j.wait_for(within=DAY) names no event"),
    "a look for nothing": ("x = j.seen()", "j.seen() names no event"),
    "events in a tuple": ("await j.wait_for(*BOTH, within=DAY)", "'*BOTH' is not the name of an Event class"),
    "an event chosen late": ("await j.wait_for(Heard if never.name else Gone, within=DAY)", "is not the name of an Event class"),
    "an event by a variable": (
        "for kind in BOTH:\n    await j.wait_for(kind, within=DAY)  #!",
        "'kind' is not the name of an Event",
    ),
    "a variable by an event's name": (
        "Heard = Noticed\nawait j.wait_for(Heard, within=DAY)  #!",
        "'Heard' is not the name of an Event",
    ),
    "something else than an event": ("x = j.seen(Email)", "'Email' is not the name of an Event class"),
    "what events are made of": ("x = j.seen(Event)", "'Event' is what events are made of, and never comes itself"),
    "a name that is not there": ("x = j.seen(Nowhere)", "'Nowhere' is not the name of an Event class"),
    "all traits": ("x = dict(j.traits)", "a trait is read by its name"),
    "a trait by a variable": ("x = j.traits[never.name]", "a trait is read by its name"),
    "traits one by one": ("for trait in j.traits.items():\n    pass", "a trait is read by its name"),
    "all traits of the user": ("x = list(j.user.traits)", "a trait is read by its name"),
    "another name for the user": ("x = 1\nuser = j.user  #!", "j.user is kept or passed on; ask it on the spot, as j.user.id"),
}


@pytest.mark.parametrize(("lines", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_with_file_line_and_remedy(lines: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as refused:
        read(tmp_path, lines)
    marked = next((number for number, line in enumerate(lines.splitlines(), 1) if line.endswith("#!")), 1)
    [file] = tmp_path.glob("*.py")
    line = file.read_text().splitlines().index("async def listener(j: Journey, never: Never) -> None:") + 1 + marked
    assert str(refused.value).startswith(f"{file}:{line}: cannot read what journey 'listener' listens to: ")
    assert why in str(refused.value)
    assert "call its verbs in the journey's own function, with Event classes by name" in str(refused.value)


def test_waiting_for_what_happens_to_no_message_of_one_is_refused_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(OfNoMessage) as refused:
        read(tmp_path, "receipt = await j.send(Email('a'))\nawait j.wait_for(Heard, of=receipt, within=DAY)")
    [file] = tmp_path.glob("*.py")
    line = file.read_text().splitlines().index("async def listener(j: Journey, never: Never) -> None:") + 3
    assert str(refused.value) == (
        f"{file}:{line}: journey 'listener' waits for Heard with of=, and that happens to no message; "
        f"`of` goes with MessageOpened and its like, from workflows.message_events"
    )


def test_a_journey_without_a_file_is_refused_with_a_sentence() -> None:
    names: dict[str, Any] = {}
    text = "from workflows.definition import Event, journey\nclass Typed(Event): pass\n"
    text += "@journey()\nasync def typed(j, e: Typed): pass\n"
    exec(compile(text, "<typed>", "exec"), names)
    with pytest.raises(OSError, match="<typed>:3: there is no source of journey 'typed'; keep its file beside what runs it"):
        listening(names["typed"])
