"""Which few of many recorded runs are worth keeping? Those that together do everything that any of them does."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from studio.evidence import sends
from studio.recorded import Recorded

BEGINNING = "the beginning"
Doing = Callable[[Recorded], frozenset[Hashable]]


def covering(runs: Sequence[Recorded], doing: Doing) -> list[Recorded]:
    """Choose runs that do all that any does: each time the one that adds most, the shortest of several."""
    does = [doing(run) for run in runs]
    missing = set[Hashable]().union(*does)
    chosen: list[Recorded] = []
    while missing:
        best = max(range(len(runs)), key=lambda index: (len(does[index] & missing), -len(runs[index].history.events)))
        chosen.append(runs[best])
        missing -= does[best]
    return chosen


def ways(run: Recorded) -> frozenset[Hashable]:
    """Each step of a run with the one that followed it, how it ended, and each kind of event in its history.

    Of one kind are signals of a name, updates of a name, and attempts to send what was tried before.
    """
    steps = [(run.journey, run.version, each) for each in pairwise([BEGINNING, *_names(run), *_end(run)])]
    tried = [send.step for send in sends(run.history)]
    return frozenset([*steps, *map(_kind, run.history.events), len(set(tried)) < len(tried)])


def passed_over(run: Recorded) -> frozenset[Hashable]:
    """Each step that a continued run took before it continued, which its code passes over, and by what kind of event it ended.

    Nothing of another run.
    """
    began = run.history.events[0].workflow_execution_started_event_attributes
    if not began.continued_execution_run_id:
        return frozenset()
    log = json.loads(began.input.payloads[0].data)["continued"]["memory"]["log"]
    steps = [(run.journey, run.version, step["key"].partition("#")[0]) for step in log]
    return frozenset([*steps, run.history.events[-1].event_type])


def _kind(event: HistoryEvent) -> tuple[int, str]:
    update = event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
    return event.event_type, event.workflow_execution_signaled_event_attributes.signal_name or update


def _names(run: Recorded) -> list[str]:
    return [key.partition("#")[0] for key in run.steps or ()]


def _end(run: Recorded) -> list[str]:
    """Return `completed` or `exited`; nothing of a run that goes on."""
    last = run.history.events[-1]
    if last.event_type != EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
        return []
    said = json.loads(last.workflow_execution_completed_event_attributes.result.payloads[0].data)
    return [said.partition(":")[0]]
