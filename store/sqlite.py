"""SQLite without a thread's round trip for every call: only what may wait for another process or for the disk leaves the loop."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite

# What may wait: for the one write lock, or for the disk. All else answers from memory within some ten microseconds, while a
# thread's round trip costs some hundred, four times a statement (`make bench` shows it).
WAITING = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "PRAGMA", "VACUUM")
CHUNK = 64


class Connection(aiosqlite.Connection):
    """aiosqlite's connection, whose statements run at once where they cannot wait."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if fn.__name__ in ("commit", "rollback", "close") or (args and str(args[0]).startswith(WAITING)):
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        if self._connection is None:
            raise ValueError("Connection closed")
        return fn(*args, **kwargs)


def connect(database: str | Path, **options: Any) -> Connection:
    """Return a connection to be awaited, as `aiosqlite.connect` does."""
    options["check_same_thread"] = False
    return Connection(lambda: sqlite3.connect(database, **options), CHUNK)


def written(file: str) -> tuple[int, int]:
    """Return what differs once anybody has committed to the file: the time and size of its write-ahead log."""
    try:
        log = os.stat(f"{file}-wal")
    except FileNotFoundError:
        return (0, 0)
    return (log.st_mtime_ns, log.st_size)
