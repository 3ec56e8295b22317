"""Which of a file's names are one person's? What was put aside under any of them is put with what they are called by.

The names are kept in a database on disk: there may be as many as there are people.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from backtest.parting import put_aside, taken_up
from backtest.records import Record
from events.joining import is_user

NAMES = "names.db"
TOGETHER = "together"  # sorts after the pieces of a file: what was moved was so in their order


def link(folder: Path, parts: int) -> None:
    """Move what was put aside under a name to what its person is called by."""
    with closing(sqlite3.connect(folder / NAMES)) as names:
        names.execute("PRAGMA journal_mode = OFF")
        names.execute("CREATE TABLE IF NOT EXISTS links (name TEXT PRIMARY KEY, leads_to TEXT NOT NULL) WITHOUT ROWID")
        names.execute("DELETE FROM links")
        for file in sorted(folder.glob("*.links")):
            for one, other, firm in marshal.loads(file.read_bytes()):
                _join(names, _called(names, one), _called(names, other), firm=firm)
        names.commit()
        for part in range(parts):
            moved = [(_called(names, record[0]), *record[1:]) for record in _linked(names, taken_up(folder, part))]
            put_aside(moved, f"{TOGETHER}-{part:04d}", parts, folder)


def linked_names(folder: Path) -> Callable[[str], bool]:
    """Return what tells whether a name is somebody's who is called otherwise: what was put aside under it has been moved."""
    if not (folder / NAMES).is_file():
        return lambda name: False
    names = sqlite3.connect(f"file:{folder / NAMES}?mode=ro", uri=True)
    return lambda name: _leads_to(names, name) is not None


def _linked(names: sqlite3.Connection, records: Iterable[Record]) -> Iterable[Record]:
    for name, theirs in groupby(sorted(records, key=itemgetter(0)), key=itemgetter(0)):
        if _leads_to(names, name) is not None:
            yield from theirs


def _join(names: sqlite3.Connection, one: str, other: str, *, firm: bool) -> None:
    """Make one person of two, as `events.joining` does: two who each have a userId are one only by a firm word."""
    if one == other or (is_user(one) and is_user(other) and not firm):
        return
    former, called = (one, other) if is_user(other) and not is_user(one) else (other, one)
    names.execute("INSERT OR REPLACE INTO links VALUES (?, ?)", (former, called))


def _called(names: sqlite3.Connection, name: str) -> str:
    while (further := _leads_to(names, name)) is not None:
        name = further
    return name


def _leads_to(names: sqlite3.Connection, name: str) -> str | None:
    found = names.execute("SELECT leads_to FROM links WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])
