"""Programs kept per user: made once, found again, and made anew when what is there is broken."""

import fcntl
import os
import platform
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Report = Callable[[str], None]

_MARK = "checksum"


def cache_folder() -> Path:
    """Where programs are kept: `sojourn` in $XDG_CACHE_HOME, or in ~/.cache (XDG base directories)."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "sojourn"


def kept(name: str, program: str, make: Callable[[Path], None], report: Report) -> Path:
    """The path of `program` in the cache's folder for `name`, after `make(folder)` has made it if need be.

    A folder counts as made when its program has the checksum noted at the end of the making, so a half-made or damaged
    one is made again. Several processes may ask at once: one makes, the others wait.
    """
    folder = _folder(name)
    if not is_intact(folder, program):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f"{folder.name}.lock"), lambda: report(f"waiting for another process, which makes {name}")):
            if not is_intact(folder, program):
                _make(folder, program, make)
    return folder / program


def found(name: str, program: str) -> Path | None:
    """The path of `program` if it has been made before and is intact."""
    folder = _folder(name)
    return folder / program if is_intact(folder, program) else None


def _folder(name: str) -> Path:
    """Where `name` is kept; a home folder may be shared by unlike machines."""
    return cache_folder() / f"{name}-{sys.platform}-{platform.machine()}"


def is_intact(folder: Path, program: str) -> bool:
    """Whether `program` in `folder` is, byte for byte, what was once made."""
    try:
        return (folder / _MARK).read_text() == _checksum(folder / program)
    except OSError:
        return False


def _make(folder: Path, program: str, make: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-", ignore_cleanup_errors=True) as workshop:
        new = Path(workshop) / "new"
        new.mkdir()
        make(new)
        (new / _MARK).write_text(_checksum(new / program))
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def _checksum(file: Path) -> str:
    """CRC-32 of the content: it must notice damage, not malice, and read 200 MB in a moment at every start."""
    value = 0
    with file.open("rb") as content:
        while chunk := content.read(1 << 20):
            value = zlib.crc32(chunk, value)
    return f"{value:08x} {file.stat().st_size}"


@contextmanager
def _alone(lock: Path, when_taken: Callable[[], None]) -> Iterator[None]:
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_taken()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
