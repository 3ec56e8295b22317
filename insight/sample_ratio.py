"""Whether as many people are in each arm as its weight says, by evidence that may be looked at after every person.

If they are not, people get lost or are chosen on the way, and no comparison of the arms means anything. As in `sequential`, the
evidence is the mean wealth of bettors, here of some who each hold that one arm has more or less than its share by some factor.
Lindon and Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insight.wealth import Numbers, log_mean

Epoch = tuple[Mapping[str, float], Mapping[str, int]]  # the arms' weights, on any scale, and their people

FAULTS = 0.0025 * 2.0 ** np.arange(11)  # by how much the logarithm of an arm's share is off


@dataclass(frozen=True)
class SampleRatio:
    """The always-valid p-value of people coming to the arms by their weights; by arm, its people and how many were expected."""

    p_value: float
    people: Mapping[str, tuple[int, float]]


def factors(weights: Sequence[float]) -> Numbers:
    """Return the logarithm of what a person of each arm (rows) multiplies each bettor's wealth by (columns); no weight may be 0."""
    expected = np.asarray(weights, dtype=np.float64) / sum(weights)
    held = np.concatenate(
        [expected * np.exp(fault * arm) for fault in (*FAULTS, *-FAULTS) for arm in np.eye(len(weights))[:, None]]
    )
    table: Numbers = np.log(held / held.sum(axis=1, keepdims=True) / expected).T
    return table


def log_evidence(epochs: Sequence[Epoch]) -> float:
    """Return the natural logarithm of the evidence that people are not in the arms by their weights.

    If they are, the chance that it is ever above log(1 / alpha) is at most alpha, at whatever moments the weights were changed.
    Somebody in an arm of no weight is beyond doubt.

    Half of the evidence holds each arm's fault to be the same in all epochs, the other half to be another one in each.
    """
    if any(count and not weights.get(arm, 0) for weights, counts in epochs for arm, count in counts.items()):
        return math.inf
    arms = sorted({arm for weights, _ in epochs for arm in weights})
    apart, together = 0.0, np.zeros(2 * len(FAULTS) * len(arms))
    for weights, counts in epochs:
        there = [arm for arm in arms if weights.get(arm, 0)]
        wealth = np.array([counts.get(arm, 0) for arm in there]) @ factors([weights[arm] for arm in there])
        apart += float(log_mean(wealth))
        columns = np.isin(np.tile(arms, 2 * len(FAULTS)), there)  # who bets on an arm that is not there does not bet
        together[columns] += wealth
    return float(np.logaddexp(apart, log_mean(together)) - math.log(2))


def check(cohorts: Sequence[Epoch]) -> SampleRatio:
    """Return how well the people in the arms fit the weights. Cohorts of the same weights are put together."""
    epochs = _merged(cohorts)
    seen: dict[str, tuple[int, float]] = {}
    for weights, counts in epochs:
        total, whole = sum(counts.values()), sum(weights.values())
        for arm in sorted({*weights, *counts}):
            people, expected = seen.get(arm, (0, 0.0))
            seen[arm] = people + counts.get(arm, 0), expected + total * weights.get(arm, 0.0) / whole
    return SampleRatio(math.exp(-max(log_evidence(epochs), 0.0)), seen)


def _merged(cohorts: Sequence[Epoch]) -> list[Epoch]:
    merged: dict[frozenset[tuple[str, float]], tuple[Mapping[str, float], Counter[str]]] = {}
    for weights, counts in cohorts:
        whole = sum(weights.values())
        scaled = frozenset((arm, round(weight / whole, 12)) for arm, weight in weights.items() if weight)
        merged.setdefault(scaled, (weights, Counter()))[1].update(counts)
    return list(merged.values())
