"""The hours of a country hold in virtual time for whom they hold live: whoever says that they are there."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from workflows.definition import Event, journey
from workflows.happenings import Identify
from workflows.journey import Journey
from workflows.messages import Push
from workflows.policy import Policy, QuietHours
from workflows.run import User
from workflows.simulate import simulate

NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
SIESTA = Policy(quiet_hours={}, countries={"ES": {"push": QuietHours(time(11), time(17))}})


class Joined(Event, name="Joined (country)"):
    pass


@journey()
async def welcome(j: Journey, joined: Joined) -> None:
    await j.sleep(timedelta(minutes=10))
    await j.send(Push("welcome"))


@pytest.mark.parametrize(
    ("locale", "traits", "hour"),
    [("es-ES", {}, 17), ("es", {"country": "es"}, 17), ("es-MX", {}, 12), ("es", {}, 12), ("es-ES", {"country": "MX"}, 12)],
)
def test_a_countrys_hours_hold_for_who_says_to_be_there(locale: str, traits: dict[str, Any], hour: int) -> None:
    there = User("ada", zone="UTC", locale=locale, traits=traits)
    [sent] = simulate(welcome, Joined(), user=there, at=NOON, policy=SIESTA).decided
    assert (sent.receipt.status, sent.at.hour) == ("sent", hour)


def test_who_goes_there_keeps_its_hours_from_then_on() -> None:
    goes = (timedelta(minutes=5), Identify(locale="es-ES"))
    [sent] = simulate(welcome, Joined(), user=User("ada", zone="UTC", locale="de-DE"), at=NOON, then=[goes], policy=SIESTA).decided
    assert sent.at.hour == 17
