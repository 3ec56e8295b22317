"""What a backtest is asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
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

    @property
    def fingerprint(self) -> str:
        """What tells a backtest that was interrupted from any other: all that has a say in what comes of it."""
        reachable = None if self.reachable is None else sorted(self.reachable)
        told = {**asdict(self), "processes": 0, "work": "", "lives": bool(self.lives), "reachable": reachable}
        files = [Path(self.events), *self.journeys.rglob("*.py"), *([Path(self.against)] if self.against else [])]
        known = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
        states = [(file, stat.st_size, stat.st_mtime_ns) for file, stat in known]
        return hashlib.sha256(json.dumps([told, states], default=str).encode()).hexdigest()[:24]
