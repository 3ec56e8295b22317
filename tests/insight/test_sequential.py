"""The evidence of a comparison at any look: worth 1 on average under its null hypothesis, whoever comes; and its intervals."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insight import sequential
from insight.comparison import compare, harm_p_value
from insight.sequential import Gains, Stratum, by_difference, by_ratio, log_evidence

Person = tuple[int, float, float, float]  # the day; the variant's share; their chance to convert in it, and in the baseline

RISING = [(1, 0.5, 0.1, 0.1), (2, 0.5, 0.4, 0.4), (2, 0.5, 0.9, 0.9), (3, 0.8, 0.02, 0.02), (3, 0.8, 0.6, 0.6)]
APART = [(1, 0.3, 0.35, 0.15), (1, 0.3, 0.9, 0.7), (2, 0.5, 0.2, 0.0), (3, 0.5, 1.0, 0.8), (3, 0.5, 0.5, 0.3)]
TRIPLED = [(1, 0.5, 0.3, 0.1), (1, 0.5, 0.03, 0.01), (2, 0.5, 0.99, 0.33), (3, 0.1, 0.6, 0.2), (4, 0.1, 0.06, 0.02)]
THIRD = [(day, share, other, mine) for day, share, mine, other in TRIPLED]
TRUE = pytest.mark.parametrize(
    ("people", "gains", "null"),
    [
        (RISING, by_difference, 0.0),
        (RISING, by_ratio, 1.0),
        (APART, by_difference, 0.2),
        (TRIPLED, by_ratio, 3.0),
        (THIRD, by_ratio, 1 / 3),
    ],
    ids=["no difference", "ratio 1", "twenty points", "three times", "a third"],
)
BOTH = pytest.mark.parametrize("direction", [1, -1])


def average_evidence(people: list[Person], gains: Gains, null: float, direction: sequential.Direction) -> float:
    """Go through everything that may happen to some people, each with its probability."""
    whole = 0.0
    for lot in itertools.product(((True, True), (True, False), (False, True), (False, False)), repeat=len(people)):
        chance = 1.0
        for (_, share, mine, other), (in_variant, converts) in zip(people, lot, strict=True):
            rate = mine if in_variant else other
            chance *= (share if in_variant else 1 - share) * (rate if converts else 1 - rate)
        if chance:
            whole += chance * math.exp(log_evidence(counted(people, lot), gains, null, direction))
    return whole


def counted(people: list[Person], lot: tuple[tuple[bool, bool], ...]) -> list[Stratum]:
    strata = []
    for day, share in sorted({(day, share) for day, share, _, _ in people}):
        here = [each for (when, _, _, _), each in zip(people, lot, strict=True) if when == day]
        mine, other = ([converts for in_variant, converts in here if in_variant == arm] for arm in (True, False))
        strata.append(Stratum(share, len(mine), sum(mine), len(other), sum(other)))
    return strata


@pytest.fixture
def many_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the first of these few people for few."""
    monkeypatch.setattr(sequential, "FEW", 1.0)


@BOTH
@TRUE
@pytest.mark.usefixtures("many_later")
def test_evidence_is_worth_one_on_average_if_its_null_hypothesis_is_true_though_rates_and_weights_change(
    people: list[Person], gains: Gains, null: float, direction: sequential.Direction
) -> None:
    assert average_evidence(people, gains, null, direction) == pytest.approx(1, abs=1e-12)


@BOTH
@TRUE
def test_it_is_worth_less_while_the_first_day_has_many_of_the_people(
    people: list[Person], gains: Gains, null: float, direction: sequential.Direction
) -> None:
    assert 0.1 < average_evidence(people, gains, null, direction) < 1


@pytest.mark.usefixtures("many_later")
def test_evidence_for_more_is_worth_less_if_there_is_less() -> None:
    assert average_evidence(APART, by_difference, 0.25, 1) < 1 < average_evidence(APART, by_difference, 0.15, 1)
    assert average_evidence(TRIPLED, by_ratio, 4.0, 1) < 1 < average_evidence(TRIPLED, by_ratio, 2.0, 1)


@pytest.mark.usefixtures("many_later")
def test_evidence_is_the_mean_of_what_bettors_have_after_person_upon_person() -> None:
    first, second, null = Stratum(0.3, 40, 9, 90, 12), Stratum(0.6, 70, 20, 50, 11), 0.05
    learnt = (9.5 / 41 + 12.5 / 91) / 2
    mean = weights = 0.0
    for angle, much in zip(sequential.ANGLES, sequential.ANGLE_WEIGHTS, strict=True):
        for effect, often in zip(sequential.EFFECTS, sequential.EFFECT_WEIGHTS, strict=True):
            wealth = bet_on(first, math.sin(angle) ** 2, effect, null) * bet_on(second, learnt, effect, null)
            mean, weights = mean + much * often * wealth, weights + much * often
    assert log_evidence([first, second], by_difference, null, 1) == pytest.approx(math.log(mean / weights), abs=1e-9)


def bet_on(stratum: Stratum, middle: float, effect: float, null: float) -> float:
    share, wealth = stratum.share, 1.0
    bet = min(effect * share * (1 - share), 0.999 * min(share, 1 - share))
    centre = min(max(middle, null / 2), 1 - null / 2)
    for person in range(stratum.variant_people):
        wealth *= 1 + bet * ((person < stratum.variant_conversions) - centre - null / 2) / share
    for person in range(stratum.baseline_people):
        wealth *= 1 - bet * ((person < stratum.baseline_conversions) - centre + null / 2) / (1 - share)
    return wealth


def test_a_sample_ratio_that_is_off_is_no_evidence_of_a_difference() -> None:
    days = [Stratum(0.5, 540, 54, 460, 46)] * 30
    for direction in (1, -1):
        assert log_evidence(days, by_difference, 0.0, direction) < 0.5


def test_a_day_without_anybody_changes_nothing() -> None:
    days, nobody = [Stratum(0.5, 100, 12, 90, 9), Stratum(0.5, 80, 9, 100, 11)], Stratum(0.5, 0, 0, 0, 0)
    found = log_evidence(days, by_difference, 0.01, 1)
    assert log_evidence([nobody, days[0], nobody, days[1], nobody], by_difference, 0.01, 1) == pytest.approx(found)
    assert log_evidence([nobody], by_difference, 0.0, 1) == pytest.approx(0)


shares = st.sampled_from([0.05, 0.2, 0.5, 0.8, 0.95])


@st.composite
def stratum(draw: st.DrawFn) -> Stratum:
    share, people, rates = draw(shares), draw(st.integers(2, 200_000)), (draw(st.floats(0, 1)), draw(st.floats(0, 1)))
    mine = max(1, min(people - 1, round(share * people * draw(st.floats(0.5, 1.5)))))
    return Stratum(share, mine, round(mine * rates[0]), people - mine, round((people - mine) * rates[1]))


some = st.lists(stratum(), min_size=1, max_size=4)


@given(some, st.sampled_from([0.2, 0.05, 0.001]))
def test_the_verdict_the_p_value_and_both_intervals_say_the_same(strata: list[Stratum], alpha: float) -> None:
    found = compare(strata, alpha)
    assert found is not None
    low, high = found.difference_interval
    least, most = found.lift_interval
    assert -1 <= low <= found.difference <= high <= 1
    assert found.lift is None or (least <= found.lift and (most is None or found.lift <= most))
    tiny = 1e-12
    assert (found.verdict == "better") == (low >= -tiny and found.p_value <= alpha) == (least >= -tiny and found.p_value <= alpha)
    assert (found.verdict == "worse") == (high <= tiny and found.p_value <= alpha)
    assert found.verdict == "better" or low < 0 or found.difference <= 0 or found.p_value > alpha


@given(some)
def test_an_interval_that_promises_less_is_inside_one_that_promises_more(strata: list[Stratum]) -> None:
    (low, high), (lower, higher) = (sequential.difference_interval(strata, alpha) for alpha in (0.1, 0.01))
    (least, most), (less, more) = (sequential.ratio_interval(strata, alpha) for alpha in (0.1, 0.01))
    assert lower <= low
    assert high <= higher
    assert less <= least
    assert most <= more


@given(some)
def test_arms_that_change_places_change_the_sign(strata: list[Stratum]) -> None:
    turned = [
        Stratum(1 - each.share, each.baseline_people, each.baseline_conversions, each.variant_people, each.variant_conversions)
        for each in strata
    ]
    low, high = sequential.difference_interval(strata, 0.05)
    assert sequential.difference_interval(turned, 0.05) == pytest.approx((-high, -low), abs=1e-9)


@given(some, st.floats(-1, 1))
def test_what_is_inside_the_interval_is_not_refuted_and_what_is_outside_is(strata: list[Stratum], null: float) -> None:
    low, high = sequential.difference_interval(strata, 0.05)
    above, below = (log_evidence(strata, by_difference, null, direction) for direction in (1, -1))
    enough, near = math.log(2 / 0.05), 1e-9
    assert null < low + near or above < enough + near
    assert null > low - near or above >= enough - near
    assert null > high - near or below < enough + near
    assert null < high + near or below >= enough - near


def test_nobody_converting_leaves_an_interval_about_as_wide_as_the_number_of_people_lets_it_be() -> None:
    widths = []
    for people in (100, 1_000, 10_000, 100_000):
        low, high = sequential.difference_interval([Stratum(0.5, people, 0, people, 0)], 0.05)
        assert low == pytest.approx(-high)
        widths.append(high * people)
    assert all(3.7 < width < 12 for width in widths)  # at one look it would be 3.7: the rule of three


def test_no_persons_conversion_can_decide_alone() -> None:
    found = compare([Stratum(0.5, 1, 1, 1, 0)])
    assert found is not None
    assert found.verdict == "undecided"
    assert found.lift is None
    assert found.lift_interval == (-1, None)


def test_people_are_compared_only_with_those_of_their_own_time() -> None:
    early, late = Stratum(0.1, 1_000, 200, 9_000, 1_800), Stratum(0.9, 9_000, 450, 1_000, 50)
    found = compare([early, late])
    assert found is not None
    assert found.difference == pytest.approx(0)  # thrown together it would be 6.5 % against 18.5 %
    assert found.lift == pytest.approx(0)
    assert found.verdict == "undecided"


def test_nothing_is_compared_while_an_arm_has_nobody() -> None:
    assert compare([Stratum(0.5, 0, 0, 10, 2), Stratum(0.5, 10, 2, 0, 0)]) is None
    assert compare([]) is None
    assert harm_p_value([Stratum(0.5, 100, 90, 0, 0)]) == 1


def test_with_more_variants_there_has_to_be_more_evidence() -> None:
    one, three = (compare([Stratum(0.5, 4_000, 500, 4_000, 400)], 0.05, variants) for variants in (1, 3))
    assert one is not None
    assert three is not None
    assert three.p_value == pytest.approx(3 * one.p_value)
    assert three.difference_interval[0] < one.difference_interval[0] < one.difference_interval[1] < three.difference_interval[1]


def test_nothing_is_decided_of_arms_that_cannot_be_by_their_weights() -> None:
    found = compare([Stratum(0.5, 19_000, 9_500, 1_000, 505)])
    assert found is not None
    assert (found.verdict, found.p_value) == ("undecided", 1)
    assert (found.difference_interval, found.lift_interval) == ((-1, 1), (-1, None))


def test_without_more_of_it_there_is_no_harm_however_few_came_to_the_baseline() -> None:
    stratum = Stratum(0.5, 1_900, 570, 100, 30)
    assert sequential.harm_p_value([stratum]) < 0.05
    assert harm_p_value([stratum]) == 1


def test_harm_is_asked_in_one_direction() -> None:
    more, less = (harm_p_value([Stratum(0.5, 10_000, mine, 10_000, other)]) for mine, other in ((80, 20), (20, 80)))
    assert more < 0.001
    assert less == 1
    assert harm_p_value([Stratum(0.5, 10_000, 80, 10_000, 20)], questions=6) == pytest.approx(6 * more)
