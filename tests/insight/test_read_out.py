"""What a team reads of its experiment: what is decided, what is not yet, and why nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from insight.experiment import Cohort, Counts, Experiment, Tally
from insight.inference import Reading, ReadOut, read_out


def tally(people: int, reached: int, waiting: int = 0, **guardrails: tuple[int, int]) -> Tally:
    return Tally(people + waiting, Counts(people, reached), {name: Counts(*each) for name, each in guardrails.items()})


def experiment(arms: Mapping[str, Tally], weights: Mapping[str, float] | None = None, **more: Any) -> Experiment:
    return Experiment("nudge-copy", "plain", [Cohort(weights or dict.fromkeys(arms, 1.0), arms)], **more)


def of(arm: str, read: ReadOut) -> Reading:
    return next(each for each in read.variants if each.arm == arm)


PLAIN = tally(10_000, 1_000)


def test_a_better_a_worse_and_an_undecided_variant_are_told_with_numbers_and_a_sentence() -> None:
    read = read_out(
        experiment({"plain": PLAIN, "social": tally(10_050, 1_300), "short": tally(9_980, 800), "long": tally(9_990, 1_030)})
    )
    assert read.status == "read"
    assert read.sentence == "Decided after 40,020 people: short, social."
    assert {each.arm: each.verdict for each in read.variants} == {"social": "better", "short": "worse", "long": "undecided"}
    social = of("social", read).comparison
    assert social is not None
    assert social.difference == pytest.approx(1_300 / 10_050 - 0.1)
    assert social.lift == pytest.approx(1_300 / 1_005 - 1)
    assert social.difference_interval[0] > 0
    assert social.always_valid
    assert of("social", read).sentence == (
        "social converts more than plain: +2.94 points (+1.21 to +4.69), a lift of +29.4 % (+11.1 % to +51.5 %), p < 0.0001."
    )
    assert of("long", read).sentence.startswith("long is not decided against plain: +0.31 points (-")
    assert of("long", read).goal == Counts(9_990, 1_030)


def test_undecided_is_said_of_the_whole_if_it_is_so_of_all() -> None:
    read = read_out(experiment({"plain": PLAIN, "social": tally(10_050, 1_020)}))
    assert read.sentence == "Undecided after 20,050 people: no variant differs from plain beyond chance yet."


def test_where_people_are_not_in_the_arms_by_their_weights_nothing_is_read() -> None:
    harmful = tally(10_800, 1_500, unsubscribed=(10_800, 500))
    arms = {"plain": replace(PLAIN, guardrails={"unsubscribed": Counts(10_000, 10)}), "social": harmful}
    read = read_out(experiment(arms))
    assert read.status == "sample_ratio"
    assert read.sample_ratio < 0.01
    assert read.baseline is None
    (social,) = read.variants
    assert (social.verdict, social.goal, social.comparison, social.guardrails) == ("unread", None, None, ())
    assert read.sentence.startswith(
        "The people exposed are not in the arms by their weights "
        "(plain has 10,000 for 10,400; social has 10,800 for 10,400; p < 0.0001)"
    )
    assert read_out(experiment(arms, {"plain": 10, "social": 10.8})).status == "read"


@pytest.mark.parametrize(
    ("social", "whose"),
    [
        (Tally(10_000, Counts(9_000, 900), {"complained": Counts(9_990, 1)}), "counted for the goal"),
        (Tally(10_000, Counts(9_990, 900), {"complained": Counts(9_000, 1)}), "counted for complained"),
    ],
)
def test_people_whom_an_arm_loses_after_the_exposure_are_missed_too(social: Tally, whose: str) -> None:
    plain = Tally(10_000, Counts(9_990, 990), {"complained": Counts(9_990, 1)})
    read = read_out(experiment({"plain": plain, "social": social}))
    assert read.status == "sample_ratio"
    assert read.sentence.startswith(f"The people {whose} are not in the arms by their weights")


def test_nothing_is_read_before_anybodys_window_has_closed() -> None:
    read = read_out(experiment({"plain": tally(0, 0, waiting=50), "social": tally(0, 0, waiting=48)}))
    assert (read.status, read.sentence) == ("too_early", "Nobody's window has closed yet in two arms that could be compared.")
    assert of("social", read).comparison is None


def test_a_fixed_horizon_says_how_many_people_are_missing_and_nothing_else() -> None:
    arms = {"plain": PLAIN, "social": tally(10_050, 1_300)}
    early = read_out(experiment(arms, horizon=30_000))
    assert (early.status, early.missing) == ("too_early", 9_950)
    assert early.sentence == "Too early: 9,950 of the 30,000 declared people are missing, and nothing is read before."
    assert early.baseline is None
    assert all(each.comparison is None and each.goal is None for each in early.variants)
    there = read_out(experiment(arms, horizon=20_050))
    assert (there.status, there.missing) == ("read", 0)
    comparison = of("social", there).comparison
    assert comparison is not None
    assert not comparison.always_valid


def test_a_fixed_horizon_is_not_read_a_second_time_with_more_people() -> None:
    with pytest.raises(ValueError, match="declared to be read at 20000 people, and the counts are of 20050; count the first by"):
        read_out(experiment({"plain": PLAIN, "social": tally(10_050, 1_300)}, horizon=20_000))


def test_a_fixed_horizon_does_not_bear_a_change_of_weights_but_does_their_scale() -> None:
    def at(weights: Mapping[str, float], late: tuple[Tally, Tally]) -> ReadOut:
        first = Cohort({"plain": 1, "social": 1}, {"plain": tally(1_000, 100), "social": tally(1_000, 130)})
        return read_out(
            Experiment("x", "plain", [first, Cohort(weights, dict(zip(("plain", "social"), late, strict=True)))], horizon=4_000)
        )

    assert at({"plain": 1, "social": 3}, (tally(500, 50), tally(1_500, 195))).status == "weights_changed"
    same = at({"plain": 50, "social": 50}, (tally(1_000, 100), tally(1_000, 130)))
    assert same == replace(same, status="read")
    assert (
        of("social", same).comparison
        == of("social", read_out(experiment({"plain": tally(2_000, 200), "social": tally(2_000, 260)}, horizon=4_000))).comparison
    )


def test_weights_that_changed_while_rates_fell_make_no_difference_where_there_is_none() -> None:
    early = Cohort({"plain": 9, "social": 1}, {"plain": tally(9_000, 1_800), "social": tally(1_000, 200)})
    late = Cohort({"plain": 1, "social": 9}, {"plain": tally(1_000, 50), "social": tally(9_000, 450)})
    (social,) = read_out(Experiment("x", "plain", [early, late])).variants
    assert social.comparison is not None
    assert social.comparison.difference == pytest.approx(0)
    assert social.verdict == "undecided"


def test_who_came_while_a_variant_had_no_weight_is_not_compared_with_it() -> None:
    before = Cohort({"plain": 1, "social": 1, "late": 0}, {"plain": tally(9_000, 4_500), "social": tally(9_000, 4_500)})
    since = Cohort(dict.fromkeys(("plain", "social", "late"), 1), {arm: tally(1_000, 100) for arm in ("plain", "social", "late")})
    late = of("late", read_out(Experiment("x", "plain", [before, since]))).comparison
    alone = of("late", read_out(Experiment("x", "plain", [since]))).comparison
    assert late is not None
    assert late == alone


def test_a_variant_that_has_nobody_yet_is_unread_beside_others_that_have() -> None:
    read = read_out(experiment({"plain": PLAIN, "social": tally(10_000, 1_300)}, {"plain": 1, "social": 1, "late": 0}))
    assert of("social", read).verdict == "better"
    assert of("late", read).verdict == "unread"
    assert of("late", read).sentence == "late: nobody's window has closed yet in a time in which both it and plain had weight."


def test_variants_are_corrected_for_how_many_there_are() -> None:
    few = {"plain": PLAIN, "social": tally(10_000, 1_170)}
    many = few | {name: tally(10_000, 1_000) for name in ("b", "c", "d", "e", "f")}
    assert of("social", read_out(experiment(few))).verdict == "better"
    assert of("social", read_out(experiment(many))).verdict == "undecided"


def test_harm_is_flagged_whatever_the_goal_says() -> None:
    plain = tally(10_000, 1_000, unsubscribed=(10_000, 20), complained=(10_000, 2))
    social = tally(10_000, 1_300, unsubscribed=(10_000, 80), complained=(10_000, 3))
    for horizon in (None, 30_000):
        (read,) = read_out(experiment({"plain": plain, "social": social}, horizon=horizon)).variants
        complained, unsubscribed = read.guardrails
        assert unsubscribed.harm
        assert not complained.harm
        assert unsubscribed.sentence == "unsubscribed: social does harm, 0.8 % against 0.2 % of plain, p < 0.0001."
        assert complained.sentence.startswith("complained: no harm of social is shown, 0.03 % against 0.02 % of plain")
    assert read_out(experiment({"plain": plain, "social": social})).variants[0].verdict == "better"


def test_guardrails_are_corrected_for_how_many_there_are() -> None:
    plain, social = ({"left": (10_000, reached), "complained": (10_000, 9), "replied": (10_000, 9)} for reached in (20, 60))
    one = experiment({"plain": tally(10_000, 1_000, left=plain["left"]), "social": tally(10_000, 1_000, left=social["left"])})
    three = experiment({"plain": tally(10_000, 1_000, 0, **plain), "social": tally(10_000, 1_000, 0, **social)})
    (alone,), (_, among, _) = (read_out(each).variants[0].guardrails for each in (one, three))
    assert among.name == "left"
    assert among.p_value == pytest.approx(3 * alone.p_value)


def test_fewer_unsubscribing_is_no_harm() -> None:
    plain, social = tally(10_000, 1_000, unsubscribed=(10_000, 80)), tally(10_000, 1_000, unsubscribed=(10_000, 20))
    (read,) = read_out(experiment({"plain": plain, "social": social})).variants
    assert (read.guardrails[0].harm, read.guardrails[0].p_value) == (False, 1)


GOOD = {"plain": PLAIN, "social": PLAIN}


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (experiment({"plain": PLAIN}), "'nudge-copy' has no arm beside its baseline 'plain'"),
        (experiment(GOOD, alpha=5), "alpha is 5; it is a chance of error, more than 0 and less than 1, such as 0.05"),
        (experiment(GOOD, horizon=0), "its horizon is 0 people"),
        (replace(experiment(GOOD), baseline="simple"), "its baseline 'simple' never had any weight"),
        (replace(experiment(GOOD), cohorts=[]), "no arm beside its baseline"),
        (experiment(GOOD, {"plain": 0, "social": 0}), "its baseline 'plain' never had any weight"),
        (experiment(GOOD, {"plain": 1, "social": -1}), "cohort 1: arm 'social' has weight -1; a weight is a number from 0"),
        (experiment(GOOD, {"plain": 1, "social": float("nan")}), "arm 'social' has weight nan"),
        (
            experiment({"plain": PLAIN, "social": tally(100, 101)}),
            "arm 'social', the goal: 100 exposed, 100 whose window has closed, 101",
        ),
        (experiment({"plain": PLAIN, "social": tally(100, -1)}), "count people, not messages"),
        (experiment({"plain": PLAIN, "social": tally(100, 5, waiting=-1)}), "99 exposed, 100 whose window has closed"),
        (
            experiment({"plain": PLAIN, "social": tally(100, 5, unsubscribed=(100, 1))}),
            "arm 'plain': its unsubscribed is not counted",
        ),
        (
            experiment({"plain": tally(9, 1, left=(9, 1)), "social": tally(9, 1, left=(5, 6))}),
            "arm 'social', left: 9 exposed, 5 whose window has closed, 6 who did it",
        ),
    ],
)
def test_counts_that_cannot_be_are_refused_with_what_to_do(bad: Experiment, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_out(bad)


def test_a_cohort_in_which_no_arm_had_weight_is_refused() -> None:
    cohorts = [*experiment(GOOD).cohorts, Cohort({"plain": 0}, {})]
    with pytest.raises(ValueError, match="cohort 2: no arm has any weight"):
        read_out(Experiment("x", "plain", cohorts))
