"""Re-engagement: notice when a contributor goes quiet, write once or twice, and be glad when they return."""

from datetime import timedelta

from journeys.events import CommitPushed, ProjectLeft
from workflows.definition import after, journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push

REGULAR = 10


@journey(exits_on=ProjectLeft, again=after(timedelta(days=60)))
async def reengagement(j: Journey, first: CommitPushed) -> None:
    last, back = first, None
    while push := await j.wait_for(CommitPushed, within=timedelta(days=30)):
        last = push
    commits = len(j.seen(CommitPushed))
    if commits == 1:  # who came once has had onboarding's help and activation's, and needs no third reminder
        return

    # A silence of 30 days ends at the hour of their last commit, which is an hour they keep: no need to wait for another.
    about = {"project": last.project, "area": last.area, "commits": commits}
    if commits >= REGULAR:
        await j.send(Email("take_your_time", about))  # a regular's break is theirs: one note, and nothing to answer
    else:
        await j.send(Email("miss_you", {**about, "first_area": j.traits.get("first_area", first.area)}))
        back = await j.wait_for(CommitPushed, within=timedelta(days=14))
        if not back and (await j.send(Push("last_word", about))).status != "sent":
            await j.send(Email("last_word", about))

    if not back:
        back = await j.wait_for(CommitPushed, within=timedelta(days=365))
    if back:
        await j.send(InApp("welcome_back", {**about, "area": back.area, "left_area": last.area}))
