"""How two arms differ in conversion, by evidence that may be looked at after every person.

The evidence is the wealth of bettors against a null hypothesis. A person who is in the variant with probability `w`, else in the
baseline, and converts (y = 1) or not, multiplies a bettor's wealth by `1 + c * gain`, where

    gain = (y - b) / w             in the variant
         = -(y - a) / (1 - w)      in the baseline,        b - a = the difference that the null hypothesis says.

Chance puts people into arms, so the gain's mean is the true difference less the null's, whoever comes and whatever the base rate is
that day: under the null nobody's wealth grows on average, after any number of people, and by Ville's inequality it ever
reaches 1 / alpha with a probability of at most alpha. Nothing in this is an approximation. Bettors differ in `c` and in
the middle of `a` and `b`; what counts is their mean wealth, whose weights were set before the data.

Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024), and with Wu, Karampatziakis
and Mineiro, Anytime-valid off-policy inference for contextual bandits (2024), for the bets; Turner, Ly and Grünwald, Generic
e-variables for exact sequential k-sample tests, JSPI 230 (2024), for why they grow fastest; Johari, Koomen, Pekelis and Walsh,
Always valid inference, Operations Research 70 (2022), for p-values and intervals at any look.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insight.intervals import as_difference, as_ratio, high_end, low_end

Numbers = NDArray[np.float64]
Direction = Literal[1, -1]  # 1 bets that the variant converts more than the null says, -1 that it converts less

MIDDLES = np.sin(np.arange(9) * math.pi / 16) ** 2  # rates from 0 to 1, close enough that between two of them little is lost
MIDDLE_WEIGHTS = 1 / (np.arange(9) + 1.0)  # most rates are low
EFFECTS = 0.005 * 2.0 ** np.arange(10)  # log odds ratios, from half a percent to beyond what may be bet
EFFECT_WEIGHTS = np.exp(-(np.log(EFFECTS / 0.15) ** 2) / 2) + 0.02  # most that is worth trying changes the odds by 5 to 40 %
MOST = 0.999  # of what a bettor has may be lost by one person: nobody is ever ruined


@dataclass(frozen=True)
class Stratum:
    """Two arms while their weights stayed the same; `share` is the chance of the variant among people of the two arms.

    `people` are those whose window has closed, `conversions` those of them who reached the goal in it.
    """

    share: float
    variant_people: int
    variant_conversions: int
    baseline_people: int
    baseline_conversions: int

    @property
    def cells(self) -> Numbers:
        """Variant converted, variant not, baseline converted, baseline not."""
        variant, baseline = self.variant_conversions, self.baseline_conversions
        return np.array([variant, self.variant_people - variant, baseline, self.baseline_people - baseline], dtype=np.float64)


def by_difference(null: float, share: float) -> Numbers:
    """Return what each bettor gains by each cell if the null hypothesis is a difference, from -1 to 1."""
    middle = np.clip(MIDDLES, abs(null) / 2, 1 - abs(null) / 2)
    variant, baseline = middle + null / 2, middle - null / 2
    return np.stack([(1 - variant) / share, -variant / share, -(1 - baseline) / (1 - share), baseline / (1 - share)])


def by_ratio(null: float, share: float) -> Numbers:
    """Return what each bettor gains by each cell if the null hypothesis is variant / baseline = `null`, from 0 to infinity.

    The gains are divided by the larger rate's factor, so that none is larger than a difference's: at 1 both are the same.
    """
    variant, baseline = min(1 / null, 1.0) if null else 1.0, min(null, 1.0)
    return np.stack([(variant - MIDDLES) / share, -MIDDLES / share, -(baseline - MIDDLES) / (1 - share), MIDDLES / (1 - share)])


Gains = Callable[[float, float], Numbers]


def factors(gains: Gains, null: float, share: float, direction: Direction) -> Numbers:
    """Return the logarithm of what a person of each cell (rows) multiplies each bettor's wealth by (columns)."""
    bets = np.minimum(EFFECTS * share * (1 - share), MOST * min(share, 1 - share))
    stakes = gains(null, share)[:, :, np.newaxis] * bets
    table: Numbers = np.log1p(direction * stakes).reshape(4, -1)
    return table


_WEIGHTS = np.outer(MIDDLE_WEIGHTS / MIDDLE_WEIGHTS.sum(), EFFECT_WEIGHTS / EFFECT_WEIGHTS.sum()).reshape(-1)


def log_mean_wealth(wealth: Numbers) -> Numbers:
    """Return the logarithm of the bettors' mean wealth (last axis) from the logarithm of each one's."""
    most = wealth.max(axis=-1, keepdims=True)
    mean: Numbers = most[..., 0] + np.log(np.exp(wealth - most) @ _WEIGHTS)
    return mean


def log_evidence(strata: Sequence[Stratum], gains: Gains, null: float, direction: Direction) -> float:
    """Return the natural logarithm of the evidence that the variant lies beyond the null hypothesis in a direction.

    It is an e-value at every look: if the variant does not lie beyond it, the chance that it is ever above log(1 / alpha) is at
    most alpha. It needs the counts of now alone, not of earlier looks.
    """
    wealth = sum((each.cells @ factors(gains, null, each.share, direction) for each in strata), np.zeros(_WEIGHTS.shape))
    return float(log_mean_wealth(wealth))


def difference_interval(strata: Sequence[Stratum], alpha: float) -> tuple[float, float]:
    """Return what differences of conversion, variant less baseline, the evidence has not refuted: between -1 and 1.

    The true one is inside at every look with a probability of at least 1 - alpha. Each side takes half of alpha.
    """
    return _interval(strata, by_difference, as_difference, alpha)


def ratio_interval(strata: Sequence[Stratum], alpha: float) -> tuple[float, float]:
    """Return what ratios of conversion, variant by baseline, the evidence has not refuted: between 0 and infinity.

    It lies above 1 exactly if the difference's interval lies above 0, and below likewise.
    """
    return _interval(strata, by_ratio, as_ratio, alpha)


def _interval(strata: Sequence[Stratum], gains: Gains, null: Callable[[float], float], alpha: float) -> tuple[float, float]:
    """Find both ends; evidence for more falls as the null hypothesis rises, since no gain does, and evidence for less rises."""
    enough = math.log(2 / alpha)

    def refuted(place: float, direction: Direction) -> bool:
        return log_evidence(strata, gains, null(place), direction) >= enough

    return null(low_end(lambda place: refuted(place, 1))), null(high_end(lambda place: refuted(place, -1)))


def p_value(strata: Sequence[Stratum], direction: Direction) -> float:
    """Return the always-valid p-value, two-sided, of no difference, where the estimate lies in a direction."""
    return min(1.0, 2 * math.exp(-max(log_evidence(strata, by_difference, 0.0, direction), 0.0)))


def harm_p_value(strata: Sequence[Stratum]) -> float:
    """Return the always-valid p-value, one-sided, of the variant having no more conversions than the baseline."""
    return min(1.0, math.exp(-max(log_evidence(strata, by_difference, 0.0, 1), 0.0)))
