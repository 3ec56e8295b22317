"""Activation: from a first commit to a second area of the project, each person at the pace they show."""

from datetime import time, timedelta

from journeys.areas import untried
from journeys.events import CommitPushed, ProjectLeft
from workflows.clock import Day
from workflows.definition import journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Sms

MIDWEEK = (Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY)


@journey(key="project", exits_on=ProjectLeft)
async def activation(j: Journey, first: CommitPushed) -> None:
    here = {"project": first.project, "area": first.area}

    if elsewhere := await j.wait_for(CommitPushed, within=timedelta(days=14), where=lambda push: push.area != first.area):
        await j.send(InApp("second_area", {**here, "second": elsewhere.area}))  # found it by themselves: no tip needed
        return

    await j.until(time(10), on=MIDWEEK, spread=timedelta(minutes=40))
    pushes = j.seen(CommitPushed)
    if len(pushes) > 1:
        suggestion = untried(*[push.area for push in pushes])
        tip = {**here, "untried": suggestion, "commits": len(pushes)}
        if (await j.send(Email("untried_area", tip))).status != "sent":
            await j.send(InApp("untried_area", tip))
        return

    if (await j.send(Email("smaller_step", here))).status != "sent":
        await j.send(Sms("smaller_step", here))
