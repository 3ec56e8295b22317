"""What a read-out says in words."""

from __future__ import annotations

from collections.abc import Sequence

from insight.comparison import Comparison
from insight.sample_ratio import SampleRatio

WEIGHTS_CHANGED = (
    "The weights were changed, and a fixed horizon holds for one set of weights only: read it without a horizon, as may be done at "
    "any time, or begin a new experiment."
)
NOBODY_YET = "Nobody's window has closed yet in two arms that could be compared."


def percent(share: float, sign: bool = False) -> str:
    """Write a share as percent, to three figures."""
    number = f"{100 * share:.3g}" if abs(share) < 10 else f"{100 * share:.0f}"
    return f"{'+' if sign and share > 0 else ''}{number} %"


def points(share: float) -> str:
    """Write a difference of shares as points of percent, to three figures."""
    return f"{100 * share:+.3g}"


def small(p_value: float) -> str:
    """Write a p-value."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def fault(whose: str, found: SampleRatio) -> str:
    """Say that the arms have not the people that their weights say."""
    said = "; ".join(f"{arm} has {people:,} for {expected:,.0f}" for arm, (people, expected) in found.people.items())
    return (
        f"The people {whose} are not in the arms by their weights ({said}; {small(found.p_value)}): some are lost or chosen on the "
        "way, so nothing is read. Look for what one arm alone does before that: eligibility, an error, a fallback, a filter."
    )


def missing(people: int, horizon: int) -> str:
    """Say how far it is to a fixed horizon."""
    return f"Too early: {people:,} of the {horizon:,} declared people are missing, and nothing is read before."


def decided(arms: Sequence[str], people: int, baseline: str) -> str:
    """Say for how many arms it is decided."""
    if not arms:
        return f"Undecided after {people:,} people: no variant differs from {baseline} beyond chance yet."
    return f"Decided after {people:,} people: {', '.join(arms)}."


def not_beside(arm: str, baseline: str) -> str:
    """Say that an arm has nobody to be compared with."""
    return f"{arm}: nobody's window has closed yet in a time in which both it and {baseline} had weight."


def compared(arm: str, baseline: str, found: Comparison) -> str:
    """Say what a comparison has found."""
    low, high = found.difference_interval
    seen = f"{points(found.difference)} points ({points(low)} to {points(high)})"
    if found.lift is not None:
        least, most = found.lift_interval
        upper = "no limit" if most is None else percent(most, sign=True)
        seen += f", a lift of {percent(found.lift, sign=True)} ({percent(least, sign=True)} to {upper})"
    verdict = {
        "better": f"{arm} converts more than {baseline}",
        "worse": f"{arm} converts less than {baseline}",
        "undecided": f"{arm} is not decided against {baseline}",
    }[found.verdict]
    return f"{verdict}: {seen}, {small(found.p_value)}."


def guarded(name: str, arm: str, baseline: str, variant: float | None, other: float | None, p_value: float, harm: bool) -> str:
    """Say what a guardrail has found; rates are None where there is nobody."""
    if variant is None or other is None:
        return f"{name}: nobody to compare {arm} and {baseline} by yet."
    rates = f"{percent(variant)} against {percent(other)} of {baseline}, {small(p_value)}"
    return f"{name}: {arm} does harm, {rates}." if harm else f"{name}: no harm of {arm} is shown, {rates}."
