"""Does the real server tell the same story of a life as virtual time?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from studio.addresses import GERMAN
from studio.difference import differences
from studio.server import Server
from studio.story import simulated
from studio.witness import Lived
from workflows.definition import current
from workflows.happenings import Person


def disagreements(server: Server, lived: Lived) -> list[str]:
    """Play a life on the real server too, and say in what its story differs; nothing if it is the same."""
    return differences(simulated(lived.runs, lived.scenario.start), server.told(lived.scenario))


def unfit(lived: Lived) -> str:
    """Say why a life cannot be played on the real server; '' if it can."""
    return next(_reasons(lived), "")


def _reasons(lived: Lived) -> Iterator[str]:
    scenario, person = lived.scenario, lived.scenario.person
    if not lived.runs:
        yield "it starts no run"
    if scenario.receipts:
        yield "receipts= says what a provider answers, and there it answers as it does"
    plain = Person(person.user, person.reachable, number_zones=person.number_zones)
    if person != plain:
        yield "its person has a past (" + ", ".join(_past(person, plain)) + "); let it happen in the scenario"
    if person.number_zones not in ((), GERMAN):
        yield f"nobody's number there is of {', '.join(person.number_zones)}"
    channels = {each.message.channel for run in lived.runs for each in run.decided}
    if "in_app" in channels - person.reachable:
        yield "nobody is out of reach of the inbox in the product there"
    if scenario.policy and scenario.policy.countries and "sms" in channels:
        yield "the hours of a country hold for a text by its number, which virtual time does not know"
    if any(current(each.name) not in (each, None) for each in scenario.journeys):
        yield "it is about an older version of a journey, which nobody enters any more"


def _past(person: Person, plain: Person) -> Iterator[str]:
    for name in ("words", "to_confirm", "suppressed", "paused_until", "fewer", "country", "held_out"):
        if replace(plain, **{name: getattr(person, name)}) != plain:
            yield name
