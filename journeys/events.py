"""What people do in an open-source project: the vocabulary that journeys start on, wait for and end with."""

from workflows.definition import Event


class ProjectJoined(Event, name="Project Joined"):
    """Their first commit to a project has landed. `area` is the top folder of the first file it touched."""

    project: str
    area: str = "root"


class CommitPushed(Event, name="Commit Pushed"):
    """A commit of theirs has landed, the first one too."""

    project: str
    area: str = "root"
    files: int = 1


class ProjectLeft(Event, name="Project Left"):
    """They have unsubscribed from the project altogether."""

    project: str


class StoryShared(Event, name="Story Shared"):
    """They have written about their work on the project, through the link they were sent."""

    project: str = ""


class ReferralSent(Event, name="Referral Sent"):
    """They have invited somebody to the project, through the link they were sent."""

    project: str = ""
