"""A simulation of what could not be so is refused, in words that say what could."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.simulate import START, simulate


class Knocked(Event, name="Knocked (simulate)"):
    pass


class Opened(Event, name="Opened (simulate)"):
    pass


@journey(exits_on=Opened)
async def knocking_to_simulate(j: Journey, knocked: Knocked) -> None:
    await j.sleep(timedelta(days=3))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"starts_with": Opened()}, r"knocking_to_simulate does not start on Opened\(\); it starts on Knocked"),
        ({"at": START.replace(tzinfo=None)}, "has no time zone: use an aware datetime"),
        ({"then": [(timedelta(hours=-1), Opened())]}, "is no time after the start; write a timedelta"),
        ({"then": [(1, Opened())]}, "then: 1 is no time after the start; write a timedelta"),
        ({"then": [(timedelta(days=1), "opened")]}, "then: 'opened' is nothing that happens to anybody; write an event"),
        ({"then": [(timedelta(days=1), Opened)]}, "is nothing that happens to anybody; write an event"),
        ({"reachable": ["email", "fax"]}, "there is no channel 'fax'; there are email, sms, push, in_app, webhook"),
    ],
)
def test_what_could_not_be_so_is_refused(given: Mapping[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        simulate(knocking_to_simulate, **{"starts_with": Knocked(), **given})
