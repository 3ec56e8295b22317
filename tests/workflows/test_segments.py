"""What segments mean, and what a declaration that cannot be meant is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator

from workflows import lifecycle
from workflows.definition import EVENTS, Event
from workflows.lifecycle import ACTIVE, AT_RISK, DORMANT, NEW, RESURRECTED, Lifecycle
from workflows.segments import (
    SEGMENTS,
    Expression,
    Facts,
    Segment,
    hasnt,
    lifecycle_digest,
    performed,
    refuse_unfit,
    state,
    state_of,
    state_turns,
    trait,
)
from workflows.traits import TRAITS, Private, Trait
from workflows.transitions import Became, Entered

DAY = timedelta(days=1)
HOUSE = Path(__file__).parents[2]
TICK = datetime.resolution
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Baked(Event, name="segments baked"):
    loaves: int = 1
    toppings: frozenset[str] = frozenset()


class Touchy:
    """A type of a team's, with a mistake in it."""

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Leave no segment, lifecycle or transition behind."""
    segments, declared, events = dict(SEGMENTS), list(lifecycle.DECLARED), dict(EVENTS)
    lifecycle.DECLARED.clear()
    EVENTS[Baked.name] = Baked
    yield
    SEGMENTS.clear()
    SEGMENTS.update(segments)
    EVENTS.clear()
    EVENTS.update(events)
    lifecycle.DECLARED[:] = declared


def baked(*ago: timedelta, loaves: object = 1, **traits: object) -> Facts:
    moments = sorted(NOW - each for each in ago)
    return Facts(NOW - 100 * DAY, {Baked.name: [(each, {"loaves": loaves}) for each in moments]}, traits)


def test_a_window_is_open_where_it_begins_and_closed_now() -> None:
    recent = performed(Baked, within=DAY)
    assert recent.holds(baked(timedelta(0)), NOW)
    assert recent.holds(baked(DAY - TICK), NOW)
    assert not recent.holds(baked(DAY), NOW)


def test_what_lies_ahead_does_not_count_yet_and_says_when_it_will() -> None:
    assert not performed(Baked).holds(baked(-DAY), NOW)
    assert performed(Baked).turns(baked(-DAY), NOW) == NOW + DAY


def test_time_alone_takes_the_last_that_is_needed_out_of_the_window() -> None:
    twice = performed(Baked, at_least=2, within=10 * DAY)
    facts = baked(8 * DAY, 5 * DAY, DAY)
    assert twice.turns(facts, NOW) == NOW + 5 * DAY
    assert twice.holds(facts, NOW + 5 * DAY - TICK)
    assert not twice.holds(facts, NOW + 5 * DAY)
    assert twice.turns(facts, NOW + 5 * DAY) is None


def test_without_a_window_time_alone_changes_nothing() -> None:
    assert performed(Baked, at_least=3).turns(baked(DAY), NOW) is None
    assert (trait("plan") == "pro").turns(baked(plan="pro"), NOW) is None


def test_who_has_not_done_it_is_who_has_done_it_not_once() -> None:
    assert hasnt(Baked, within=DAY).holds(baked(2 * DAY), NOW)
    assert not hasnt(Baked).holds(baked(2 * DAY), NOW)
    assert hasnt(Baked, within=3 * DAY).turns(baked(2 * DAY), NOW) == NOW + DAY


def test_where_compares_the_typed_field_however_it_was_spelled() -> None:
    two = performed(Baked, where={"loaves": 2})
    assert two.holds(baked(DAY, loaves="2"), NOW)
    assert not two.holds(baked(DAY, loaves="3"), NOW)


def test_a_field_that_cannot_be_compared_is_not_what_where_asks_for() -> None:
    class Iced(Event, name="segments iced"):
        icing: Annotated[object, AfterValidator(lambda _: Touchy())] = None

    assert not performed(Iced, where={"icing": "sugar"}).holds(Facts(NOW, {Iced.name: [(NOW - DAY, {"icing": "sugar"})]}), NOW)


@pytest.mark.parametrize(
    ("wire", "holds"), [(["seeds", "salt"], True), (["salt", "seeds", "salt"], True), (["salt"], False), ([], False)]
)
def test_where_asks_for_a_set_in_whatever_order_it_was_sent(wire: list[str], holds: bool) -> None:
    asked = performed(Baked, where={"toppings": {"salt", "seeds"}})
    assert asked.holds(Facts(NOW, {Baked.name: [(NOW - DAY, {"toppings": wire})]}), NOW) is holds


@pytest.mark.parametrize(
    ("asked", "plan", "holds"),
    [
        (trait("plan") == "pro", "pro", True),
        (trait("plan") == "pro", None, False),
        (trait("plan") != "pro", None, True),
        (trait("plan") == 1, True, False),
        (trait("plan") == 1, 1.0, True),
        (trait("plan") >= 2, 2, True),
        (trait("plan") > 2, "many", False),
        (trait("plan") < 2, None, False),
        (trait("plan").is_in(["a", "b"]), "b", True),
        (trait("plan").is_set(), None, False),
        (trait("plan").is_set(), "", True),
    ],
)
def test_a_trait_that_is_missing_or_of_another_type_equals_nothing_and_is_in_no_order(
    asked: Expression, plan: object, holds: bool
) -> None:
    assert asked.holds(baked(plan=plan), NOW) is holds


def test_conditions_combine() -> None:
    pro, baker = trait("plan") == "pro", performed(Baked)
    for facts, both, either, neither in (
        (baked(DAY, plan="pro"), True, True, False),
        (baked(DAY), False, True, False),
        (baked(), False, False, True),
    ):
        answers = [each.holds(facts, NOW) for each in (pro & baker, pro | baker, ~(pro | baker))]
        assert answers == [both, either, neither]


def test_and_or_and_not_say_what_to_write_instead() -> None:
    with pytest.raises(TypeError, match="combine with &"):
        performed(Baked) and (trait("plan") == "pro")
    with pytest.raises(TypeError, match="compare it"):
        performed(Baked) & (not trait("plan"))  # type: ignore[operator]


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(TypeError, match="a duration is a timedelta"):
        performed(Baked, within=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="longer than nothing"):
        hasnt(Baked, within=timedelta(0))
    with pytest.raises(TypeError, match="at least 1"):
        performed(Baked, at_least=0)
    with pytest.raises(TypeError, match="has no field 'buns'"):
        performed(Baked, where={"buns": 1})
    with pytest.raises(TypeError, match="there is new, active"):
        state("lazy")


def test_a_name_is_taken_once_and_both_places_are_named() -> None:
    Segment("bakers", performed(Baked))
    with pytest.raises(TypeError, match=r"test_segments.py:\d+: a segment 'bakers' is declared already, at .*test_segments.py:\d+"):
        Segment("bakers", hasnt(Baked))
    with pytest.raises(TypeError, match="snake_case"):
        Segment("lifecycle", hasnt(Baked))


def test_a_transition_names_its_segment_or_state_and_makes_up_no_segment() -> None:
    bakers = Segment("bakers", performed(Baked))

    class BecameBaker(Entered, of=bakers, name="segments became baker"):
        pass

    with pytest.raises(TypeError, match="no segment is made of its like's transitions"):
        performed(BecameBaker)
    with pytest.raises(TypeError, match="a transition names its segment"):
        type("Nameless", (Entered,), {})
    with pytest.raises(TypeError, match="there is new, active"):
        type("Stateless", (Became,), {})


def test_another_meaning_is_another_digest_and_the_same_is_the_same() -> None:
    one, same, other = (Segment(name, performed(Baked, n, within=DAY)) for name, n in (("a", 1), ("b", 1), ("c", 2)))
    assert one.digest == same.digest != other.digest


LIVING = Lifecycle(3 * DAY, 5 * DAY, 12 * DAY, 4 * DAY, (Baked.name,))


def test_another_event_class_is_another_lifecycle_unless_it_is_named_what_counts() -> None:
    by_state = Segment("lazy", state(DORMANT))
    with_two = lifecycle_digest(), by_state.digest

    class Kneaded(Event, name="segments kneaded"):
        pass

    assert lifecycle_digest() != with_two[0]
    assert by_state.digest != with_two[1]
    with_three = lifecycle_digest()

    class WentStale(Became, state=DORMANT, name="segments went stale"):
        pass

    assert lifecycle_digest() == with_three  # no transition counts
    lifecycle.lifecycle(counts=[Baked])
    named = lifecycle_digest(), by_state.digest

    class Proofed(Event, name="segments proofed"):
        pass

    assert (lifecycle_digest(), by_state.digest) == named


def lived(*days: float) -> Facts:
    met = NOW - 50 * DAY
    return Facts(met, {Baked.name: [(met + day * DAY, {}) for day in days]})


@pytest.mark.parametrize(
    ("days", "at", "expected", "turns"),
    [
        ((), 0, NEW, 3),
        ((), 3, ACTIVE, 5),
        ((), 5, AT_RISK, 12),
        ((), 12, DORMANT, None),
        ((2,), 6, ACTIVE, 7),
        ((2,), 14, DORMANT, None),
        ((2, 14), 14, RESURRECTED, 18),
        ((2, 14), 18, ACTIVE, 19),
        ((2, 13.9), 14, ACTIVE, 18.9),
        ((2, 14), 19, AT_RISK, 26),
    ],
)
def test_the_states_follow_from_when_somebody_acted(days: tuple[float, ...], at: float, expected: str, turns: float | None) -> None:
    lifecycle.DECLARED[:] = [(LIVING, "here")]
    met = NOW - 50 * DAY
    assert state_of(lived(*days), met + at * DAY) == expected
    assert state_turns(lived(*days), met + at * DAY) == (None if turns is None else met + turns * DAY)


def test_the_lifecycle_is_declared_once_with_thresholds_that_grow() -> None:
    with pytest.raises(TypeError, match="must grow in that order"):
        lifecycle.lifecycle(at_risk_after=30 * DAY, dormant_after=20 * DAY)
    lifecycle.lifecycle(counts=[Baked])
    with pytest.raises(TypeError, match=r"is declared already, at .*test_segments.py:\d+"):
        lifecycle.lifecycle()


# What cannot be meant, once everything is declared


@contextmanager
def declared(**hints: Any) -> Iterator[None]:
    """Let these traits be declared, with their types."""
    TRAITS.update({name: Trait(name, hint) for name, hint in hints.items()})
    try:
        yield
    finally:
        for name in hints:
            del TRAITS[name]


def test_a_segment_by_a_private_trait_is_refused_with_its_place() -> None:
    Segment("ill", trait("diagnosis") == "flu")
    with (
        declared(diagnosis=Private[str]),
        pytest.raises(TypeError, match=r"test_segments.py:\d+: segment 'ill' asks for the private"),
    ):
        refuse_unfit()


@pytest.mark.parametrize(
    ("condition", "hint"),
    [(trait("x") == "por", Literal["free", "pro"]), (trait("x").is_in(["pro", "por"]), Literal["free", "pro"])],
)
def test_a_value_that_a_trait_never_has_is_refused(condition: Expression, hint: Any) -> None:
    Segment("never", condition)
    with declared(x=hint), pytest.raises(TypeError, match="compares trait 'x' with 'por', which it never is"):
        refuse_unfit()


def test_a_value_that_no_undeclared_trait_has_is_refused() -> None:
    Segment("never", trait("since") > date(2026, 1, 1))
    with pytest.raises(TypeError, match="which it never is"):
        refuse_unfit()


def test_a_declared_trait_is_compared_in_its_type() -> None:
    late = Segment("late", trait("renews_on") < date(2026, 2, 1))
    with declared(renews_on=date):
        refuse_unfit()
        assert late.holds(Facts(NOW, traits={"renews_on": "2026-01-31"}), NOW)
        assert not late.holds(Facts(NOW, traits={"renews_on": "2026-02-01"}), NOW)


@pytest.mark.parametrize("name", ["email", "phone", "timezone", "locale"])
def test_what_is_kept_apart_from_traits_is_asked_for_by_no_segment(name: str) -> None:
    with pytest.raises(TypeError, match="kept apart from traits"):
        trait(name)


def test_windows_beyond_a_century_are_refused() -> None:
    with pytest.raises(TypeError, match="at most 100 years"):
        performed(Baked, within=timedelta(days=10**6))
    with pytest.raises(TypeError, match="at most 100 years"):
        lifecycle.lifecycle(dormant_after=timedelta.max)


SETS = (
    "trait('plan').is_in({'a', 'b', 'c', 'd'})",
    "performed(type('Baked', (Event,), {'__annotations__': {'at': set[str]}}), where={'at': {'a', 'b', 'c', 'd'}})",
)


@pytest.mark.parametrize("condition", SETS)
def test_what_a_segment_means_is_the_same_in_every_process(condition: str) -> None:
    code = (
        "from workflows.definition import Event; from workflows.segments import Segment, performed, trait; "
        f"print(Segment('s', {condition}).digest)"
    )
    said = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": seed}, cwd=HOUSE).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
    assert said != {""}
