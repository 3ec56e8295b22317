"""What a backtest has done is its alone, and is taken away once it is done or a week old."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backtest.asked import STORE, Asked, fingerprint
from backtest.keeping import UnderWay, kept_in
from tests.backtest.conftest import Backtest, joined

EIGHT_DAYS = 8 * 86_400


def test_what_else_is_in_the_folder_that_is_named_for_the_work_stays(backtest: Backtest) -> None:
    mine = backtest.write("calls.jsonl", [joined("ada")])
    assert backtest("onboarding", mine, "--work", ".")["here"]["runs"] == 1
    assert [each.name for each in backtest.folder.iterdir()] == ["calls.jsonl"]


def test_two_of_the_same_at_once_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    with kept_in(tmp_path, "one"):
        with pytest.raises(UnderWay, match="wait for it, or give this one a --work of its own"), kept_in(tmp_path, "one"):
            pass
        with kept_in(tmp_path, "another") as other:
            assert other.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_was_interrupted_is_kept_for_a_week(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with pytest.raises(KeyboardInterrupt), kept_in(tmp_path, name) as folder:
            _interrupted(folder)
    long_ago = time.time() - EIGHT_DAYS
    os.utime(tmp_path / "old" / "lock", (long_ago, long_ago))
    with kept_in(tmp_path, "third"):
        assert sorted(each.name for each in tmp_path.iterdir()) == ["new", "third"]
    with kept_in(tmp_path, "new") as folder:
        assert (folder / "done").is_file()


def _interrupted(folder: Path) -> None:
    (folder / "done").touch()
    raise KeyboardInterrupt


def _write(folder: Path, name: str) -> None:
    (folder / name).write_text(f"# of {time.time_ns()}")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _write(folder, "calls.jsonl"),
        lambda folder: _write(folder, "journeys/a.py"),
        lambda folder: _write(folder, "others/b.py"),
    ],
    ids=["the events", "the journeys", "the version beside them"],
)
def test_whatever_has_changed_makes_it_another_backtest(tmp_path: Path, change: Callable[[Path], None]) -> None:
    for folder in ("journeys", "others"):
        (tmp_path / folder).mkdir()
    for name in ("calls.jsonl", "journeys/a.py", "others/b.py"):
        (tmp_path / name).touch()
    asked = Asked("a", str(tmp_path / "calls.jsonl"), tmp_path / "journeys", against=str(tmp_path / "others"))
    before = fingerprint(asked, "UTC")
    assert fingerprint(asked, "UTC") == before == fingerprint(replace(asked, processes=7), "UTC")
    change(tmp_path)
    assert fingerprint(asked, "UTC") != before


def test_so_does_another_zone_or_a_store_that_has_gone_on(tmp_path: Path) -> None:
    asked = Asked("a", STORE, tmp_path)
    assert (
        len({fingerprint(asked, "UTC", (1, 2)), fingerprint(asked, "UTC", (1, 3)), fingerprint(asked, "Asia/Tokyo", (1, 2))}) == 3
    )
