"""How the suite is shared out to processes: file by file, and to each, at its end, the replay of its own histories."""

from __future__ import annotations

import os
import re

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

LAST = "test_replay.py"
PROCESSES = [f"gw{number}" for number in range(int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))]  # as xdist names them


class Shares(LoadFileScheduling):  # type: ignore[misc]
    """Hands files out in the suite's order. What replays the histories of a process goes to that one, and is its last."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return f"{file} {_owner(nodeid)}" if file.endswith(LAST) else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        if (unit := self._next(node)) is None:
            node.shutdown()
        else:
            self.workqueue.move_to_end(unit, last=False)
            super()._assign_work_unit(node)

    def _next(self, node: WorkerController) -> str | None:
        """Return what that process should take on next: of what no other one has to itself, the first."""
        others = {each.gateway.id for each in self.nodes if each is not node}
        return next((unit for unit in self.workqueue if _owner(unit) not in others), None)


def _owner(name: str) -> str | None:
    found = re.search(r"\b(gw\d+)\b", name) if LAST in name else None
    return found and found[1]
