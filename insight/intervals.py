"""The ends of an interval: what a test does not refute. Places run from 0, the least that could be, to 1, the most."""

from __future__ import annotations

import math
from collections.abc import Callable

HALVINGS = 60


def as_difference(place: float) -> float:
    """Return the difference at a place, from -1 to 1: none is in the middle."""
    return 2 * place - 1


def as_ratio(place: float) -> float:
    """Return the ratio at a place, from 0 to infinity: 1 is in the middle, and a ratio and its inverse are as far from it."""
    if place <= 0.5:
        return 2 * place
    return 0.5 / (1 - place) if place < 1 else math.inf


def low_end(refuted: Callable[[float], bool]) -> float:
    """Return the last place below which all is refuted; what is refuted there has to be so everywhere below."""
    below, above = 0.0, 1.0
    if not refuted(below):
        return below
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        below, above = (middle, above) if refuted(middle) else (below, middle)
    return below


def high_end(refuted: Callable[[float], bool]) -> float:
    """Return the first place above which all is refuted."""
    return 1 - low_end(lambda place: refuted(1 - place))
