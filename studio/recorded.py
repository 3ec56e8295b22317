"""A run's history in a file: as `sojourn record` writes it, or as Temporal's UI and command line download it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseError
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

GZIP = b"\x1f\x8b"
MACHINES = ("identity", "stackTrace")
OF_ONE_PROCESS = "TASK_QUEUE_KIND_STICKY"
MEND = "record it anew with `sojourn record`, or download it as JSON from Temporal"


class BadHistory(Exception):
    """A file or folder that holds no history of a journey's run. Says which, why, and what to do."""


@dataclass(frozen=True)
class Recorded:
    """What Temporal keeps of one run, and the keys of its steps as the code named them that took them.

    The last key is of the step in which the run stands, if it stands in one. `steps` is None where nobody has said:
    a history tells the keys of messages, and of nothing else. `name` is the file, or the workflow's id.
    """

    name: str
    journey: str
    version: int
    person: str
    history: WorkflowHistory
    steps: tuple[str, ...] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the run came to its own end in it."""
        return self.history.events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED


def recorded(name: str, history: WorkflowHistory, steps: Sequence[str] | None = None) -> Recorded:
    """Read of which journey and version a history is. Raises BadHistory for one that is of nothing of ours."""
    try:
        began = history.events[0].workflow_execution_started_event_attributes
        enrolment = json.loads(began.input.payloads[0].data)
        version, person = int(enrolment["version"]), str(enrolment["user"]["id"])
    except (IndexError, KeyError, TypeError, ValueError):
        raise BadHistory(f"{name} is not the history of a journey's run; {MEND}") from None
    return Recorded(name, began.workflow_type.name, version, person, history, None if steps is None else tuple(steps))


def read_folder(folder: Path) -> list[Recorded]:
    """Read every history in a folder, or the one in a file, in order of name. Raises BadHistory, also if there is none."""
    if not folder.exists():
        raise BadHistory(f"there is no {folder}; name a folder of histories, or make one with `sojourn record --out {folder}`")
    found = [read(file) for file in _files(folder)]
    if not found:
        raise BadHistory(f"{folder} holds no history (*.json, *.json.gz); make some with `sojourn record --out {folder}`")
    return found


def read(file: Path) -> Recorded:
    """Read a history. Raises BadHistory for a file that holds none."""
    said = _json(file)
    ours = isinstance(said, dict) and "history" in said
    history, steps = (said["history"], said.get("steps")) if ours else (said, None)
    if not isinstance(history, dict) or not isinstance(history.get("events"), list):
        raise BadHistory(f"{file} is JSON, and no history: it has no list of `events`; {MEND}")
    if steps is not None and not (isinstance(steps, list) and all(isinstance(each, str) for each in steps)):
        raise BadHistory(f"{file}: its `steps` are not a list of keys; {MEND}")
    try:
        return recorded(str(file), WorkflowHistory.from_json(file.name.partition(".")[0], history), steps)
    except (ParseError, ValueError, TypeError, AttributeError) as error:
        raise BadHistory(f"{file} is no history that can be read ({error}); {MEND}") from error


def write(one: Recorded, file: Path) -> None:
    """Write a history, compressed; the same one gives the same bytes. Which machine ran it, and in which folder, stays out."""
    history = _without_machines(one.history.to_json_dict())
    said = {"journey": one.journey, "version": one.version, "steps": one.steps, "history": history}
    file.write_bytes(gzip.compress(json.dumps(said, separators=(",", ":"), sort_keys=True).encode(), mtime=0))


def _without_machines(said: Any) -> Any:
    if isinstance(said, dict):
        left_out = (*MACHINES, "name") if said.get("kind") == OF_ONE_PROCESS else MACHINES
        return {name: _without_machines(value) for name, value in said.items() if name not in left_out}
    return [_without_machines(each) for each in said] if isinstance(said, list) else said


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    yield from sorted(each for each in folder.iterdir() if each.name.endswith((".json", ".json.gz")))


def _json(file: Path) -> Any:
    try:
        data = file.read_bytes()
        return json.loads(gzip.decompress(data) if data.startswith(GZIP) else data)
    except OSError as error:
        raise BadHistory(f"{file} cannot be read ({error.strerror or error}); {MEND}") from error
    except (ValueError, EOFError) as error:
        raise BadHistory(f"{file} is not JSON ({error}); {MEND}") from error
