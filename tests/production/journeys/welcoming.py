"""A team's own folder of journeys, as a container has it mounted: a welcome, a pause, and tips after the first project."""

from datetime import timedelta

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email


class SignedUp(Event, name="Signed Up"): ...


class ProjectCreated(Event, name="Project Created"): ...


class AccountClosed(Event, name="Account Closed"): ...


@journey(exits_on=AccountClosed)
async def welcoming(j: Journey, signed_up: SignedUp) -> None:
    await j.send(Email("welcome"))
    await j.sleep(timedelta(seconds=1))
    if await j.wait_for(ProjectCreated, within=timedelta(hours=1)):
        await j.send(Email("tips"))
