"""What a history itself tells of the steps that were taken: of messages everything, of waits what an operator reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

UNTIL = re.compile(r"^until \w{3} \d.*")  # each run's own


@dataclass(frozen=True)
class Send:
    """An attempt to send: the event by which it was scheduled, and the key of its step."""

    event_id: int
    step: str


def sends(history: WorkflowHistory) -> list[Send]:
    """Return the attempts to send in a history, in order."""
    return [Send(event.event_id, step) for event in history.events if (step := _step(event))]


def described(history: WorkflowHistory, event_id: int) -> str:
    """Say what a history has under that number: a message by its step's key, a timer by its summary, the rest by its kind."""
    event = next((each for each in history.events if each.event_id == event_id), None)
    if event is None:
        return "its end"
    if step := _step(event):
        return f"`{step}` on {event.activity_task_scheduled_event_attributes.activity_type.name.removeprefix('send_')}"
    if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
        return f"`{next(_local_activities(event), 'a marker')}`"
    if event.HasField("user_metadata"):
        return f"a timer, “{UNTIL.sub('until a time', json.loads(event.user_metadata.summary.data))}”"
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").replace("_", " ").lower()


def _step(event: HistoryEvent) -> str:
    """Return the key of the step that an attempt to send was of; '' of any other event."""
    if event.event_type != EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
        return ""
    payloads = event.activity_task_scheduled_event_attributes.input.payloads
    return str(json.loads(payloads[0].data)["step"])


def _local_activities(event: HistoryEvent) -> Iterator[str]:
    for payload in event.marker_recorded_event_attributes.details["data"].payloads:
        yield str(json.loads(payload.data).get("activity_type", ""))
