"""The yardstick: send, a wait that waits, an event, send."""

from datetime import timedelta

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email


class Arrived(Event):
    """Somebody is here."""


class Acted(Event):
    """They did what they came for."""


@journey(goal=Acted)
async def yardstick(j: Journey, arrived: Arrived) -> None:
    await j.send(Email("welcome"))
    if await j.wait_for(Acted, within=timedelta(days=3)):
        await j.send(Email("tips"))
