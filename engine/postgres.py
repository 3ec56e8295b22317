"""A PostgreSQL server to throw away, from the binaries of the machine."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import EngineError
from engine.process import LOOPBACK, free_ports, identity, last_words, running

READY_SECONDS = 30.0
OWNER = "sojourn"
DEBIAN = "/usr/lib/postgresql"


class PostgresMissing(EngineError):
    """No PostgreSQL binaries are here; the message says where they were looked for."""


@contextmanager
def throwaway_postgres(*, durable: bool = False) -> Iterator[str]:
    """A fresh PostgreSQL on loopback, as the URL `postgresql://user:password@host:port/postgres` of its superuser.

    Unless it is to be `durable`, to measure it, it does not wait for the disk; after the block nothing is left of it. It also
    works for root, as whom PostgreSQL refuses to run. Raises PostgresMissing without binaries, EngineError when it does not start.
    """
    binaries = find_binaries()
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="sojourn-postgres-", ignore_cleanup_errors=True) as folder:
        data, user = Path(folder) / "data", _unprivileged()
        _make_cluster(binaries, data, user, password)
        with free_ports(1) as (port,):
            pass
        log = Path(folder) / "postgres.log"
        command = [str(binaries / "postgres"), "-D", str(data), *_options(port, durable=durable)]
        with running(command, log=log, user=user, stop_signal=signal.SIGINT) as process:  # SIGINT does not wait for clients
            _wait(binaries, port, process, log)
            yield f"postgresql://{OWNER}:{password}@{LOOPBACK}:{port}/postgres"


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`: pg_config's, Debian's newest, or on PATH. Raises PostgresMissing."""
    for folder in _candidates():
        if all((folder / name).exists() for name in ("postgres", "initdb", "pg_isready")):
            return folder
    raise PostgresMissing(
        "No PostgreSQL binaries (postgres, initdb) by pg_config, in /usr/lib/postgresql or on PATH: install postgresql."
    )


def _candidates() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        yield Path(subprocess.run([pg_config, "--bindir"], capture_output=True, text=True).stdout.strip())
    debian = Path(DEBIAN).glob("*/bin")
    yield from sorted(debian, key=lambda folder: folder.parent.name.zfill(3), reverse=True)
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent


def _unprivileged() -> str | None:
    """Whom to run PostgreSQL as: ourselves, or for root its own user or nobody."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _make_cluster(binaries: Path, data: Path, user: str | None, password: str) -> None:
    secret = data.with_name("password")
    secret.write_text(password)
    if user:
        for path in (data.parent, secret):
            shutil.chown(path, user)
    command = [str(binaries / "initdb"), "-D", str(data), "-U", OWNER, "-A", "scram-sha-256", "--pwfile", str(secret)]
    made = subprocess.run(command, capture_output=True, text=True, cwd="/", **identity(user))
    if made.returncode:
        said = made.stderr.strip().splitlines() or ["it said nothing"]
        raise EngineError(f"initdb could not make a PostgreSQL cluster in {data}: {said[-1]}")


def _options(port: int, *, durable: bool) -> list[str]:
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if durable else "off",
        "max_connections": "300",
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _wait(binaries: Path, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    ask = [str(binaries / "pg_isready"), "--quiet", "--host", LOOPBACK, "--port", str(port)]
    while subprocess.run(ask).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise EngineError(f"PostgreSQL did not start; it last said: {last_words(log)}")
        time.sleep(0.05)
