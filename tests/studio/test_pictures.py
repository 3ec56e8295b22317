"""The pictures of the shipped journeys are as they were: whoever changes a shape sees it here, and in review."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import ROOT, run

PICTURES = ROOT / "tests" / "pictures"


def test_the_shipped_journeys_have_the_shape_that_is_kept(tmp_path: Path) -> None:
    run(["sojourn", "draw", "--out", str(tmp_path), "--journeys", str(ROOT / "journeys")], tmp_path)
    kept, drawn = ({file.name: file.read_text() for file in folder.glob("*.mmd")} for folder in (PICTURES, tmp_path))
    assert drawn == kept, "a shape has changed: is it meant? Then draw them anew, `sojourn draw --out tests/pictures`"


FORMS = [("svg", "svg", "<svg "), ("terminal", "txt", "onboarding"), ("mermaid", "mmd", "flowchart")]


@pytest.mark.parametrize(("form", "ending", "begins"), FORMS)
def test_a_picture_is_drawn_in_each_format(form: str, ending: str, begins: str, tmp_path: Path) -> None:
    journeys = ["--journeys", str(ROOT / "journeys")]
    run(["sojourn", "draw", "onboarding", "--format", form, "--out", "pictures", *journeys], tmp_path)
    written = (tmp_path / "pictures" / f"onboarding.{ending}").read_text()
    assert written.startswith(begins)
    assert written.strip() == run(["sojourn", "draw", "onboarding", "--format", form, *journeys], tmp_path).strip()
