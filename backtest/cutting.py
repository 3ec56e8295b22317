"""Where may a file be cut, so that its pieces can be read side by side? Between two lines, or two rows."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from events.files import GZIP, BadFile, Header, Line, header_of, objects, rows

PIECE = 4 << 20  # bytes: of which a process reads one at a time
QUOTE, NEWLINE = b'"', b"\n"


@dataclass(frozen=True)
class Piece:
    """Some whole lines of a file: which piece it is, the number of its first line, and the columns if it is of a CSV."""

    number: int
    first: int
    raw: bytes
    header: Header | None = None

    @property
    def name(self) -> str:
        """What its records are kept under: sorted by name, pieces are in the order of the file."""
        return f"{self.number:06d}"

    def lines(self) -> Iterator[Line]:
        text = io.TextIOWrapper(io.BytesIO(self.raw), encoding="utf-8-sig", errors="replace", newline="")
        return objects(text, self.first) if self.header is None else rows(text, self.header, self.first - 1)


@dataclass(frozen=True)
class Pieces:
    """A file that is read piece by piece, forwards. `position` is how many of its `size` bytes are read. Close it at the end."""

    raw: IO[bytes]
    file: Path
    size: int

    def close(self) -> None:
        self.raw.close()

    @property
    def position(self) -> int:
        return self.raw.tell()

    def __iter__(self) -> Iterator[Piece]:
        """Raises BadFile for a CSV whose header we do not know, and for what is zipped and broken."""
        stream = gzip.GzipFile(fileobj=self.raw) if self._is_zipped() else self.raw
        try:
            yield from _pieces(stream, is_csv=self.file.name.lower().removesuffix(".gz").endswith(".csv"))
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise BadFile(f"{self.file}: what is zipped in it is broken: {error}") from None

    def _is_zipped(self) -> bool:
        zipped = self.raw.read(len(GZIP)) == GZIP
        self.raw.seek(0)
        return zipped


def opened(file: Path) -> Pieces:
    """Open a file of calls, CSV by its name, else JSONL, gzipped or not. Raises BadFile if it is not there."""
    try:
        return Pieces(file.open("rb"), file, file.stat().st_size)
    except OSError as error:
        raise BadFile(f"{file} cannot be read: {error.strerror}") from None


def _pieces(stream: IO[bytes] | gzip.GzipFile, *, is_csv: bool) -> Iterator[Piece]:
    header, first = _header(stream) if is_csv else (None, 1)
    number, rest = 0, b""
    while chunk := stream.read(PIECE):
        whole, rest = _cut(rest + chunk, quoted=is_csv)
        if whole:
            yield Piece(number, first, whole, header)
            number, first = number + 1, first + whole.count(NEWLINE)
    if rest:
        yield Piece(number, first, rest, header)


def _header(stream: IO[bytes] | gzip.GzipFile) -> tuple[Header, int]:
    """Read the header of a CSV. Returns it, with the number of the line after it."""
    raw = stream.readline()
    while raw.count(QUOTE) % 2 and (more := stream.readline()):
        raw += more
    names = next(csv.reader(io.StringIO(raw.decode("utf-8-sig", "replace"), newline="")), [])
    return header_of(names), 1 + raw.count(NEWLINE)


def _cut(raw: bytes, *, quoted: bool) -> tuple[bytes, bytes]:
    """Cut after the last line that is whole. In a CSV, one that ends within quotes is not (RFC 4180)."""
    end = raw.rfind(NEWLINE) + 1
    if quoted:
        open_quotes = raw.count(QUOTE, 0, end) % 2
        while end and open_quotes:
            before = raw.rfind(NEWLINE, 0, end - 1) + 1
            open_quotes ^= raw.count(QUOTE, before, end) % 2
            end = before
    return raw[:end], raw[end:]
