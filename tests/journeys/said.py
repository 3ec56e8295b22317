"""What a run said, in a form that reads well in a test."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from workflows.simulated import Simulation


def said(run: Simulation) -> list[str]:
    """Return what was sent, in order, as `channel/template`."""
    return [f"{each.message.channel}/{each.message.template}" for each in run.sent]


def tried(run: Simulation) -> list[tuple[str, str]]:
    """Return every message that was decided on, as `channel/template`, and what became of it."""
    return [(f"{each.message.channel}/{each.message.template}", each.receipt.reason or each.receipt.status) for each in run.decided]


def when(run: Simulation, template: str, zone: str) -> datetime:
    """Return when the message of that template was sent, by the clock on that zone's wall."""
    return next(each.at for each in run.sent if each.message.template == template).astimezone(ZoneInfo(zone))
