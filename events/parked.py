"""A run whose journey is not in the code: it stands still until that is put back."""

from __future__ import annotations

from store.tables import Run
from workflows.definition import JOURNEYS


def parking(run: Run) -> str | None:
    """Say why an open run cannot go on, and what to do: its journey is not in the code; None if it is."""
    if run.ended_at is not None or (run.journey, run.version) in JOURNEYS:
        return None
    return (
        f"journey {run.journey!r} version {run.version} is not in the journeys folder, so this run is parked: "
        f"put its function back (an older version is called {run.journey}_v{run.version}), or exit the run"
    )
