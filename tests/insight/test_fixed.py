"""The comparison of a fixed horizon: the score method, beside what is published and what a slower way finds."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from insight import fixed
from insight.comparison import compare, compare_once
from insight.fixed import Arm
from insight.sequential import Stratum


@pytest.mark.parametrize(
    ("variant", "baseline", "low", "high"),
    [((70, 56), (80, 48), 0.0528, 0.3382), ((10, 9), (10, 3), 0.1700, 0.8406), ((56, 5), (29, 0), -0.0326, 0.1933)],
)
def test_differences_have_the_published_limits(
    variant: tuple[int, int], baseline: tuple[int, int], low: float, high: float
) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), 873-890, table II: Miettinen and Nurminen's."""
    assert fixed.difference_interval(Arm(*variant), Arm(*baseline), 0.05) == pytest.approx((low, high), abs=6e-5)


def slow_score(variant: Arm, baseline: Arm, ratio: float, difference: float) -> float:
    """Look for the likeliest rates under the null hypothesis by trying very many."""
    n1, x1, n0, x0 = (
        float(np.asarray(each)) for each in (variant.people, variant.conversions, baseline.people, baseline.conversions)
    )
    low, high = max(0.0, -difference / ratio), min(1.0, (1 - difference) / ratio)
    for _ in range(6):
        tried = np.linspace(low, high, 2001)[1:-1]
        other = ratio * tried + difference
        likelihood = x0 * np.log(tried) + (n0 - x0) * np.log1p(-tried) + x1 * np.log(other) + (n1 - x1) * np.log1p(-other)
        best, step = tried[likelihood.argmax()], tried[1] - tried[0]
        low, high = max(best - step, low), min(best + step, high)
    p0, p1 = best, ratio * best + difference
    spread = (p1 * (1 - p1) / n1 + ratio**2 * p0 * (1 - p0) / n0) * (n1 + n0) / (n1 + n0 - 1)
    return float((x1 / n1 - ratio * x0 / n0 - difference) / math.sqrt(spread))


@pytest.mark.parametrize(("ratio", "difference"), [(1, 0), (1, 0.1), (1, -0.2), (1.5, 0), (0.4, 0)])
@pytest.mark.parametrize("arms", [(Arm(70, 56), Arm(80, 48)), (Arm(1000, 11), Arm(300, 2)), (Arm(40, 39), Arm(50, 20))])
def test_the_score_is_that_of_the_likeliest_rates(arms: tuple[Arm, Arm], ratio: float, difference: float) -> None:
    assert float(fixed.score(*arms, ratio=ratio, difference=difference)) == pytest.approx(
        slow_score(*arms, ratio, difference), abs=1e-4
    )


def binomial(people: int, rate: float) -> NDArray[np.float64]:
    counts = np.arange(people + 1)
    ways = np.array([math.lgamma(people + 1) - math.lgamma(x + 1) - math.lgamma(people - x + 1) for x in counts])
    return np.asarray(np.exp(ways + counts * math.log(rate) + (people - counts) * math.log1p(-rate)))


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("people", [(200, 200), (100, 300), (400, 100)])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 3])
def test_of_all_that_may_happen_without_a_difference_no_more_than_alpha_is_rejected(
    people: tuple[int, int], rate: float, alpha: float
) -> None:
    mine, other = np.meshgrid(np.arange(people[0] + 1), np.arange(people[1] + 1), indexing="ij")
    arms = Arm(people[0], mine), Arm(people[1], other)
    rejected = np.abs(fixed.score(*arms)) >= NormalDist().inv_cdf(1 - alpha / 2)
    wrong = np.outer(binomial(people[0], rate), binomial(people[1], rate))[rejected & fixed.enough(*arms)].sum()
    assert wrong <= alpha + 0.003  # close, not exact, as docs/statistics.md says


counts = st.tuples(st.integers(2, 5_000), st.floats(0, 1)).map(lambda each: (each[0], round(each[0] * each[1])))


@settings(max_examples=40)
@given(counts, counts, st.sampled_from([0.1, 0.05, 0.01]))
def test_the_p_value_and_both_intervals_say_the_same(variant: tuple[int, int], baseline: tuple[int, int], alpha: float) -> None:
    arms = Arm(*variant), Arm(*baseline)
    p_value, (low, high) = fixed.p_value(*arms), fixed.difference_interval(*arms, alpha)
    least, most = fixed.ratio_interval(*arms, alpha)
    apart = p_value < alpha - 1e-9
    assert apart == (low > 0 or high < 0) == (least > 1 or most < 1) or abs(p_value - alpha) < 1e-6
    assert low - 1e-9 <= variant[1] / variant[0] - baseline[1] / baseline[0] <= high + 1e-9


def test_one_look_shows_more_than_looking_all_along() -> None:
    stratum = Stratum(0.5, 4_000, 480, 4_000, 400)
    once, along = compare_once(stratum), compare([stratum])
    assert once is not None
    assert along is not None
    assert not once.always_valid
    assert once.verdict == "better"
    assert along.verdict == "undecided"
    assert along.difference_interval[0] < once.difference_interval[0] < once.difference_interval[1] < along.difference_interval[1]


def test_with_more_variants_there_has_to_be_more_of_a_difference() -> None:
    one, three = (compare_once(Stratum(0.5, 4_000, 480, 4_000, 400), 0.05, variants) for variants in (1, 3))
    assert one is not None
    assert three is not None
    assert three.p_value == pytest.approx(3 * one.p_value)
    assert three.difference_interval[0] < one.difference_interval[0] < one.difference_interval[1] < three.difference_interval[1]
    assert three.lift_interval[0] < one.lift_interval[0]
    assert (one.lift_interval[1] or 0) < (three.lift_interval[1] or 0)


def test_with_too_few_conversions_for_the_score_the_evidence_of_any_look_is_taken() -> None:
    few = compare_once(Stratum(0.05, 100, 4, 1_900, 3))
    assert few is not None
    assert few.always_valid
    assert few == compare([Stratum(0.05, 100, 4, 1_900, 3)])
