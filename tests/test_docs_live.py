"""The tutorial is followed and the HTTP examples are sent, to `sojourn dev` as a reader would start it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.pages import DOCS, PATIENCE_SECONDS, Example, environment, examples, write_files

SETTLING_SECONDS = 10
ENDING_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.05
RUN_ID = r"r_[0-9a-f]{28}"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


@dataclass
class Dev:
    """`sojourn dev`, up, on ports of its own. `runs` are the real ids of the runs that pages give made-up ones."""

    ports: dict[str, str]  # by the page's
    runs: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['8000']}"

    def send(self, example: Example) -> httpx.Response:
        command = example.command
        for told, real in self.runs.items():
            command = command.replace(told, real)
        with httpx.Client(trust_env=False, timeout=30) as api:
            return api.send(Example(example.line, command).request(self.url))

    def answers_as_shown(self, example: Example) -> bool:
        """Send an example, and say whether the answer is the page's but for ids, moments and ports. Keeps the runs' ids in mind."""
        answer = self.send(example)
        if not example.status:
            return answer.is_success
        self.runs |= zip(re.findall(RUN_ID, example.body), re.findall(RUN_ID, answer.text), strict=False)
        same_status = example.status.startswith(f"{answer.status_code} ")
        return same_status and self._plain(answer.text) == self._plain(example.body)

    def _plain(self, body: str) -> object:
        for told, real in self.ports.items():
            body = body.replace(f":{real}/", f":{told}/")
        body = body.replace('"accepted"', '"done"')  # of an order: which of both is a matter of milliseconds
        return json.loads(re.sub(MOMENT, "a moment", re.sub(RUN_ID, "a run", body)))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """Follow the tutorial up to its `sojourn dev`."""
    folder = tmp_path_factory.mktemp("my_product")
    write_files(DOCS / "tutorial.md", folder)
    up = Dev({"8000": free_port(), "8233": free_port()})
    command = ["sojourn", "dev", "--journeys", "my_journeys", "--port", up.ports["8000"], "--ui-port", up.ports["8233"]]
    with (
        (folder / "out").open("wb") as out,
        subprocess.Popen(command, cwd=folder, env=environment(), stdout=out, stderr=out) as house,
    ):
        try:
            until_ready(up, house, folder / "out")
            yield up
        finally:
            house.send_signal(signal.SIGINT)


def until_ready(up: Dev, house: subprocess.Popen[bytes], out: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end and house.poll() is None:
        try:
            if httpx.get(f"{up.url}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(LOOK_AGAIN_SECONDS)
    raise AssertionError(f"sojourn dev did not come up: {out.read_text()}")


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_the_tutorial_ends_with_its_messages_in_the_mailbox(dev: Dev) -> None:
    for example in examples(DOCS / "tutorial.md"):
        assert eventually(dev, example), f"tutorial.md, line {example.line}: {dev.send(example).text}"
    assert set(delivered(dev)) == {("welcome", "ana@example.org"), ("first_report", "ana")}


def delivered(dev: Dev) -> Iterator[tuple[str, str]]:
    """Say what is in the mailbox, as soon as the tutorial's person has both messages."""
    end = time.monotonic() + SETTLING_SECONDS
    messages: list[dict[str, str]] = []
    while len(messages) < 2 and time.monotonic() < end:
        messages = httpx.get(f"{dev.url}/mailbox?format=json&person=ana", trust_env=False).json()["messages"]
        time.sleep(LOOK_AGAIN_SECONDS)
    return ((message["template"], message["recipient"]) for message in messages)


def test_each_http_example_is_answered_as_the_page_shows(dev: Dev) -> None:
    for example in examples(DOCS / "http.md"):
        assert eventually(dev, example), f"http.md, line {example.line}: {dev.send(example).text}"


def eventually(dev: Dev, example: Example) -> bool:
    """Send it; ask again for a while where it only asks, for what a run does takes its moment."""
    end = time.monotonic() + SETTLING_SECONDS
    while not dev.answers_as_shown(example):
        if "--json" in example.command or "-X " in example.command or time.monotonic() > end:
            return False
        time.sleep(LOOK_AGAIN_SECONDS)
    return True
