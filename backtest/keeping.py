"""Where is kept what a backtest has done, so that it can go on from there after an interruption?"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = "lock"
KEPT_DAYS = 7  # it tells of people, whom a cache should forget
DAY_SECONDS = 86_400


class UnderWay(Exception):
    """Another process is at the same backtest."""


@contextmanager
def kept_in(base: Path, fingerprint: str) -> Iterator[Path]:
    """Give a backtest the folder in `base` that is its alone, and take that away once it is done; `base` may hold anything else.

    What was interrupted stays, for a week. Raises UnderWay.
    """
    folder = base / fingerprint
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget(base, time.time() - KEPT_DAYS * DAY_SECONDS)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnderWay("the same backtest is under way: wait for it, or give this one a --work of its own") from None
        yield folder
        shutil.rmtree(folder)


def _forget(base: Path, before: float) -> None:
    """Take away what was interrupted before that moment, and never taken up again."""
    for lock in base.glob(f"*/{LOCK}"):
        with suppress(FileNotFoundError):  # another process may be done with it in this moment
            if lock.stat().st_mtime < before:
                shutil.rmtree(lock.parent, ignore_errors=True)
