"""Journeys that a test writes down and has drawn."""

from __future__ import annotations

from pathlib import Path

from tests.workflows.written import written
from workflows.graph import graph
from workflows.picture import Graph

HEAD = """
from datetime import UTC, datetime, time, timedelta
from workflows.clock import WEEKDAYS, Day
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.message_events import MessageOpened
from workflows.messages import Email, InApp, Push, Sms
import workflows.messages as say

WEEK = timedelta(days=7)
GRACE = 2 * WEEK + timedelta(hours=12) / 2
DAYS = 3
REMINDERS = (("missed_you", 3), ("last_call", 14))
LATER = Email("later", topic="news")
HELLO = "hello"
COPY = {"short": Push("brief"), "long": Email("letter")}

class SignedUp(Event):
    plan: str = ""
    at: datetime | None = None

class Invited(Event):
    pass

class ProjectCreated(Event):
    kind: str = ""

class Upgraded(Event, name="Plan Upgraded"):
    plan: str = ""
"""


def drawn(folder: Path, lines: str, terms: str = "", trigger: str = "SignedUp") -> Graph:
    indented = "\n".join("    " + line for line in lines.strip().splitlines())
    text = f"{HEAD}\n@journey({terms})\nasync def onboarding(j: Journey, signed_up: {trigger}) -> None:\n{indented}\n"
    return graph(written(folder, text).onboarding)
