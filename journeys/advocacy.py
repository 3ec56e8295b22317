"""Advocacy: when someone has become a regular, ask them once to tell their story or bring a friend."""

from datetime import time, timedelta

from journeys.events import CommitPushed, ProjectLeft, ReferralSent, StoryShared
from workflows.clock import Day
from workflows.definition import ALWAYS, journey
from workflows.journey import Journey
from workflows.messages import Email, InApp

REGULAR = 10


@journey(exits_on=ProjectLeft, goal=ReferralSent, again=ALWAYS, topic="community")
async def advocacy(j: Journey, push: CommitPushed) -> None:
    begun = j.now
    while len(j.seen(CommitPushed)) < REGULAR or j.now < begun + timedelta(days=21):
        if not await j.wait_for(CommitPushed, within=timedelta(days=14)):
            return  # not a regular yet: their next commit begins the count anew

    await j.until(time(16), on=(Day.THURSDAY,), spread=timedelta(minutes=30))
    about = {"project": push.project, "commits": len(j.seen(CommitPushed)), "first_area": j.traits.get("first_area", push.area)}
    ask = await j.split("advocacy-ask", {"share": Email("share_your_story", about), "refer": Email("bring_a_friend", about)})
    await j.send(ask)
    if done := await j.wait_for(ReferralSent, StoryShared, within=timedelta(days=14)):
        await j.send(InApp("thanks", {**about, "what": "friend" if isinstance(done, ReferralSent) else "story"}))
    await j.sleep(timedelta(days=180))  # no second ask for half a year
