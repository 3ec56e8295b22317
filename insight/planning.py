"""How many people an experiment needs: at a fixed horizon by formula, and looked at all along by simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from insight import sequential

CUT_SHORT = 4.0  # a simulated experiment is given up at so many times what a fixed horizon needs
BATCH = 200


@dataclass(frozen=True)
class Design:
    """An experiment to be: conversion rates (0.1 is ten percent) of the baseline and of a variant that is worth finding.

    `weights` are the baseline's and then each variant's, on any scale. A variant as good as `variant` is to be found with a
    probability of `power`; the chance of any wrong verdict is at most `alpha`. ValueError says what is wrong.
    """

    baseline: float
    variant: float
    weights: Sequence[float] = (1, 1)
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        for name, rate in (("baseline", self.baseline), ("variant", self.variant)):
            if not 0 < rate < 1:
                raise ValueError(f"the {name}'s conversion rate is {rate}; write it as a share, more than 0 and less than 1")
        if self.baseline == self.variant:
            raise ValueError(
                f"both rates are {self.baseline}; no number of people finds no difference: name the least that matters"
            )
        if len(self.weights) < 2 or not all(math.isfinite(weight) and weight > 0 for weight in self.weights):
            raise ValueError(f"the weights are {list(self.weights)}; give the baseline's and each variant's, all more than 0")
        if not (0 < self.alpha < 1 and self.alpha < self.power < 1):
            raise ValueError(f"alpha is {self.alpha} and power {self.power}; both are shares, and power is the larger")

    @property
    def shares(self) -> tuple[float, float]:
        """Of all people, those of the baseline, and of the variant that has the fewest."""
        return self.weights[0] / sum(self.weights), min(self.weights[1:]) / sum(self.weights)

    @property
    def critical(self) -> float:
        """How many standard errors a difference has to be, at one look."""
        return NormalDist().inv_cdf(1 - self.alpha / (len(self.weights) - 1) / 2)


def required_people(design: Design) -> int:
    """Return how many people, of all arms together, a fixed horizon needs for its power.

    Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (2003), 4.2, without a correction for continuity.
    """
    null, real = _spread(design)
    wanted = design.critical * null + NormalDist().inv_cdf(design.power) * real
    return math.ceil((wanted / (design.variant - design.baseline)) ** 2)


def power(design: Design, people: int) -> float:
    """Return with what probability so many people, of all arms together, find the difference at a fixed horizon."""
    null, real = _spread(design)
    return NormalDist().cdf((abs(design.variant - design.baseline) * math.sqrt(people) - design.critical * null) / real)


def _spread(design: Design) -> tuple[float, float]:
    """Return the standard error of the difference for one person of all arms, if there is none and if there is."""
    baseline, variant = design.shares
    both = (baseline * design.baseline + variant * design.variant) / (baseline + variant)
    null = math.sqrt(both * (1 - both) * (1 / baseline + 1 / variant))
    real = math.sqrt(design.baseline * (1 - design.baseline) / baseline + design.variant * (1 - design.variant) / variant)
    return null, real


@dataclass(frozen=True)
class RunLength:
    """How many people, of all arms together, pass until it is decided, if it is looked at all along.

    `mean` counts an experiment that is given up as being as long as it was. `by_power` is the number by which a share of `power`
    is decided, None if fewer ever were; `at_fixed` the share that is decided by what a fixed horizon would need.
    """

    mean: float
    by_power: int | None
    at_fixed: float
    decided: float
    simulated: int


def run_length(design: Design, *, looks: int = 100, runs: int = 1000, seed: int = 1) -> RunLength:
    """Simulate experiments that differ as designed, with so many looks each, and return how long they take."""
    chance, fixed = np.random.default_rng(seed), required_people(design)
    step = max(1, math.ceil(fixed * CUT_SHORT / looks))
    firsts = np.concatenate([_first_looks(design, step, looks, min(BATCH, runs - at), chance) for at in range(0, runs, BATCH)])
    ends = np.where(firsts < looks, firsts + 1, looks) * step
    ordered, share = np.sort(np.where(firsts < looks, ends, np.inf)), math.ceil(design.power * runs) - 1
    return RunLength(
        mean=float(ends.mean()),
        by_power=None if math.isinf(ordered[share]) else int(ordered[share]),
        at_fixed=float((ordered <= fixed).mean()),
        decided=float((firsts < looks).mean()),
        simulated=runs,
    )


def _first_looks(
    design: Design, step: int, looks: int, runs: int, chance: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the first look at which each of some experiments is decided, or how many looks there were."""
    baseline, variant = design.shares
    arms = chance.multinomial(step, (variant, baseline, max(0.0, 1 - variant - baseline)), size=(runs, looks))
    conversions = chance.binomial(arms[..., :2], (design.variant, design.baseline))
    cells = np.stack([conversions, arms[..., :2] - conversions], axis=-1).reshape(runs, looks, 4).astype(np.float64)
    direction: sequential.Direction = 1 if design.variant > design.baseline else -1
    shares = np.full(looks, variant / (variant + baseline))
    evidence = sequential.log_evidence_by_day(cells, shares, sequential.by_difference, 0.0, direction)
    found = evidence >= math.log(2 * (len(design.weights) - 1) / design.alpha)
    return np.where(found.any(axis=1), found.argmax(axis=1), looks)
