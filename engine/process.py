"""Starting a child process that cannot outlive us, and ending exactly that process."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import EngineError

LOOPBACK = "127.0.0.1"


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    patience: float = 10,
    stop_signal: int = signal.SIGTERM,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `log`; end it on the way out, by force after `patience` seconds.

    Call it from a thread that lives as long as the process should: where the system can, the child is
    killed with the thread that started it, also when that one ends by kill -9.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*_bound_to_our_life(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, in our order
            env=env,
        )
    try:
        yield process
    finally:
        end(process, patience, stop_signal)


def _bound_to_our_life() -> list[str]:
    """The prefix that makes the kernel kill a command with its parent (util-linux); nothing where there is none."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def end(process: subprocess.Popen[bytes], patience: float = 10, stop_signal: int = signal.SIGTERM) -> None:
    """Ask `process` to stop, and kill it when it has not within `patience` seconds."""
    if process.poll() is not None:
        return
    process.send_signal(stop_signal)
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
        return
    process.kill()
    process.wait()


def command_of(pid: int) -> list[str]:
    """The command line of a live process, empty when there is none (any more)."""
    with suppress(OSError):
        return [os.fsdecode(part) for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if part]
    return []


@contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """`count` different loopback ports, held until the block ends so that no two callers are given the same."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((LOOPBACK, 0))
        yield [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def require_free(port: int, option: str) -> int:
    """`port`, if nothing listens on it; else an EngineError that names it and the `option` that changes it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise EngineError(
                f"Port {port} on {LOOPBACK} cannot be used ({error.strerror}): "
                f"end what listens there, or choose another with {option}."
            ) from error
    return port


def last_words(log: Path, lines: int = 5) -> str:
    """The end of a log file, on one line, for an error message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return " / ".join(text.strip().splitlines()[-lines:]) or "it wrote nothing"
