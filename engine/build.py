"""Building Temporal's official programs with Go: the server, its UI and its SQL schema tool."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from engine.cache import Report, found, kept
from engine.errors import SupplyError
from engine.golang import toolchain

_PATIENCE_BETWEEN_REPORTS = 10.0  # seconds


@dataclass(frozen=True)
class Program:
    """A Go main package at one version."""

    name: str
    package: str
    version: str
    minutes: str

    @property
    def made(self) -> str:
        """What `go install` calls it."""
        return self.package.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        return f"{self.name.replace(' ', '-').lower()}-{self.version}"


SERVER = Program("Temporal server", "go.temporal.io/server/cmd/server", "1.32.1", "3 to 6 minutes")
UI = Program("Temporal UI", "github.com/temporalio/ui-server/v2/cmd/server", "2.54.1", "about a minute")
SCHEMA_TOOL = Program("Temporal schema tool", "go.temporal.io/server/cmd/tools/sql", "1.32.1", "about a minute")


def built(program: Program, report: Report) -> Path:
    """The path of `program`, built unless an intact one is cached. Raises SupplyError saying why it cannot be built."""
    return kept(program.folder, program.made, lambda folder: _build(program, folder, report), report)


def already_built(program: Program) -> Path | None:
    """The path of `program` if it is in the cache."""
    return found(program.folder, program.made)


def _build(program: Program, folder: Path, report: Report) -> None:
    go = toolchain(report)
    report(f"building the {program.name} {program.version} with Go, once ({program.minutes} on two cores)")
    command = [str(go.executable), "install", "-v", "-ldflags=-s -w", f"{program.package}@v{program.version}"]
    started = time.monotonic()
    last = _follow(command, {**go.environment, "GOBIN": str(folder)}, program, report)
    if not (folder / program.made).exists():
        raise SupplyError(f"Go could not build {program.package}@v{program.version} ({last})")
    report(f"built the {program.name} in {time.monotonic() - started:.0f} s")


def _follow(command: list[str], environment: dict[str, str], program: Program, report: Report) -> str:
    """Run Go, say now and then how far it is, and return the last thing it said."""
    last, modules, packages, due = "it said nothing", 0, 0, time.monotonic() + _PATIENCE_BETWEEN_REPORTS
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        for line in process.stderr:
            last = line.strip() or last
            modules += line.startswith("go: downloading ")
            packages += not line.startswith("go: ")
            if time.monotonic() > due:
                due = time.monotonic() + _PATIENCE_BETWEEN_REPORTS
                report(f"building the {program.name}: {modules} modules fetched, {packages} packages compiled")
    return last
