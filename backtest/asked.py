"""What a backtest is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

STORE, SENT = "store", "sent"


@dataclass(frozen=True)
class Asked:
    """The journey by its name, the folder it is in, the events, and how to go about it.

    `events` is a file, or `store`. `against` is a file with another version, another folder, `sent`, or ''. `reachable` is where
    everybody is taken to be reachable; None leaves that to what the events tell. `lives` is where each life is to be written.
    """

    journey: str
    events: str
    journeys: Path
    opens: datetime | None = None
    until: datetime | None = None
    against: str = ""
    reachable: frozenset[str] | None = None
    beside: bool = False
    processes: int = 1
    work: Path | None = None
    database: str = ""  # which store is meant
    lives: Path | None = None


def fingerprint(asked: Asked, zone: str, stored: Sequence[int] = ()) -> str:
    """Return what tells a backtest that was interrupted from any other: all that has a say in what comes of it.

    `zone` is that of people whose own is unknown, `stored` how far the store had come, if the events are its own.
    """
    reachable = None if asked.reachable is None else sorted(asked.reachable)
    told = {**asdict(asked), "processes": 0, "work": "", "lives": bool(asked.lives), "reachable": reachable}
    named = [Path(asked.events), *([Path(asked.against)] if asked.against not in ("", SENT) else []), asked.journeys]
    files = sorted({file for each in named for file in ([each] if each.is_file() else each.rglob("*.py"))})
    states = [(str(file.resolve()), stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]
    return hashlib.sha256(json.dumps([told, version("sojourn"), zone, list(stored), states], default=str).encode()).hexdigest()[:24]
