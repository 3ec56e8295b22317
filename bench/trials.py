"""Experiments that are made up by chance, many at a time, and what the statistics say of them at every look."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from insight import fixed, sample_ratio, sequential
from insight.experiment import Cohort, Counts, Experiment, Tally
from insight.fixed import Arm
from insight.sequential import Direction, Gains, by_difference
from insight.wealth import log_mean

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.float64]

CRITICAL = NormalDist().inv_cdf(0.975)
AT_ONCE = 1000  # experiments: what they take of memory stays small
WEEK = np.array([1.1, 1.2, 1.1, 1.0, 0.9, 0.6, 0.7])


@dataclass(frozen=True)
class World:
    """What is true. `rates` are the baseline's and each variant's on the first day.

    From day to day they all are multiplied by what the season is then: a week that goes up and down, over a trend from 1 to
    `trend`. People come by chance, about `people` a day, by the same week. `weights` are those from each day on, and `assigned` how
    people come to arms in truth, if not by them.
    """

    rates: tuple[float, ...]
    weights: tuple[tuple[int, tuple[float, ...]], ...] = ((0, (1.0, 1.0)),)
    people: float = 500
    days: int = 56
    trend: float = 0.7
    seasonal: bool = True
    assigned: tuple[float, ...] | None = None

    @property
    def season(self) -> Numbers:
        week = WEEK[np.arange(self.days) % 7]
        season: Numbers = np.minimum(week * np.linspace(1, self.trend, self.days), 1 / max(self.rates))
        return season if self.seasonal else np.ones(self.days)

    @property
    def epochs(self) -> list[tuple[int, int, Numbers]]:
        """First day, day after the last, and each arm's share of people."""
        firsts = [first for first, _ in self.weights]
        ends = [*firsts[1:], self.days]
        return [(first, end, np.array(each) / sum(each)) for first, end, (_, each) in zip(firsts, ends, self.weights, strict=True)]


@dataclass(frozen=True)
class Trials:
    """Many experiments in one world: people and conversions of each experiment, day and arm."""

    world: World
    people: Integers
    conversions: Integers


def made_up(world: World, runs: int, chance: np.random.Generator) -> Iterator[Trials]:
    """Yield so many experiments, some at a time."""
    for at in range(0, runs, AT_ONCE):
        size = (min(AT_ONCE, runs - at), world.days)
        coming = chance.poisson(world.people * WEEK[np.arange(world.days) % 7] if world.seasonal else world.people, size)
        people = np.concatenate(
            [
                chance.multinomial(coming[:, first:end], share if world.assigned is None else np.array(world.assigned))
                for first, end, share in world.epochs
            ],
            axis=1,
        )
        conversions = chance.binomial(people, world.season[:, np.newaxis] * np.array(world.rates))
        yield Trials(world, people, conversions)


def log_evidence(trials: Trials, arm: int, direction: Direction, gains: Gains = by_difference, null: float = 0.0) -> Numbers:
    """Return the logarithm of each experiment's evidence on each day."""
    cells, shares = _cells(trials, arm)
    return sequential.log_evidence_by_day(cells, shares, gains, null, direction)


def _cells(trials: Trials, arm: int) -> tuple[Numbers, Numbers]:
    people, conversions = trials.people[..., [arm, 0]], trials.conversions[..., [arm, 0]]
    four = np.stack([conversions, people - conversions], axis=-1).astype(np.float64)
    share = [np.full(end - first, share[arm] / (share[arm] + share[0])) for first, end, share in trials.world.epochs]
    return four.reshape(*four.shape[:2], 4), np.concatenate(share)


def refuted(trials: Trials, arm: int, alpha: float, gains: Gains = by_difference, null: float = 0.0) -> Flags:
    """Say on which days the interval of which experiment leaves out a difference or a ratio; that of 0 or 1 is a verdict."""
    enough = math.log(2 / alpha)
    return (log_evidence(trials, arm, 1, gains, null) >= enough) | (log_evidence(trials, arm, -1, gains, null) >= enough)


def refuted_means(trials: Trials, arm: int, alpha: float) -> Flags:
    """Say on which days the interval leaves out the mean, over all people so far, of a difference that changes by the season."""
    world = trials.world
    coming = world.people * WEEK[np.arange(world.days) % 7]
    means = np.cumsum(coming * world.season * (world.rates[arm] - world.rates[0])) / np.cumsum(coming)
    days = [refuted(until(trials, day), arm, alpha, by_difference, float(mean))[:, -1] for day, mean in enumerate(means)]
    return np.stack(days, axis=1)


def _as_one_day(trials: Trials) -> Trials:
    people, conversions = (each.sum(axis=1, keepdims=True) for each in (trials.people, trials.conversions))
    return Trials(replace(trials.world, days=1), people, conversions)


def until(trials: Trials, day: int) -> Trials:
    """Return the experiments as they stood at the end of a day."""
    epochs = tuple((first, weights) for first, weights in trials.world.weights if first <= day)
    world = replace(trials.world, days=day + 1, weights=epochs)
    return Trials(world, trials.people[:, : day + 1], trials.conversions[:, : day + 1])


def ever(days: Flags) -> Flags:
    """Say for which experiments it was so on any day."""
    return np.asarray(days.any(axis=1))


def log_fault(trials: Trials) -> Numbers:
    """Return the logarithm of each experiment's evidence against its sample ratio on each day, with one set of weights."""
    ((_, _, share),) = trials.world.epochs
    return log_mean(np.cumsum(trials.people, axis=1) @ sample_ratio.factors(list(share)))


def totals(trials: Trials, arm: int) -> tuple[Arm, Arm]:
    """Return the variant's and the baseline's counts up to each day, whatever the epoch."""
    people, conversions = (np.cumsum(each, axis=1) for each in (trials.people, trials.conversions))
    return Arm(people[..., arm], conversions[..., arm]), Arm(people[..., 0], conversions[..., 0])


def rejected(trials: Trials, arm: int) -> Flags:
    """Say on which days the score method would decide; it is made for one."""
    return np.abs(fixed.score(*totals(trials, arm))) >= CRITICAL


def refuted_at_once(trials: Trials, alpha: float = 0.05, difference: float = 0.0) -> Flags:
    """Say for which experiments the fixed horizon's interval, at the end of the last day, leaves out a difference."""
    arms = [Arm(np.asarray(each.people)[:, -1], np.asarray(each.conversions)[:, -1]) for each in totals(trials, 1)]
    critical = NormalDist().inv_cdf(1 - alpha / 2)
    by_score = np.abs(fixed.score(*arms, difference=difference)) >= critical
    return np.where(fixed.enough(*arms), by_score, refuted(_as_one_day(trials), 1, alpha, by_difference, difference)[:, -1])


def as_experiment(trials: Trials, run: int, day: int, names: Sequence[str], alpha: float = 0.05) -> Experiment:
    """Return one experiment as it stood at the end of a day, as it is given to be read."""
    cohorts = []
    for first, end, share in trials.world.epochs:
        weights = dict(zip(names, map(float, share), strict=True))
        for each in range(first, min(end, day + 1)):
            counts = ((int(trials.people[run, each, arm]), int(trials.conversions[run, each, arm])) for arm in range(len(names)))
            arms = {name: Tally(people, Counts(people, reached)) for name, (people, reached) in zip(names, counts, strict=True)}
            cohorts.append(Cohort(weights, arms))
    return Experiment("made-up", names[0], cohorts, alpha)


def steady(world: World) -> World:
    """Return a world in which neither people nor rates change from day to day."""
    return replace(world, seasonal=False)
