"""The yardstick: send, a wait that waits, an event, send. People may enter whenever they are not inside."""

from datetime import timedelta

from workflows.definition import ALWAYS, Event, journey
from workflows.journey import Journey
from workflows.messages import Email


class Arrived(Event): ...


class Acted(Event): ...


class Left(Event): ...


@journey(exits_on=Left, again=ALWAYS)
async def yardstick(j: Journey, arrived: Arrived) -> None:
    await j.send(Email("welcome"))
    if await j.wait_for(Acted, within=timedelta(days=3)):
        await j.send(Email("tips"))
