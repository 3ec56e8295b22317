"""A message on every channel, with a wait that waits in between."""

from datetime import timedelta

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push, Sms


class Arrived(Event): ...


class Acted(Event): ...


@journey()
async def everywhere(j: Journey, arrived: Arrived) -> None:
    await j.send(Email("note"))
    await j.send(Sms("note"))
    await j.wait_for(Acted, within=timedelta(days=3))
    await j.send(Push("note"))
    await j.send(InApp("note"))
