"""Where the Temporal server of development and tests comes from."""

import asyncio
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx
from temporalio.testing import WorkflowEnvironment

from engine.build import SERVER, already_built, built
from engine.cache import Report, found, kept
from engine.errors import SupplyError

NEEDED = (1, 32)
CLI_VERSION = "1.9.1"

_DOWNLOADS = "https://temporal.download"
_CLI = f"temporal-cli-{CLI_VERSION}"


@dataclass(frozen=True)
class Running:
    """A server that is up already and not ours to start or stop."""

    address: str


@dataclass(frozen=True)
class Cli:
    """The `temporal` command line tool, which holds a development server with its UI."""

    executable: Path


@dataclass(frozen=True)
class Official:
    """The official server's program."""

    executable: Path


Supply = Running | Cli | Official


def supply(report: Report) -> Supply:
    """Find or make a server, telling `report` what takes time; call it outside an event loop.

    In order: TEMPORAL_ADDRESS; a `temporal` command of server >= 1.32 on PATH; what an earlier call left in the cache; the
    SDK's download of that command; a build of the official server. Raises SupplyError when there is no way.
    """
    if address := os.environ.get("TEMPORAL_ADDRESS"):
        return Running(address)
    tried = []
    for source in (_cli_on_path, _cached, _cli_from_sdk, _official):
        try:
            return source(report)
        except SupplyError as refusal:
            tried.append(str(refusal))
    raise SupplyError(
        f"No Temporal server can be had: TEMPORAL_ADDRESS is not set, {', '.join(filter(None, tried))}; install the "
        f"Temporal CLI {CLI_VERSION} or later (https://docs.temporal.io/cli) or Go 1.26.8 or later, and try again."
    )


def _cli_on_path(report: Report) -> Supply:
    executable = shutil.which("temporal")
    if executable is None:
        raise SupplyError("no `temporal` command is on PATH")
    version = server_version(Path(executable))
    if version < NEEDED:
        told = ".".join(map(str, version)) or "unknown"
        raise SupplyError(f"the `temporal` command on PATH has server {told} where 1.32 is needed")
    return Cli(Path(executable))


def server_version(cli: Path) -> tuple[int, ...]:
    """The version of the server inside a `temporal` command, (1, 32, 0); empty when it does not tell."""
    try:
        answer = subprocess.run([cli, "--version"], capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    numbers = re.search(r"server (\d+)\.(\d+)\.(\d+)", answer, re.IGNORECASE)
    return tuple(map(int, numbers.groups())) if numbers else ()


def _cached(report: Report) -> Supply:
    if cli := found(_CLI, "temporal"):
        return Cli(cli)
    if server := already_built(SERVER):
        return Official(server)
    raise SupplyError("")


def _cli_from_sdk(report: Report) -> Supply:
    try:
        httpx.head(_DOWNLOADS, timeout=3)
    except httpx.HTTPError as error:
        raise SupplyError(f"{_DOWNLOADS} cannot be reached") from error
    return Cli(kept(_CLI, "temporal", lambda folder: _download(folder, report), report))


def _download(folder: Path, report: Report) -> None:
    report(f"fetching the Temporal CLI {CLI_VERSION} (100 MB)")
    try:
        asyncio.run(_start_once(folder))
    except (RuntimeError, TimeoutError) as error:
        raise SupplyError(f"the SDK could not download the Temporal CLI ({str(error) or 'it took too long'})") from error
    (downloaded,) = folder.iterdir()
    downloaded.rename(folder / "temporal")


async def _start_once(folder: Path) -> None:
    """The SDK downloads only in order to start: let it, and keep what it downloaded."""
    async with asyncio.timeout(600):
        server = await WorkflowEnvironment.start_local(download_dest_dir=str(folder), dev_server_download_version=f"v{CLI_VERSION}")
        await server.shutdown()


def _official(report: Report) -> Supply:
    return Official(built(SERVER, report))
