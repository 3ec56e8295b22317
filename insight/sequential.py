"""How two arms differ in conversion, by evidence that may be looked at after every person.

The evidence is the wealth of bettors against a null hypothesis. A person who is in the variant with probability `w`, else in the
baseline, and converts (y = 1) or not, multiplies a bettor's wealth by `1 + c * gain`, where

    gain = (y - b) / w             in the variant
         = -(y - a) / (1 - w)      in the baseline,        b - a = the difference that the null hypothesis says.

Chance puts people into arms, so the gain's mean is the true difference less the null's, whoever comes and whatever the base rate is
that day: under the null nobody's wealth grows on average, after any number of people, and by Ville's inequality it ever
reaches 1 / alpha with a probability of at most alpha. Nothing in this is an approximation. Bettors differ in `c`; what counts is
their mean wealth, whose weights were set before the data.

The middle of `a` and `b` may be anything that was known before the person came. It is the rate of those who came on earlier days:
so a bettor gains by who converts, and hardly by how many people are in an arm, which is for the sample ratio to say.

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

from insight.intervals import as_difference, as_ratio, high_end, low_end
from insight.wealth import Numbers, log_mean

Direction = Literal[1, -1]  # 1 bets that the variant converts more than the null says, -1 that it converts less

EFFECTS = 0.005 * 2.0 ** np.arange(10)  # log odds ratios, from half a percent to beyond what may be bet
EFFECT_WEIGHTS = np.exp(-(np.log(EFFECTS / 0.15) ** 2) / 2) + 0.02  # most that is worth trying changes the odds by 5 to 40 %
MOST = 0.999  # of what a bettor has may be lost by one person: nobody is ever ruined
ANGLES = np.arange(9) * math.pi / 16  # of the first day's middles, sin² of them: from 0 to 1, close enough to lose little between
ANGLE_WEIGHTS = 1 / (np.arange(9) + 1.0)  # most rates are low
NEAREST = 2
FEW = 0.1  # of all people on the first day: then its middles matter little

Gains = Callable[[float, Numbers, Numbers], Numbers]


@dataclass(frozen=True)
class Stratum:
    """Two arms on one day, with one set of weights; `share` is the chance of the variant among people of the two.

    `people` were exposed on that day and their window has closed; `conversions` are those of them who reached the goal in it. A
    longer time than a day is as right, but needs more people to decide.
    """

    share: float
    variant_people: int
    variant_conversions: int
    baseline_people: int
    baseline_conversions: int

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """Variant converted, variant not, baseline converted, baseline not."""
        variant, baseline = self.variant_conversions, self.baseline_conversions
        return variant, self.variant_people - variant, baseline, self.baseline_people - baseline


def by_difference(null: float, share: Numbers, middle: Numbers) -> Numbers:
    """Return what is gained by each cell (last axis) if the null hypothesis is a difference, from -1 to 1."""
    middle = np.clip(middle, abs(null) / 2, 1 - abs(null) / 2)
    variant, baseline = middle + null / 2, middle - null / 2
    return np.stack([(1 - variant) / share, -variant / share, -(1 - baseline) / (1 - share), baseline / (1 - share)], axis=-1)


def by_ratio(null: float, share: Numbers, middle: Numbers) -> Numbers:
    """Return what is gained by each cell if the null hypothesis is variant / baseline = `null`, from 0 to infinity.

    The gains are divided by the larger rate's factor, so that none is larger than a difference's: at 1 both are the same.
    """
    variant, baseline = min(1 / null, 1.0) if null else 1.0, min(null, 1.0)
    gains = (variant - middle) / share, -middle / share, -(baseline - middle) / (1 - share), middle / (1 - share)
    return np.stack(gains, axis=-1)


def log_evidence_by_day(cells: Numbers, shares: Numbers, gains: Gains, null: float, direction: Direction) -> Numbers:
    """Return the logarithm of the evidence at the end of each day, of many experiments at a time.

    `cells` are those of each day (last axis but one), `shares` each day's; days in which nobody came may be anywhere.
    """
    bets = np.minimum(EFFECTS * (shares * (1 - shares))[:, np.newaxis], MOST * np.minimum(shares, 1 - shares)[:, np.newaxis])
    stakes = direction * bets[:, np.newaxis, :]
    people = cells.sum(axis=-1).cumsum(axis=-1)
    first = (people > 0) & (people == cells.sum(axis=-1))
    table = np.log1p(gains(null, shares, _middles(cells))[..., np.newaxis] * stakes)
    later = np.where(first[..., np.newaxis], 0.0, (cells[..., np.newaxis] * table).sum(axis=-2)).cumsum(axis=-2)
    wealth = later + _first(cells, shares, people, first, stakes, gains, null)
    return log_mean(wealth, EFFECT_WEIGHTS)


def _middles(cells: Numbers) -> Numbers:
    """Return the middle of the arms' rates on the days before each day."""
    before = np.cumsum(cells, axis=-2) - cells
    rates = [(before[..., arm] + 0.5) / (before[..., arm] + before[..., arm + 1] + 1) for arm in (0, 2)]
    middle: Numbers = (rates[0] + rates[1]) / 2
    return middle


def _first(cells: Numbers, shares: Numbers, people: Numbers, first: Numbers, stakes: Numbers, gains: Gains, null: float) -> Numbers:
    """Return the logarithm of what the first day with anybody gives, up to each day.

    Nothing is known before it, so there the bettors differ in their middles too. As long as it has many of all people, only the
    nearest middles to its own rate are taken: their wealth is part of the whole, so what is promised of that holds for it.
    """
    none = np.zeros((*first.shape, len(EFFECTS)))
    if not first.any():
        return none
    here = np.where(first[..., np.newaxis], cells, 0.0)
    when = first.argmax(axis=-1)
    counts, share = here.sum(axis=-2), shares[when]
    middles = np.broadcast_to(np.sin(ANGLES) ** 2, (*when.shape, len(ANGLES)))
    table = np.log1p(gains(null, share[..., np.newaxis], middles)[..., np.newaxis] * stakes[when][..., np.newaxis, :, :])
    wealth = (counts[..., np.newaxis, :, np.newaxis] * table).sum(axis=-2)
    rates = [(counts[..., arm] + 0.5) / (counts[..., arm] + counts[..., arm + 1] + 1) for arm in (0, 2)]
    apart = np.abs(np.arcsin(np.sqrt((rates[0] + rates[1]) / 2))[..., np.newaxis] - ANGLES)
    near = apart <= np.sort(apart, axis=-1)[..., NEAREST - 1 : NEAREST]
    swapped = np.swapaxes(wealth, -1, -2)
    whole, part = log_mean(swapped, ANGLE_WEIGHTS), log_mean(np.where(near[..., np.newaxis, :], swapped, -np.inf), ANGLE_WEIGHTS)
    many = (counts.sum(axis=-1)[..., np.newaxis] > FEW * people)[..., np.newaxis]
    found = np.where(many, part[..., np.newaxis, :], whole[..., np.newaxis, :])
    return np.where((people > 0)[..., np.newaxis], found, 0.0)


def log_evidence(strata: Sequence[Stratum], gains: Gains, null: float, direction: Direction) -> float:
    """Return the natural logarithm of the evidence that the variant lies beyond the null hypothesis in a direction.

    It is an e-value at every look: if the variant does not lie beyond it, the chance that it is ever above log(1 / alpha) is at
    most alpha. Strata are in the order of exposure. It needs the counts of now alone, not of earlier looks.
    """
    if not strata:
        return 0.0
    cells = np.array([each.cells for each in strata], dtype=np.float64)
    shares = np.array([each.share for each in strata])
    return float(log_evidence_by_day(cells, shares, gains, null, direction)[-1])


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
