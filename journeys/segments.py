"""Who is who among contributors, by what they do."""

from datetime import timedelta

from journeys.events import CommitPushed, ProjectJoined
from workflows.lifecycle import AT_RISK, DORMANT, lifecycle
from workflows.segments import Segment, hasnt, performed, state

lifecycle(
    new_for=timedelta(days=14),
    at_risk_after=timedelta(days=30),
    dormant_after=timedelta(days=90),
    resurrected_for=timedelta(days=30),
    counts=(CommitPushed,),
)

regulars = Segment("regulars", performed(CommitPushed, at_least=10, within=timedelta(days=90)))
drifting = Segment("drifting", performed(CommitPushed, at_least=10) & state(AT_RISK, DORMANT))
newcomers = Segment("newcomers", performed(ProjectJoined, within=timedelta(days=30)) & ~performed(CommitPushed, at_least=3))
lookers = Segment("lookers", hasnt(CommitPushed))
