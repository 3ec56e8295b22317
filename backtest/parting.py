"""A file's calls, put aside on disk by person, so that each person can be taken up whole however large the file is."""

from __future__ import annotations

import json
import marshal
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path

from backtest.cutting import Piece
from backtest.records import Link, Record, links, record, understood
from events.lines import Refusal

SHOWN = 20  # refused lines of a piece that are kept to be shown
PART = 8 << 20  # bytes of a file: about what a process takes up at a time
MOST_PARTS = 4096
ADDRESSED = ("email", "phone")
OFFSET = struct.Struct("<Q")


@dataclass
class Known:
    """What is known of what has been put aside: how much there is, from when to when, and what was odd."""

    lines: int = 0
    calls: int = 0
    refused: int = 0
    shown: list[tuple[int, str]] = field(default_factory=list)
    first: int | None = None  # moments, in microseconds since 1970
    last: int | None = None
    addressed: bool = False  # somebody has an address
    linked: int = 0  # how often it was said that two names are one person's

    def see(self, each: Record) -> None:
        self.calls += 1
        self.first = each[1] if self.first is None else min(self.first, each[1])
        self.last = each[1] if self.last is None else max(self.last, each[1])
        self.addressed = self.addressed or "device" in each[6] or (each[3] == "identify" and any(map(each[5].get, ADDRESSED)))

    def refuse(self, refusal: Refusal) -> None:
        self.refused += 1
        if len(self.shown) < SHOWN:
            self.shown.append((refusal.line, refusal.reason))

    def __add__(self, other: Known) -> Known:
        return Known(
            self.lines + other.lines,
            self.calls + other.calls,
            self.refused + other.refused,
            sorted(self.shown + other.shown)[:SHOWN],  # the first of the file, whichever piece was done first
            min((each for each in (self.first, other.first) if each is not None), default=None),
            max((each for each in (self.last, other.last) if each is not None), default=None),
            self.addressed or other.addressed,
            self.linked + other.linked,
        )


def parts_for(size: int) -> int:
    """Return into how many parts to sort a file of so many bytes, as it lies on disk; what is zipped is longer."""
    return min(max(size // PART, 8), MOST_PARTS)


def part_of(name: str, parts: int) -> int:
    """Return the part that a person is in."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % parts


def sort_out(piece: Piece, parts: int, folder: Path) -> Known:
    """Put a piece's records aside in `folder`; once done it is done, whatever becomes of the process."""
    found, records, linked = Known(), list[Record](), list[Link]()
    for line in piece.lines():
        found.lines += 1
        call = understood(line)
        if isinstance(call, Refusal):
            found.refuse(call)
            continue
        linked += links(call)
        if (one := record(call, line.number, call.occurred_at)) is not None:
            found.see(one)
            records.append(one)
    found.linked = len(linked)
    put_aside(records, piece.name, parts, folder)
    (folder / f"{piece.name}.links").write_bytes(marshal.dumps(linked))
    return keep(found, piece.name, folder)


def put_aside(records: Iterable[Record], name: str, parts: int, folder: Path) -> None:
    """Write records into a file of that name: first where each part begins, then part by part."""
    sorted_out: list[list[Record]] = [[] for _ in range(parts)]
    for each in records:
        sorted_out[part_of(each[0], parts)].append(each)
    written = [marshal.dumps(some) if some else b"" for some in sorted_out]
    begins = accumulate(map(len, written), initial=OFFSET.size * (parts + 1))
    (folder / f"{name}.records").write_bytes(b"".join([*map(OFFSET.pack, begins), *written]))


def keep(found: Known, name: str, folder: Path) -> Known:
    """Write down what is known of a piece: from then on it is put aside."""
    new = folder / f"{name}.new"
    new.write_text(json.dumps(asdict(found)), encoding="utf-8")
    new.rename(folder / f"{name}.json")
    return found


def kept(name: str, folder: Path) -> Known | None:
    """Return what is known of a piece that was put aside before; None if it was not, or not wholly."""
    index = folder / f"{name}.json"
    return Known(**json.loads(index.read_text(encoding="utf-8"))) if index.is_file() else None


def taken_up(folder: Path, part: int) -> Iterator[Record]:
    """Read the records of one part out of all that was put aside, in the order of the file."""
    for file in sorted(folder.glob("*.records")):
        with file.open("rb") as raw:
            raw.seek(OFFSET.size * part)
            begin, end = (OFFSET.unpack(raw.read(OFFSET.size))[0] for _ in range(2))
            if end > begin:
                raw.seek(begin)
                yield from marshal.loads(raw.read(end - begin))
