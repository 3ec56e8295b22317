"""The documentation's pages, and what stands on them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Block:
    """A fenced block. `note` is the HTML comment on the line above it: `file: …`, `run`, `live`, `not run: …`, or nothing."""

    line: int
    language: str
    note: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Read a page's fenced blocks, in order."""
    lines, at = page.read_text().splitlines(), 0
    while at < len(lines):
        if fence := re.fullmatch(r"```(\w*)", lines[at]):
            end = lines.index("```", at + 1)
            note = re.fullmatch(r"<!-- (.+) -->", lines[at - 1])
            yield Block(at + 1, fence[1], note[1] if note else "", "\n".join(lines[at + 1 : end]) + "\n")
            at = end
        at += 1


def said(page: Path) -> str:
    """Return what a page quotes as code: its code spans and its blocks, without its prose."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))
    return "\n".join([*spans, *(block.text for block in blocks(page))])


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def script(page: Path) -> str:
    """Return the page's Python as one module, each block at its own line number; its tests are called at the end."""
    lines: list[str] = []
    for block in blocks(page):
        if block.language == "python" and not block.note:
            lines += [""] * (block.line - len(lines)) + block.text.splitlines()
    calls = "[each() for name, each in list(globals().items()) if name.startswith('test_')]"
    return "\n".join([*lines, calls, ""])


def write_files(page: Path, folder: Path) -> None:
    """Write the files that a page tells its reader to write."""
    for block in blocks(page):
        if block.note.startswith("file: "):
            write(block, folder)


def write(block: Block, folder: Path) -> None:
    """Write the file that a block is."""
    file = folder / block.note.removeprefix("file: ")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.text)


def run(command: list[str], folder: Path, **settings: str) -> str:
    """Run a command as a reader would, in the project's environment, with these settings, and return what it prints."""
    done = subprocess.run(
        command, cwd=folder, env=environment() | settings, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def environment() -> dict[str, str]:
    """Return the environment of a reader who has none of our settings."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SOJOURN_", "TEMPORAL_"))}
    return plain | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "160"}


@dataclass(frozen=True)
class Example:
    """A curl command, and the answer the page shows: status and body, both empty where it shows none."""

    line: int
    command: str
    status: str = ""
    body: str = ""

    def request(self, base_url: str) -> httpx.Request:
        """Return what curl would send, to another server than the page's."""
        words = iter(shlex.split(self.command)[1:])
        method, url, content, headers = "", "", None, dict[str, str]()
        for word in words:
            match word:
                case "-u":
                    headers["Authorization"] = httpx.BasicAuth(next(words).rstrip(":"), "")._auth_header
                case "-H":
                    name, _, value = next(words).partition(": ")
                    headers[name] = value
                case "-X":
                    method = next(words)
                case "--json":
                    content, headers["Content-Type"] = next(words), "application/json"
                case _:
                    assert word.startswith("http://127.0.0.1:8000"), f"line {self.line}: this curl is not understood: {word}"
                    url = word.replace("http://127.0.0.1:8000", base_url)
        return httpx.Request(method or ("GET" if content is None else "POST"), url, headers=headers, content=content)


def examples(page: Path) -> Iterator[Example]:
    """Read the curl commands of a page's live blocks; an `http` block right after one shows the answer to its last command."""
    waiting: list[Example] = []
    for block in blocks(page):
        if block.language == "http":
            status, _, body = block.text.partition("\n\n")
            waiting[-1] = Example(waiting[-1].line, waiting[-1].command, status, body)
            continue
        yield from waiting
        commands = re.split(r"^(?=curl )", block.text.replace("\\\n", " "), flags=re.M) if block.note == "live" else []
        waiting = [Example(block.line, command) for command in commands if command]
    yield from waiting
