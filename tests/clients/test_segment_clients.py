"""Segment's own libraries, as they are published, need nothing but our address, and lose and double nothing on a bad line."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from engine.process import LOOPBACK, free_ports, last_words, running
from settings import DEVELOPMENT_WRITE_KEY
from store.migrate import migrate
from tests.clients.line import Fault, Line, bad_line

CHECKOUT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SENDER, DONE = "send.mjs", "installed"
SECONDS = 60  # for what takes a few, on a busy machine
PEOPLE = "ada,ben,cleo"
KINDS = ("alias", "group", "identify", "page", "screen", "track")


@dataclass
class Api:
    """A server process of ours, on a database of its own."""

    port: int
    database: Path

    def stored(self) -> list[tuple[str, str]]:
        """Return the message id and the kind of each call that is in the store."""
        with closing(sqlite3.connect(self.database, timeout=30)) as database:
            return database.execute("SELECT message_id, kind FROM events ORDER BY id").fetchall()


@pytest.fixture(scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    folder = tmp_path_factory.mktemp("api")
    with free_ports(1) as (port,):
        up = Api(port, folder / "sojourn.db")
    environment = {**os.environ, "SOJOURN_DATABASE_URL": f"sqlite+aiosqlite:///{up.database}"}
    await asyncio.to_thread(migrate, environment["SOJOURN_DATABASE_URL"])
    command = ["env", f"--chdir={CHECKOUT}", sys.executable, "-m", "cli", "api", "--port", str(port)]
    with running(command, log=folder / "api.log", env=environment) as process:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as client, asyncio.timeout(SECONDS):
            while not await _answers(client):
                assert process.poll() is None, last_words(folder / "api.log")
                await asyncio.sleep(0.05)
        yield up


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).is_success
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def library(request: pytest.FixtureRequest) -> list[str]:
    """The command of a program that sends the six calls, with one of the libraries. Its words: {host}, a key, people."""
    if request.param == "node":
        return ["node", str(_installed(request.config) / SENDER), "{host}", DEVELOPMENT_WRITE_KEY, PEOPLE]
    return [sys.executable, str(HERE / "send.py"), "{host}", DEVELOPMENT_WRITE_KEY, PEOPLE, *request.param.split()[1:]]


def _installed(config: pytest.Config) -> Path:
    """Return the folder of Node's library and our program, installed once for each lock file into pytest's cache."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Segment's library for Node needs node and npm")
    lock = (HERE / "node" / "package-lock.json").read_bytes()
    assert config.cache
    folder = config.cache.mkdir("segment-node") / hashlib.sha256(lock).hexdigest()[:16]
    shutil.copytree(HERE / "node", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    if not (folder / DONE).exists():
        subprocess.run(["npm", "ci", "--prefix", folder, "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], check=True)
        (folder / DONE).touch()
    return folder


async def send(library: list[str], line: Line) -> None:
    """Let a library send the calls down the line: it has to be content with that."""
    words = [word.format(host=f"http://{LOOPBACK}:{line.port}") for word in library]
    environment = {**os.environ, "NO_PROXY": LOOPBACK}
    sender = await asyncio.create_subprocess_exec(
        *words, env=environment, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await sender.communicate()
    finally:
        if sender.returncode is None:
            sender.kill()
    assert sender.returncode == 0, said.decode()


@pytest.mark.parametrize("library", ["python", "python gzip", "node"], indirect=True)
async def test_a_library_delivers_each_kind_of_call(api: Api, library: list[str]) -> None:
    before = len(api.stored())
    async with bad_line(api.port) as line:
        await send(library, line)
    assert Counter(kind for _, kind in api.stored()[before:]) == dict.fromkeys(KINDS, len(PEOPLE.split(",")))
    assert line.zipped == {library[-1] == "gzip"}


@pytest.mark.parametrize("library", ["python gzip", "node"], indirect=True)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault.FAILED], id="it failed"),
        pytest.param([Fault.BUSY], id="it is busy"),
        pytest.param([Fault.CUT], id="the connection ends"),
        pytest.param([Fault.BUSY, Fault.LOST, Fault.FAILED, Fault.CUT], id="one after the other"),
    ],
)
async def test_every_message_is_kept_once_whatever_happens_to_it(api: Api, library: list[str], faults: Sequence[Fault]) -> None:
    before = len(api.stored())
    async with bad_line(api.port, faults) as line:
        await send(library, line)
    assert line.happened == faults
    kept = api.stored()[before:]
    assert Counter(message for message, _ in kept) == dict.fromkeys(line.delivered, 1)
    assert len(kept) == len(KINDS) * len(PEOPLE.split(","))


@pytest.mark.parametrize("library", ["python gzip", "node"], indirect=True)
async def test_what_is_sent_again_because_its_answer_was_lost_is_kept_once(api: Api, library: list[str]) -> None:
    before = len(api.stored())
    async with bad_line(api.port, [Fault.LOST]) as line:
        await send(library, line)
    kept = api.stored()[before:]
    assert line.delivered.total() > len(kept), "nothing was delivered twice, so this shows nothing"
    assert Counter(message for message, _ in kept) == dict.fromkeys(line.delivered, 1)
    assert Counter(kind for _, kind in kept) == dict.fromkeys(KINDS, len(PEOPLE.split(",")))


@pytest.mark.parametrize("library", ["python gzip", "node"], indirect=True)
async def test_without_its_message_ids_the_same_would_be_kept_twice(api: Api, library: list[str]) -> None:
    before = len(api.stored())
    async with bad_line(api.port, [Fault.LOST], nameless=True) as line:
        await send(library, line)
    kept = api.stored()[before:]
    assert len(kept) == line.delivered.total() > len(line.delivered) == len(KINDS) * len(PEOPLE.split(","))
