"""What may be read out of an experiment today: each variant beside the baseline, or why nothing may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from insight import sentences
from insight.comparison import Comparison, Verdict, compare, compare_once, harm_p_value
from insight.experiment import NOBODY, Counts, Experiment, Tally, check
from insight.sample_ratio import SampleRatio
from insight.sample_ratio import check as check_ratio
from insight.sequential import Stratum

SAMPLE_RATIO_ALPHA = 0.01  # the chance that a sound experiment is ever blocked
Status = Literal["sample_ratio", "weights_changed", "too_early", "read"]


@dataclass(frozen=True)
class Guardrail:
    """Whether a variant does harm: its p-value, always valid, one-sided, corrected for all variants and guardrails."""

    name: str
    variant: Counts
    baseline: Counts
    p_value: float
    harm: bool
    sentence: str


@dataclass(frozen=True)
class Reading:
    """A variant beside the baseline. `goal` and `comparison` are None where nothing may be read; guardrails may at any time."""

    arm: str
    verdict: Verdict | Literal["unread"]
    goal: Counts | None
    comparison: Comparison | None
    guardrails: tuple[Guardrail, ...]
    sentence: str


@dataclass(frozen=True)
class ReadOut:
    """What may be read, with a sentence for each part. It only tells: nothing is promoted by it.

    `missing` is how many people's windows have to close before a fixed horizon is read; `sample_ratio` the p-value, always valid,
    of the arms having the people that their weights say.
    """

    status: Status
    sentence: str
    missing: int
    sample_ratio: float
    baseline: Counts | None
    variants: tuple[Reading, ...]


def read_out(experiment: Experiment) -> ReadOut:
    """Say what the counts of now allow to be said.

    The sample ratio comes first: where it is at fault, nothing else is read. ValueError says what is wrong with the counts.
    """
    check(experiment)
    whose, found = sample_ratios(experiment)
    ratio = found.p_value
    if ratio <= SAMPLE_RATIO_ALPHA:
        return _unread(experiment, "sample_ratio", sentences.fault(whose, found), ratio, guardrails=False)
    counted = sum(experiment.counts(arm).people for arm in experiment.arms)
    if experiment.horizon is not None:
        if len({_scaled(cohort.weights) for cohort in experiment.cohorts}) > 1:
            return _unread(experiment, "weights_changed", sentences.WEIGHTS_CHANGED, ratio)
        if missing := experiment.horizon - counted:
            return _unread(experiment, "too_early", sentences.missing(missing, experiment.horizon), ratio, missing)
    readings = tuple(_reading(experiment, arm) for arm in experiment.arms[1:])
    if all(each.comparison is None for each in readings):
        return _unread(experiment, "too_early", sentences.NOBODY_YET, ratio)
    decided = [each.arm for each in readings if each.verdict in ("better", "worse")]
    said = sentences.decided(decided, counted, experiment.baseline)
    return ReadOut("read", said, 0, ratio, experiment.counts(experiment.baseline), readings)


def sample_ratios(experiment: Experiment) -> tuple[str, SampleRatio]:
    """Return whose numbers by arm fit the weights worst, and how badly: all exposed, or those whose window has closed.

    The windows are the goal's and each guardrail's. People whose window has closed are the first of the exposed, so the promise
    that covers every look covers all of these.
    """
    names = ("exposed", "counted for the goal", *(f"counted for {name}" for name in experiment.guardrails))
    found = [
        check_ratio(
            [(cohort.weights, {arm: _people(tally)[look] for arm, tally in cohort.arms.items()}) for cohort in experiment.cohorts]
        )
        for look in range(len(names))
    ]
    return min(zip(names, found, strict=True), key=lambda each: each[1].p_value)


def _people(tally: Tally) -> list[int]:
    return [tally.exposed, tally.goal.people, *(tally.guardrails[name].people for name in sorted(tally.guardrails))]


def strata(experiment: Experiment, arm: str, guardrail: str | None = None) -> list[Stratum]:
    """Return the cohorts for which a variant and the baseline both had weight, with the counts of the goal or of a guardrail."""
    found = []
    for cohort in experiment.cohorts:
        mine, other = (cohort.weights.get(each, 0.0) for each in (arm, experiment.baseline))
        if mine and other:
            variant, baseline = (_counts(cohort.arms.get(each), guardrail) for each in (arm, experiment.baseline))
            found.append(Stratum(mine / (mine + other), variant.people, variant.reached, baseline.people, baseline.reached))
    return found


def _counts(tally: Tally | None, guardrail: str | None) -> Counts:
    if tally is None:
        return NOBODY
    return tally.goal if guardrail is None else tally.guardrails.get(guardrail, NOBODY)


def _reading(experiment: Experiment, arm: str) -> Reading:
    parts, variants, goal = strata(experiment, arm), len(experiment.arms) - 1, experiment.counts(arm)
    if experiment.horizon is not None and parts:
        whole = Stratum(parts[0].share, *(sum(column) for column in zip(*(_columns(each) for each in parts), strict=True)))
        comparison = compare_once(whole, experiment.alpha, variants)
    else:
        comparison = compare(parts, experiment.alpha, variants)
    guardrails = _guardrails(experiment, arm)
    if comparison is None:
        return Reading(arm, "unread", None, None, guardrails, sentences.not_beside(arm, experiment.baseline))
    return Reading(arm, comparison.verdict, goal, comparison, guardrails, sentences.compared(arm, experiment.baseline, comparison))


def _columns(stratum: Stratum) -> tuple[int, int, int, int]:
    return stratum.variant_people, stratum.variant_conversions, stratum.baseline_people, stratum.baseline_conversions


def _guardrails(experiment: Experiment, arm: str) -> tuple[Guardrail, ...]:
    questions = len(experiment.guardrails) * (len(experiment.arms) - 1)
    return tuple(_guardrail(experiment, arm, name, questions) for name in experiment.guardrails)


def _guardrail(experiment: Experiment, arm: str, name: str, questions: int) -> Guardrail:
    parts = strata(experiment, arm, name)
    variant = Counts(sum(each.variant_people for each in parts), sum(each.variant_conversions for each in parts))
    baseline = Counts(sum(each.baseline_people for each in parts), sum(each.baseline_conversions for each in parts))
    p_value = harm_p_value(parts, questions)
    harm = p_value <= experiment.alpha
    said = sentences.guarded(name, arm, experiment.baseline, _rate(variant), _rate(baseline), p_value, harm)
    return Guardrail(name, variant, baseline, p_value, harm, said)


def _rate(counts: Counts) -> float | None:
    return counts.reached / counts.people if counts.people else None


def _unread(
    experiment: Experiment, status: Status, sentence: str, ratio: float, missing: int = 0, guardrails: bool = True
) -> ReadOut:
    readings = tuple(
        Reading(arm, "unread", None, None, _guardrails(experiment, arm) if guardrails else (), sentence)
        for arm in experiment.arms[1:]
    )
    return ReadOut(status, sentence, missing, ratio, None, readings)


def _scaled(weights: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    whole = sum(weights.values())
    return frozenset((arm, round(weight / whole, 12)) for arm, weight in weights.items() if weight)
