"""Onboarding: make a newcomer feel at home in a project, and help once if their second commit does not come."""

from datetime import time, timedelta

from journeys.events import CommitPushed, ProjectJoined, ProjectLeft
from workflows.clock import WEEKDAYS
from workflows.definition import journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push, Sms


@journey(key="project", exits_on=ProjectLeft)
async def onboarding(j: Journey, joined: ProjectJoined) -> None:
    here = {"project": joined.project, "area": joined.area}
    await j.wait_for(CommitPushed, within=timedelta(hours=1), key="wait:the commit they joined with")
    if (await j.send(Email("welcome", here))).status != "sent":
        await j.send(InApp("welcome", here))

    if await j.wait_for(CommitPushed, within=timedelta(days=3)):
        return  # they are on their way: the next word is activation's, when there is something to say

    await j.until(time(9), on=WEEKDAYS, spread=timedelta(minutes=20))
    if await j.wait_for(CommitPushed, within=timedelta(0)):  # they came back while we waited for a good hour
        return
    angle = await j.split("nudge-angle", {"task": "task", "people": "people"})
    nudge = {**here, "angle": angle}
    for message in (
        Push("nudge", nudge, experiment="nudge-angle"),
        Sms("nudge", nudge, experiment="nudge-angle"),
        Email("nudge", nudge, experiment="nudge-angle"),
    ):
        if (await j.send(message)).status == "sent":
            return
