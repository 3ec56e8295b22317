"""Who turns out to be one person, by the words of calls alone."""

from __future__ import annotations

import time
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from events.joining import Circle, Join, circles, is_user

ANON, OTHER_ANON, MAIL = "anon:x", "anon:y", "email:ada@example.org"
NOBODY: Mapping[str, tuple[int, str]] = {}


def identify(name: str, other: str) -> Join:
    return Join(name, (other,))


def alias(name: str, other: str) -> Join:
    return Join(name, (other,), firm=True)


def by_address(name: str, other: str) -> Join:
    return Join(name, (other,), address=True)


def test_a_stranger_who_signs_up_at_once_is_one_new_person_by_both_names() -> None:
    found = circles(["ada"], [identify("ada", ANON)], NOBODY)
    assert found["ada"] is found[ANON]
    assert (found["ada"].name, found["ada"].names, found["ada"].people) == ("ada", {"ada", ANON}, set())


def test_a_visitor_whom_we_know_goes_on_under_their_user_id() -> None:
    found = circles(["ada"], [identify("ada", ANON)], {ANON: (7, ANON)})
    assert (found[ANON].name, found[ANON].people) == ("ada", {7})


def test_a_visitor_and_a_user_whom_we_both_know_are_one() -> None:
    found = circles(["ada"], [identify("ada", ANON)], {ANON: (7, ANON), "ada": (3, "ada")})
    assert (found[ANON].name, found[ANON].people) == ("ada", {3, 7})


def test_two_users_at_one_browser_stay_two() -> None:
    found = circles(["bob"], [identify("bob", ANON)], {ANON: (3, "ada"), "ada": (3, "ada")})
    assert found["bob"] is not found[ANON]
    assert (found["bob"].people, found[ANON].people) == (set(), {3})


def test_an_alias_joins_two_users_under_the_new_id() -> None:
    found = circles(["ada"], [alias("ada", "lovelace")], {"ada": (9, "ada"), "lovelace": (2, "lovelace")})
    assert (found["lovelace"].name, found["lovelace"].people) == ("ada", {2, 9})


def test_who_is_known_by_an_address_alone_is_who_signs_up_with_it() -> None:
    found = circles(["ada"], [by_address("ada", MAIL)], {MAIL: (4, MAIL)})
    assert (found["ada"].name, found["ada"].people) == ("ada", {4})


def test_an_address_makes_nobody_one_with_somebody_who_has_more_than_that() -> None:
    for known in ({MAIL: (4, "bob"), "bob": (4, "bob")}, {MAIL: (4, ANON), ANON: (4, ANON)}, {}):
        found = circles(["ada"], [by_address("ada", MAIL)], known)
        assert found["ada"].people == set()
        assert MAIL not in found["ada"].names


def test_thousands_of_joins_cost_about_as_much_each_as_a_few() -> None:
    def seconds(count: int) -> float:
        pairs = [(f"a{number}", f"p{number}") for number in range(count)]
        since = time.thread_time()
        circles([name for name, _ in pairs], [alias(*each) for each in pairs], NOBODY)
        return time.thread_time() - since

    assert min(seconds(4000) for _ in range(3)) < 40 * min(seconds(400) for _ in range(3))


NAMES = st.sampled_from(["ada", "bob", "cy", ANON, OTHER_ANON, MAIL])
KNOWN = st.dictionaries(NAMES, st.integers(1, 3)).map(
    lambda rows: {name: (row, min(other for other in rows if rows[other] == row)) for name, row in rows.items()}
)


OF_ANY = st.builds(Join, NAMES, st.tuples(NAMES), st.booleans())
JOINS = st.lists(OF_ANY | st.builds(by_address, NAMES, st.just(MAIL)), max_size=6)


@given(st.lists(NAMES, min_size=1), JOINS, KNOWN)
def test_every_name_has_one_person_and_no_row_is_in_two(
    asked: list[str], joined: list[Join], known: Mapping[str, tuple[int, str]]
) -> None:
    found = circles(asked, joined, known)
    everybody: list[Circle] = list({id(circle): circle for circle in found.values()}.values())
    rows = [row for circle in everybody for row in circle.people]
    names = [name for circle in everybody for name in circle.names]
    assert len(rows) == len(set(rows))
    assert len(names) == len(set(names))
    assert all(name in found[name].names for name in asked)
    assert set(rows) == {row for row, _ in known.values()}


@given(st.lists(NAMES, min_size=1), JOINS, KNOWN)
def test_said_twice_it_comes_to_the_same(asked: list[str], joined: list[Join], known: Mapping[str, tuple[int, str]]) -> None:
    once, twice = circles(asked, joined, known), circles(asked, [*joined, *joined], known)
    if all(join.firm for join in joined):
        assert {name: circle.names for name, circle in once.items()} == {name: circle.names for name, circle in twice.items()}
    for circle in once.values():
        assert circle.name in circle.names or not is_user(circle.name)
