"""How two arms differ in conversion, looked at once, when as many people as were declared have been counted.

The score method: the difference that is seen, less the null hypothesis's, by its standard error if the null hypothesis is true.
Miettinen and Nurminen, Comparative analysis of two rates, Statistics in Medicine 4 (1985), 213-226.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insight.intervals import as_difference, as_ratio, high_end, low_end

Numbers = NDArray[np.float64]
HALVINGS = 60
LEAST = 2.0**-60  # a ratio that is as good as none
FEWEST = 5.0  # conversions, and people without, that each arm must have to expect: with fewer, an uneven split errs too often


@dataclass(frozen=True)
class Arm:
    """People of an arm and how many of them converted; or arrays of these, to look at many experiments at a time."""

    people: ArrayLike
    conversions: ArrayLike


def score(variant: Arm, baseline: Arm, *, ratio: float = 1.0, difference: float = 0.0) -> Numbers:
    """Return how many standard errors the arms are from `variant = ratio * baseline + difference`; only one of the two is given.

    The standard error is that of the rates that fit the counts best under the null hypothesis, by N / (N - 1). It is 0 where
    the counts say nothing: nobody converted, or everybody.
    """
    counts = (variant.people, variant.conversions, baseline.people, baseline.conversions)
    n1, x1, n0, x0 = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in counts))
    low = np.full(n1.shape, min(max(0.0, -difference / ratio), 1.0))
    high = np.full(n1.shape, max(min(1.0, (1 - difference) / ratio), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(HALVINGS):  # the likelihood is concave: its slope changes sign once
            p0 = (low + high) / 2
            p1 = ratio * p0 + difference
            slope = (x0 / p0 - (n0 - x0) / (1 - p0)) + ratio * (x1 / p1 - (n1 - x1) / (1 - p1))
            low, high = np.where(slope > 0, p0, low), np.where(slope > 0, high, p0)
        p0 = (low + high) / 2
        p1 = np.clip(ratio * p0 + difference, 0, 1)
        variance = (p1 * (1 - p1) / n1 + ratio**2 * p0 * (1 - p0) / n0) * (n1 + n0) / (n1 + n0 - 1)
        z: Numbers = (x1 / n1 - ratio * x0 / n0 - difference) / np.sqrt(variance)
    return np.nan_to_num(z, nan=0.0, posinf=np.inf, neginf=-np.inf)


def enough(variant: Arm, baseline: Arm) -> NDArray[np.bool_]:
    """Say whether each arm would have at least five conversions, and five people without, if there were no difference."""
    people = np.add(variant.people, baseline.people, dtype=np.float64)
    rate = np.add(variant.conversions, baseline.conversions) / people
    return np.asarray(np.minimum(variant.people, baseline.people) * np.minimum(rate, 1 - rate) >= FEWEST)


def difference_interval(variant: Arm, baseline: Arm, alpha: float) -> tuple[float, float]:
    """Return the differences of conversion, variant less baseline, that the score does not reject: between -1 and 1."""
    return _interval(lambda place: float(score(variant, baseline, difference=as_difference(place))), as_difference, alpha)


def ratio_interval(variant: Arm, baseline: Arm, alpha: float) -> tuple[float, float]:
    """Return the ratios of conversion, variant by baseline, that the score does not reject: between 0 and infinity."""

    def z(place: float) -> float:
        return float(score(variant, baseline, ratio=min(max(as_ratio(place), LEAST), 1 / LEAST)))

    return _interval(z, as_ratio, alpha)


def _interval(z: Callable[[float], float], null: Callable[[float], float], alpha: float) -> tuple[float, float]:
    critical = NormalDist().inv_cdf(1 - alpha / 2)
    return null(low_end(lambda place: z(place) >= critical)), null(high_end(lambda place: z(place) <= -critical))


def p_value(variant: Arm, baseline: Arm) -> float:
    """Return the two-sided p-value of no difference. It holds at one look alone."""
    return 2 * NormalDist().cdf(-abs(float(score(variant, baseline))))
