"""Starting a child process that cannot outlive us, and ending exactly that process."""

import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypedDict

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
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` (as `user`, if given) with its output in a new `log`; end it on the way out, by force after `patience` seconds.

    Call it from a thread that lives as long as the process should: where the system can, the child is
    killed with the thread that started it, also when that one ends by kill -9.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_bound_to_our_life(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, in our order
            env=env,
            **identity(user),
        )
    try:
        yield process
    finally:
        end(process, patience, stop_signal)


class Identity(TypedDict, total=False):
    """Popen's arguments for running a command as somebody else."""

    user: int
    group: int
    extra_groups: list[int]


def identity(user: str | None) -> Identity:
    """Nothing to change for None, else the user's numbers and no group but its own."""
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


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
    """`count` different loopback ports, held until the block ends so that no two callers are given the same.

    They lie below what systems give to outgoing connections, which could take them in between, and below 32768, the
    most that Temporal's PostgreSQL schema can note down.
    """
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.randrange(15_000, 32_000)
            taken = held.enter_context(socket.socket())
            with suppress(OSError):
                taken.bind((LOOPBACK, port))
                ports.append(port)
        yield ports


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


def last_words(log: Path) -> str:
    """The last line of a log file, for an error message; of a line in JSON, what is meant for people."""
    text = log.read_text(errors="replace").strip() if log.exists() else ""
    line = text.splitlines()[-1] if text else "nothing"
    with suppress(ValueError):
        fields = json.loads(line)
        line = ": ".join(str(fields[name]) for name in ("msg", "error") if name in fields)
    return line[:400]
