"""What the statistics promise, held over made-up experiments: the lines of `python -m bench.experiments`, with fewer of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from bench.experiments import Line, Question, main, questions

RUNS = 200
ASKED = list(questions())


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_every_promise_is_held(number: int) -> None:
    line = ASKED[number](RUNS, np.random.default_rng([2, number]))
    assert line.held, line


@pytest.mark.parametrize(
    ("line", "held"),
    [
        (Line("x", 0.06, "at most", 0.05), False),
        (Line("x", 0.05, "at most", 0.05), True),
        (Line("x", 0.06, "at most", 0.05, 0.02), True),
        (Line("x", 0.94, "at least", 0.95), False),
        (Line("x", 0.75, "about", 0.8, 0.02), False),
        (Line("x", 0.85, "about", 0.8, 0.02), False),
    ],
)
def test_a_promise_that_is_not_held_is_seen(line: Line, held: bool) -> None:
    assert line.held == held


def test_it_prints_json_and_fails_if_a_promise_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(found: float) -> list[Question]:
        return [lambda runs, chance: Line("x", found, "at most", 0.05)]

    command = typer.Typer()
    command.command()(main)
    for found, code in ((0.01, 0), (0.2, 1)):
        monkeypatch.setattr("bench.experiments.questions", lambda found=found: of(found))
        ran = CliRunner().invoke(command, ["--json", "--runs", "100"])
        assert ran.exit_code == code
        assert json.loads(ran.stdout)["lines"][0]["held"] == (not code)
