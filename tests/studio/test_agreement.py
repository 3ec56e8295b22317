"""Which lives cannot be played on the real server, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import time

import pytest

from studio.agreement import unfit
from studio.scenario import Scenario
from studio.witness import Lived
from workflows.definition import Event, journey
from workflows.happenings import Person
from workflows.journey import Journey
from workflows.messages import InApp, Sms
from workflows.policy import Policy, QuietHours
from workflows.run import Receipt, User
from workflows.simulate import START

IN_FRANCE = Policy(countries={"FR": {"sms": QuietHours(time(20), time(9))}})


class TextWanted(Event):
    pass


@journey(version=1)
async def texts_once_v1(j: Journey, wanted: TextWanted) -> None:
    await j.send(Sms("a"))


@journey(version=2)
async def texts_once(j: Journey, wanted: TextWanted) -> None:
    await j.send(Sms("b"))


@journey()
async def shows_once(j: Journey, wanted: TextWanted) -> None:
    await j.send(InApp("a"))


def why_not(**more: object) -> str:
    scenario = replace(Scenario([texts_once], [(START, TextWanted())], policy=Policy()), **more)  # type: ignore[arg-type]
    return unfit(Lived(scenario, scenario.simulated()))


def test_a_plain_life_can_be_played() -> None:
    person = Person(User("u", "Europe/Paris", "fr", {"plan": "pro"}), frozenset(("email",)), number_zones=("Europe/Berlin",))
    assert why_not(person=person, variants={"copy": "a"}, until=START) == ""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"receipts": {"b": Receipt("failed")}}, "receipts= says what a provider answers"),
        ({"person": Person(suppressed={"sms": "complaint"}, fewer=True)}, "its person has a past (suppressed, fewer)"),
        ({"person": Person(words=(("news", None, False),))}, "its person has a past (words)"),
        ({"person": Person(number_zones=("Asia/Tokyo",))}, "nobody's number there is of Asia/Tokyo"),
        ({"policy": IN_FRANCE}, "the hours of a country hold for a text by its number"),
        (
            {"journeys": [shows_once], "person": Person(reachable=frozenset(("email",)))},
            "nobody is out of reach of the inbox in the product",
        ),
        ({"journeys": [texts_once_v1]}, "it is about an older version of a journey"),
        ({"happenings": []}, "it starts no run"),
    ],
)
def test_what_cannot_be_played_says_why(more: dict[str, object], why: str) -> None:
    assert why_not(**more).startswith(why)
