"""Which variant is a person given? A pure function of the experiment, its weights and the person."""

from __future__ import annotations

from collections.abc import Mapping

from workflows.clock import share


def variant(experiment: str, weights: Mapping[str, int], person: str) -> str:
    """Choose by weight, the same for the same person each time. The caller keeps the answer, so weights may change later."""
    point = share(f"{experiment}:{person}") * sum(weights.values())
    for name, weight in weights.items():
        if point < weight:
            return name
        point -= weight
    return [name for name, weight in weights.items() if weight][-1]
