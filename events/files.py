"""Files of calls: JSONL or CSV, plain or gzipped, line by line, each as a call of the Segment API would say it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from pydantic_core import from_json

from events.wire import fit, read_json

GZIP = b"\x1f\x8b"
CHUNK = 1 << 20
CELL_CHARACTERS = 1 << 20
PLAIN = ("type", "userId", "anonymousId", "event", "timestamp", "messageId", "name", "groupId", "previousId")
NESTED = ("properties", "traits", "context")
ADDRESSES = (["traits", "email"], ["traits", "phone"])  # columns that say whose a row is, as a CRM has them

Header = list[list[str]]


class BadFile(Exception):
    """The file cannot be imported at all. Says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or row: its number in the file, from 1, its call, or why it is none, and its characters."""

    number: int
    call: dict[str, Any]
    fault: str = ""
    length: int = 0


def digest(file: Path) -> str:
    """Return the SHA-256 of the file as it is: by this an import that was interrupted is known again."""
    told = hashlib.sha256()
    with file.open("rb") as source:
        while chunk := source.read(CHUNK):
            told.update(chunk)
    return told.hexdigest()


@dataclass(frozen=True)
class Source:
    """An open file of calls. Call `close` at the end."""

    raw: BinaryIO
    text: TextIO
    lines: Iterator[Line]
    size: int

    @property
    def position(self) -> int:
        """How many bytes of the file are read."""
        return self.raw.tell()

    def close(self) -> None:
        self.text.close()
        self.raw.close()  # a gzip reader leaves it open


def opened(file: Path, *, name: str = "") -> Source:
    """Open a file of calls: CSV if its name, or `name` in its place, ends in .csv or .csv.gz, and else JSONL.

    Reading it raises BadFile if the header of a CSV is none that we know, or what is zipped is broken.
    """
    raw = file.open("rb")
    zipped = raw.read(2) == GZIP
    raw.seek(0)
    text = io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if zipped else raw, encoding="utf-8-sig", errors="replace", newline="")
    size = file.stat().st_size
    stem = (name or file.name).lower().removesuffix(".gz")
    if stem.endswith(".csv"):
        return Source(raw, text, _rows(text), size)
    return Source(raw, text, objects(text), size)


def objects(text: Iterable[str], first: int = 1) -> Iterator[Line]:
    """Read lines of JSONL, of which the first has that number."""
    for number, line in enumerate(text, first):
        if line.isspace():
            continue
        try:
            call = read_json(line.rstrip().encode())
        except ValueError as error:
            yield Line(number, {}, f"it is not JSON that we can keep: {str(error)[:100]}")
            continue
        yield Line(number, call, length=len(line)) if isinstance(call, dict) else Line(number, {}, "it is JSON, but not an object")


def _rows(text: TextIO) -> Iterator[Line]:
    csv.field_size_limit(CELL_CHARACTERS)
    reader = csv.reader(text)
    yield from _each_row(reader, header_of(next(reader, [])), 1)


def rows(text: Iterable[str], header: Header, before: int) -> Iterator[Line]:
    """Read rows of a CSV with that header, after so many lines."""
    csv.field_size_limit(CELL_CHARACTERS)
    return _each_row(csv.reader(text), header, before)


def _each_row(rows: Any, header: Header, lines: int) -> Iterator[Line]:
    start, before = lines - rows.line_num, lines
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Line(before + 1, {}, f"it is not CSV: {error}")
            before = start + rows.line_num
            continue
        if row is None:
            return
        if any(row):
            yield _row(before + 1, header, row)
        before = start + rows.line_num


def header_of(names: list[str]) -> Header:
    """Read the header of a CSV: the path of each column. Raises BadFile for one that we do not know."""
    header = [name.strip().split(".") for name in names]
    unknown = [name for name, path in zip(names, header, strict=True) if not _is_known(path)]
    if unknown or not any(path[0] in ("userId", "anonymousId") or path in ADDRESSES for path in header):
        nobodys = "there is no column userId, anonymousId, traits.email or traits.phone"
        said = f"the columns {', '.join(unknown)} are not known" if unknown else nobodys
        raise BadFile(f"line 1: {said}; there are {', '.join(PLAIN)}, and properties.NAME, traits.NAME, context.NAME")
    if twice := sorted(name for name, count in Counter(map(".".join, header)).items() if count > 1):
        raise BadFile(f"line 1: there are several columns {', '.join(twice)}; leave one of each")
    return header


def _is_known(path: list[str]) -> bool:
    return path[0] in NESTED or (len(path) == 1 and path[0] in PLAIN)


def _row(number: int, header: Header, row: list[str]) -> Line:
    if len(row) != len(header):
        return Line(number, {}, f"it has {len(row)} {'cell' if len(row) == 1 else 'cells'}, and the header {len(header)}")
    call: dict[str, Any] = {}
    for path, cell in zip(header, row, strict=True):
        if cell == "":
            continue
        *outer, last = path
        place = call
        for name in outer:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                return Line(number, {}, f"{'.'.join(path)}: another column gives {name!r} a value of its own")
        if last in place:
            return Line(number, {}, f"{'.'.join(path)}: other columns give it parts")
        place[last] = cell if path[0] in PLAIN else _value(cell)
    try:
        return Line(number, fit(call), length=sum(map(len, row)))
    except ValueError as error:
        return Line(number, {}, f"it has what we cannot keep: {error}")


def _value(cell: str) -> Any:
    """Read a cell that is JSON as what it says, and any other as text; text that looks like JSON is written in quotes."""
    try:
        return from_json(cell, allow_inf_nan=False)
    except ValueError:
        return cell
