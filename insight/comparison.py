"""A variant beside its baseline: how different, how surely, and whether that is decided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from insight import fixed, sequential
from insight.fixed import Arm
from insight.sequential import Stratum

Verdict = Literal["better", "worse", "undecided"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Differences are absolute (0.02 is two points) and lifts relative (0.2 is a fifth more), of the variant from the baseline.

    `lift` is None while nobody of the baseline has converted, the upper end of its interval while there is none. `p_value` is
    corrected for the number of variants, as the intervals are: it is at most `alpha` exactly if they leave out 0.
    """

    difference: float
    difference_interval: Interval
    lift: float | None
    lift_interval: tuple[float, float | None]
    p_value: float
    alpha: float
    always_valid: bool

    @property
    def verdict(self) -> Verdict:
        """What has been decided; for the default it holds at every look."""
        if self.p_value > self.alpha:
            return "undecided"
        return "better" if self.difference > 0 else "worse"


def compare(strata: Sequence[Stratum], alpha: float = 0.05, variants: int = 1) -> Comparison | None:
    """Compare by evidence that may be looked at any day; None before both arms have somebody.

    Strata are in the order of their days; people of one are compared with each other only. Ask the sample ratio first: it has to be
    chance that puts people into arms. Over all `variants` of an experiment, each compared with the same baseline, the chance that
    any verdict is ever wrong, or any interval ever leaves out what is true, is at most `alpha` (Bonferroni).
    """
    both = [each for each in strata if each.variant_people and each.baseline_people]
    if not both:
        return None
    difference, ratio = _pooled(both)
    low, high = sequential.difference_interval(strata, alpha / variants)
    ratio_low, ratio_high = sequential.ratio_interval(strata, alpha / variants)
    p_value = sequential.p_value(strata, 1 if difference > 0 else -1) if difference else 1.0
    if low > high or ratio_low > ratio_high:  # all is refuted, so it is not by their weights that people are in the arms
        (low, high), (ratio_low, ratio_high), p_value = (-1.0, 1.0), (0.0, math.inf), 1.0
    return _comparison(difference, (low, high), ratio, (ratio_low, ratio_high), p_value, alpha, variants, always_valid=True)


def harm_p_value(strata: Sequence[Stratum], questions: int = 1) -> float:
    """Return the always-valid p-value, one-sided, of the variant having no more of some harm than the baseline.

    It is corrected for the number of questions that are asked so: variants times guardrails.
    """
    both = [each for each in strata if each.variant_people and each.baseline_people]
    if not both or _pooled(both)[0] <= 0:
        return 1.0
    return min(1.0, sequential.harm_p_value(strata) * questions)


def compare_once(stratum: Stratum, alpha: float = 0.05, variants: int = 1) -> Comparison | None:
    """Compare at the one look of a fixed horizon; None if an arm has nobody.

    With too few conversions for the score method, the always-valid evidence is taken, which holds at this look as at any.
    """
    variant = Arm(stratum.variant_people, stratum.variant_conversions)
    baseline = Arm(stratum.baseline_people, stratum.baseline_conversions)
    if not (stratum.variant_people and stratum.baseline_people and fixed.enough(variant, baseline)):
        return compare([stratum], alpha, variants)
    difference, ratio = _pooled([stratum])
    between = fixed.difference_interval(variant, baseline, alpha / variants)
    between_ratios = fixed.ratio_interval(variant, baseline, alpha / variants)
    p_value = fixed.p_value(variant, baseline)
    return _comparison(difference, between, ratio, between_ratios, p_value, alpha, variants, always_valid=False)


def _pooled(strata: Sequence[Stratum]) -> tuple[float, float | None]:
    """Return the difference and the ratio by Mantel and Haenszel's weights: rates are compared within one set of weights only."""
    more = less = weight = 0.0
    for share in sorted({round(each.share, 12) for each in strata}):
        cells = (each.cells for each in strata if round(each.share, 12) == share)
        converted, not_converted, other, not_other = (sum(column) for column in zip(*cells, strict=True))
        mine, baseline = converted + not_converted, other + not_other
        more += converted * baseline / (mine + baseline)
        less += other * mine / (mine + baseline)
        weight += mine * baseline / (mine + baseline)
    return (more - less) / weight, more / less if less else None


def _comparison(
    difference: float,
    between: Interval,
    ratio: float | None,
    ratios: Interval,
    p_value: float,
    alpha: float,
    variants: int,
    *,
    always_valid: bool,
) -> Comparison:
    """Put it together. An interval that would leave out the estimate is widened to it: it promises no less."""
    seen = math.inf if ratio is None else ratio
    high = max(ratios[1], seen if difference or ratio else 1.0)
    return Comparison(
        difference=difference,
        difference_interval=(min(between[0], difference), max(between[1], difference)),
        lift=None if ratio is None else ratio - 1,
        lift_interval=(min(ratios[0], seen) - 1, None if math.isinf(high) else high - 1),
        p_value=min(1.0, p_value * variants),
        alpha=alpha,
        always_valid=always_valid,
    )
