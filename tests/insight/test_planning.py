"""How many people an experiment needs."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from insight import fixed
from insight.fixed import Arm
from insight.planning import Design, power, required_people, run_length


def test_a_textbook_case_needs_what_the_textbook_says() -> None:
    """Ten percent against twelve, two-sided at 5 % with 80 % power: 3,841 an arm, in any table of sample sizes."""
    assert required_people(Design(0.1, 0.12)) == pytest.approx(2 * 3_841, abs=2)


@pytest.mark.parametrize(
    "design",
    [
        Design(0.3, 0.4),
        Design(0.4, 0.3),
        Design(0.05, 0.1, power=0.9),
        Design(0.3, 0.4, weights=(3, 1)),
        Design(0.3, 0.4, (1, 1, 1)),
    ],
)
def test_the_power_at_that_number_is_what_all_outcomes_together_have(design: Design) -> None:
    people = required_people(design)
    n1, n0 = (round(people * share) for share in reversed(design.shares))
    mine, other = np.meshgrid(np.arange(n1 + 1), np.arange(n0 + 1), indexing="ij")
    critical = NormalDist().inv_cdf(1 - design.alpha / 2 / (len(design.weights) - 1))
    found = np.abs(fixed.score(Arm(n1, mine), Arm(n0, other))) >= critical
    chance = np.outer(_binomial(n1, design.variant), _binomial(n0, design.baseline))
    assert float(chance[found].sum()) == pytest.approx(design.power, abs=0.015)
    assert power(design, people) == pytest.approx(design.power, abs=0.001)
    assert power(design, people // 2) < design.power - 0.15


def _binomial(people: int, rate: float) -> list[float]:
    return [math.comb(people, count) * rate**count * (1 - rate) ** (people - count) for count in range(people + 1)]


def test_more_variants_and_uneven_weights_need_more_people() -> None:
    even, three, uneven = (required_people(Design(0.1, 0.12, weights)) for weights in ((1, 1), (1, 1, 1, 1), (9, 1)))
    assert even < uneven
    assert three > 2 * even


def test_looked_at_all_along_more_variants_need_more_evidence_each() -> None:
    two, four = (run_length(Design(0.1, 0.13, weights), runs=400).by_power for weights in ((1, 1), (1, 1, 1, 1)))
    assert two is not None
    assert four is not None
    assert four > 2.1 * two  # twice for having half of the people in two of the arms, and more for three chances to be wrong


def test_looked_at_all_along_it_takes_longer_at_most_but_many_are_over_before() -> None:
    design = Design(0.1, 0.13)
    long, fixed_people = run_length(design, runs=400), required_people(design)
    assert long.by_power is not None
    assert fixed_people < long.mean < long.by_power < 3 * fixed_people
    assert 0.2 < long.at_fixed < 0.8 < long.decided
    assert long == run_length(design, runs=400)
    assert long != run_length(design, runs=400, seed=2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"baseline": 10, "variant": 0.12}, "the baseline's conversion rate is 10; write it as a share"),
        ({"baseline": 0.1, "variant": 0.0}, "the variant's conversion rate is 0.0"),
        ({"baseline": 0.1, "variant": 0.1}, "both rates are 0.1; no number of people finds no difference"),
        ({"baseline": 0.1, "variant": 0.2, "weights": (1,)}, r"the weights are \[1\]; give the baseline's and each variant's"),
        ({"baseline": 0.1, "variant": 0.2, "weights": (1, 0)}, "all more than 0"),
        ({"baseline": 0.1, "variant": 0.2, "power": 1.0}, "power 1.0; both are shares"),
    ],
)
def test_a_design_that_cannot_be_is_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Design(**wrong)  # type: ignore[arg-type]
