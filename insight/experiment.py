"""What is known of an experiment: how many people are in its arms, and how many of them did what is counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Counts:
    """How many people's window has closed, and how many of those did what is counted in it. One person counts once."""

    people: int
    reached: int


NOBODY = Counts(0, 0)


@dataclass(frozen=True)
class Tally:
    """An arm's people of one cohort: exposed, the goal's counts, and those of each guardrail by its name."""

    exposed: int
    goal: Counts
    guardrails: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """The people who were first exposed on one day, and assigned under one set of weights.

    Weights are those at the assignment, on any scale; an arm that is not among them has none.
    """

    weights: Mapping[str, float]
    arms: Mapping[str, Tally]


@dataclass(frozen=True)
class Experiment:
    """What is known of an experiment. All arms are compared with the baseline.

    `cohorts` are in the order of their days. People of one are compared with each other, and what they did is expected of the next.

    `horizon` is the declared number of people, of all arms together, for one look; without it any look is as good as another. The
    goal's counts are then those of the first so many people in the order of their first exposure, and no more.

    All variants that there will be are named from the beginning, those of later with weight 0: it is their number that is
    corrected for.
    """

    name: str
    baseline: str
    cohorts: Sequence[Cohort]
    alpha: float = 0.05
    horizon: int | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """The baseline, then the variants in the order of their names."""
        named = {arm for cohort in self.cohorts for arm in (*cohort.weights, *cohort.arms)}
        return self.baseline, *sorted(named - {self.baseline})

    @property
    def guardrails(self) -> tuple[str, ...]:
        """What is guarded, by name."""
        return tuple(sorted({name for cohort in self.cohorts for tally in cohort.arms.values() for name in tally.guardrails}))

    def counts(self, arm: str) -> Counts:
        """The goal's, over all cohorts."""
        found = [cohort.arms[arm].goal for cohort in self.cohorts if arm in cohort.arms]
        return Counts(sum(each.people for each in found), sum(each.reached for each in found))


def check(experiment: Experiment) -> None:
    """Raise ValueError, with what to do, for what can be no experiment's counts."""
    where = f"experiment {experiment.name!r}"
    if not 0 < experiment.alpha < 1:
        raise ValueError(
            f"{where}: alpha is {experiment.alpha}; it is a chance of error, more than 0 and less than 1, such as 0.05"
        )
    if len(experiment.arms) < 2:
        raise ValueError(f"{where} has no arm beside its baseline {experiment.baseline!r}; give it one to compare")
    if not any(cohort.weights.get(experiment.baseline, 0) for cohort in experiment.cohorts):
        raise ValueError(f"{where}: its baseline {experiment.baseline!r} never had any weight; name an arm that had")
    for number, cohort in enumerate(experiment.cohorts, 1):
        _check_cohort(f"{where}, cohort {number}", cohort, experiment.guardrails)
    counted = sum(experiment.counts(arm).people for arm in experiment.arms)
    if experiment.horizon is not None and experiment.horizon < 1:
        raise ValueError(f"{where}: its horizon is {experiment.horizon} people; declare at least one, or none to look at any time")
    if experiment.horizon is not None and counted > experiment.horizon:
        raise ValueError(
            f"{where} is declared to be read at {experiment.horizon} people, and the counts are of {counted}; "
            "count the first by their exposure alone, since a later look is another test"
        )


def _check_cohort(where: str, cohort: Cohort, guardrails: Sequence[str]) -> None:
    for arm, weight in cohort.weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"{where}: arm {arm!r} has weight {weight}; a weight is a number from 0")
    if not any(cohort.weights.values()):
        raise ValueError(f"{where}: no arm has any weight; leave the cohort out, or give the weights that people were assigned by")
    for arm, tally in cohort.arms.items():
        if left_out := sorted(set(guardrails) - set(tally.guardrails)):
            raise ValueError(f"{where}, arm {arm!r}: its {', '.join(left_out)} is not counted; count every guardrail in every arm")
        for name, counts in (("the goal", tally.goal), *tally.guardrails.items()):
            if not 0 <= counts.reached <= counts.people <= tally.exposed:
                raise ValueError(
                    f"{where}, arm {arm!r}, {name}: {tally.exposed} exposed, {counts.people} whose window has closed, "
                    f"{counts.reached} who did it; each is among those before it, so count people, not messages"
                )
