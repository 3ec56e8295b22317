"""The folder a server lives in: one user at a time, and nothing left over from a user that was killed."""

import fcntl
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import EngineError
from engine.process import command_of

_PIDS = "processes.json"


@contextmanager
def home(data_dir: Path | None) -> Iterator[Path]:
    """A folder for a server's files, in `data_dir` or for this time only; ours alone until the block ends.

    A process that a killed user of the folder left behind is ended first. Raises EngineError when another lives in it.
    """
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="sojourn-temporal-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    folder_of_ours = data_dir.resolve() / "temporal"
    folder_of_ours.mkdir(parents=True, exist_ok=True)
    with (folder_of_ours / "lock").open("w") as lock:
        _take(lock.fileno(), data_dir)
        _end_leftovers(folder_of_ours)
        yield folder_of_ours
        (folder_of_ours / _PIDS).unlink(missing_ok=True)


def remember(folder: Path, pids: list[int]) -> None:
    """Note which processes serve from `folder`, for the next user in case this one is killed."""
    (folder / _PIDS).write_text(json.dumps(pids))


def _take(lock: int, data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EngineError(f"Another Sojourn runs on {data_dir}: end it, or choose another folder with --data-dir.") from None


def _end_leftovers(folder: Path) -> None:
    try:
        pids: list[int] = json.loads((folder / _PIDS).read_text())
    except (OSError, ValueError):
        return
    for pid in pids:
        _end_if_ours(pid, folder)


def _end_if_ours(pid: int, folder: Path) -> None:
    """End process `pid`, if its command still names our folder: the number may long be somebody else's."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if not _is_ours(pid, folder):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        deadline = time.monotonic() + 5
        while _is_ours(pid, folder) and time.monotonic() < deadline:
            time.sleep(0.02)


def _is_ours(pid: int, folder: Path) -> bool:
    return any(Path(part).is_relative_to(folder) for part in command_of(pid))
