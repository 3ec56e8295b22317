"""The sample ratio: are people in the arms by their weights?"""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from insight import sample_ratio
from insight.sample_ratio import Epoch


def average_evidence(weights: list[dict[str, float]], really: list[dict[str, float]]) -> float:
    """Go through every way in which people may come to arms, one in each of some epochs, or more of the same."""
    whole = 0.0
    for lot in itertools.product(*(sorted(each) for each in really)):
        chance = math.prod(share[arm] for share, arm in zip(really, lot, strict=True))
        whole += chance * math.exp(sample_ratio.log_evidence(epochs(weights, lot)))
    return whole


def epochs(weights: list[dict[str, float]], lot: tuple[str, ...]) -> list[Epoch]:
    found: list[tuple[dict[str, float], Counter[str]]] = []
    for each, arm in zip(weights, lot, strict=True):
        if not found or found[-1][0] != each:
            found.append((each, Counter()))
        found[-1][1][arm] += 1
    return list(found)


THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
MOSTLY = {"a": 0.7, "b": 0.2, "c": 0.1}
WITHOUT = {"a": 0.5, "b": 0.5}


def test_evidence_is_worth_one_on_average_if_people_come_by_the_weights_though_these_change() -> None:
    weights = [THIRDS] * 3 + [MOSTLY] * 2 + [WITHOUT] * 2
    assert average_evidence(weights, weights) == pytest.approx(1, abs=1e-12)


def test_evidence_is_worth_more_if_they_come_otherwise() -> None:
    assert average_evidence([THIRDS] * 6, [MOSTLY] * 6) > 1.1


@pytest.mark.parametrize(
    ("people", "expected"),
    [({"a": 5_000, "b": 5_000}, "sound"), ({"a": 5_080, "b": 4_920}, "sound"), ({"a": 10_400, "b": 9_600}, "fault")],
)
def test_52_to_48_is_a_fault_and_what_chance_does_is_not(people: dict[str, int], expected: str) -> None:
    found = sample_ratio.check([({"a": 1, "b": 1}, people)])
    assert (found.p_value <= 0.01) == (expected == "fault")


def test_weights_that_change_are_each_held_to_their_own_time() -> None:
    early, late = ({"a": 9.0, "b": 1.0}, {"a": 9_010, "b": 990}), ({"a": 1.0, "b": 1.0}, {"a": 5_010, "b": 4_990})
    assert sample_ratio.check([early, late]).p_value == 1
    thrown_together = ({"a": 1.0, "b": 1.0}, {"a": 14_020, "b": 5_980})
    assert sample_ratio.check([thrown_together]).p_value < 1e-9
    assert sample_ratio.check([early, ({"a": 1.0, "b": 1.0}, {"a": 9_010, "b": 990})]).p_value < 1e-9


def changing(odds: float, last: float = 1.0) -> list[Epoch]:
    """Return ten epochs with other weights in each, and 2,000 people whose odds of the first arm are so many times the weights'."""
    epochs: list[Epoch] = []
    for weight in range(1, 11):
        really = weight * odds * (last if weight == 10 else 1)
        first = round(2_000 * really / (really + 1))
        epochs.append(({"a": weight, "b": 1}, {"a": first, "b": 2_000 - first}))
    return epochs


def test_a_fault_that_goes_through_many_epochs_adds_up() -> None:
    faulty = changing(1.12)
    assert all(sample_ratio.check([each]).p_value > 0.2 for each in faulty)
    assert sample_ratio.check(faulty).p_value < 0.01
    assert sample_ratio.check(changing(1)).p_value == 1


def test_a_fault_of_one_epoch_is_not_lost_among_many() -> None:
    assert sample_ratio.check(changing(1, last=0.6)).p_value < 0.01


def test_days_of_the_same_weights_are_put_together() -> None:
    day = ({"a": 1.0, "b": 1.0}, {"a": 104, "b": 96})
    assert sample_ratio.check([day] * 100) == sample_ratio.check([({"a": 5, "b": 5}, {"a": 10_400, "b": 9_600})])
    assert sample_ratio.check([day] * 100).p_value < 0.01


def test_somebody_in_an_arm_without_weight_is_a_fault() -> None:
    assert sample_ratio.check([({"a": 1, "b": 1, "c": 0}, {"a": 50, "b": 50, "c": 1})]).p_value == 0
    assert sample_ratio.check([({"a": 1, "b": 1}, {"a": 50, "b": 50, "c": 1})]).p_value == 0


def test_it_tells_how_many_people_were_expected() -> None:
    found = sample_ratio.check([({"a": 3, "b": 1}, {"a": 70, "b": 30}), ({"a": 1}, {"a": 10})])
    assert found.people == {"a": (80, 85.0), "b": (30, 25.0)}
