"""The paths through a journey: all of them, each with its messages and the longest it may take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import time, timedelta
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from journeys.activation import activation
from journeys.advocacy import advocacy
from journeys.confirmation import confirmation
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from studio.paths import Explored, explored
from studio.telling import remarks
from tests.journeys.lives import lives
from tests.pages import ROOT, run
from workflows.clock import WEEKDAYS
from workflows.definition import Definition, Event, journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Push, Sms
from workflows.sends import sends
from workflows.simulate import live

DAY = timedelta(days=1)
SHIPPED = (activation, advocacy, confirmation, onboarding, reengagement)


class TourBegun(Event, name="Tour Begun"):
    guide: str = ""


class TourStop(Event, name="Tour Stop"):
    price: int = 1


class TourBooked(Event, name="Tour Booked"):
    code: Annotated[str, Field(pattern=r"^[A-Z]{3}-[0-9]{4}$")]
    seats: Annotated[int, Field(ge=2)] = 2
    fare: Literal["plain", "fine"] = "plain"


class TourOver(Event, name="Tour Over"):
    pass


def told(found: Explored) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the messages of each path, by its answers."""
    return {tuple(f"{each.step}: {each.answer}" for each in path.answers): path.messages for path in found.paths}


@journey()
async def tours_both_ways(j: Journey, begun: TourBegun) -> None:
    await j.send(Email("welcome"))
    if await j.wait_for(TourStop, within=3 * DAY):
        await j.send(Email("tips"))
        return
    await j.until(time(9), on=WEEKDAYS, spread=timedelta(hours=1))
    if (await j.send(Push("nudge"))).status != "sent":
        await j.send(Sms("nudge"))


def test_a_path_has_its_answers_its_messages_and_the_longest_it_may_take() -> None:
    found = explored(tours_both_ways)
    assert told(found) == {
        ("Tour Stop: happened",): ("email welcome", "email tips"),
        ("Tour Stop: not in time", "push nudge: sent"): ("email welcome", "push nudge"),
        ("Tour Stop: not in time", "push nudge: not sent"): ("email welcome", "sms nudge"),
    }
    # From a Friday at nine it is three days to the next weekday at nine.
    assert {path.longest for path in found.paths} == {3 * DAY, 6 * DAY + timedelta(hours=1)}
    assert max(path.waiting for path in found.paths) == 3 * DAY  # a day for each message that is tried


@journey()
async def tours_by_price(j: Journey, begun: TourBegun) -> None:
    stop = await j.wait_for(TourStop, within=DAY, where=lambda each: each.price > 100)
    if stop and stop.price > 250:
        await j.send(Email("dear"))
    elif stop:
        await j.send(Email("cheap"))


def test_events_are_found_that_a_condition_takes_and_that_the_code_tells_apart() -> None:
    assert told(explored(tours_by_price)) == {
        ("Tour Stop: happened, price 251",): ("email dear",),
        ("Tour Stop: happened, price 250 or happened, price 249 or happened, price 101",): ("email cheap",),
        ("Tour Stop: not in time",): (),
    }


@journey()
async def tours_in_vain(j: Journey, begun: TourBegun) -> None:
    if await j.wait_for(TourStop, within=DAY, where=lambda each: each.price == 4321 + len(begun.guide) ** 9 + 17):
        await j.send(Email("found"))


def test_where_no_event_is_found_that_a_condition_takes_it_is_said() -> None:
    found = explored(tours_in_vain)
    assert list(told(found).values()) == [()]
    assert "No Tour Stop was found that its `where` takes: what follows one is not here." in remarks(found)


@journey()
async def tours_round_and_round(j: Journey, begun: TourBegun) -> None:
    while await j.wait_for(TourStop, within=DAY):
        await j.send(Email("again"))
    await j.send(Email("over"))


def test_paths_that_differ_by_the_rounds_of_a_loop_are_one_and_that_it_may_go_on_is_said() -> None:
    found = explored(tours_round_and_round)
    rounds = {path.answers[0].most for path in found.paths}
    assert found.loops
    assert set(told(found).values()) >= {("email over",)}
    assert max(rounds) > 1
    assert len(found.paths) < 5


@journey()
async def tours_by_guide(j: Journey, begun: TourBegun) -> None:
    copies = {"warm": Email("warm"), "cold": Email("cold"), "gone": Email("gone")}
    copy = await j.split("tours", copies, {"warm": 1, "cold": 1, "gone": 0})
    await j.send(copy)
    if j.traits.get("plan") == "pro":
        await j.send(InApp("thanks"))


def test_splits_go_each_way_that_has_a_weight_and_traits_are_there_or_not() -> None:
    assert told(explored(tours_by_guide)) == {
        ("tours: warm", "trait plan: none"): ("email warm",),
        ("tours: warm", "trait plan: 'pro'"): ("email warm", "in_app thanks"),
        ("tours: cold", "trait plan: none"): ("email cold",),
        ("tours: cold", "trait plan: 'pro'"): ("email cold", "in_app thanks"),
    }


@journey()
async def tours_either_way(j: Journey, begun: TourBegun) -> None:
    angle = await j.split("angle", {"near": "near", "far": "far"})
    await j.send(Email("look", {"angle": angle}))


def test_an_answer_that_changes_nothing_makes_no_path_of_its_own() -> None:
    assert told(explored(tours_either_way)) == {("angle: near or far",): ("email look",)}


@journey()
async def tours_instead(j: Journey, begun: TourBegun) -> None:
    await j.send(Email("long", capped=InApp("short")))


def test_what_goes_in_place_of_a_capped_message_is_a_path_of_its_own() -> None:
    assert set(told(explored(tours_instead)).values()) == {("email long",), ("in_app short",)}


@journey()
async def tours_and_fails(j: Journey, begun: TourBegun) -> None:
    if await j.wait_for(TourStop, TourOver, within=DAY):
        await j.send(Email(("welcome", "tips")[len(j.seen(TourBegun)) + 1]))


@journey()
async def tours_by_fare(j: Journey, booked: TourBooked) -> None:
    match booked.fare:
        case "fine":
            await j.send(Email("fine"))
        case _ if booked.seats > 8:
            await j.send(Email("many"))
        case _:
            await j.send(Email("plain"))


def test_a_match_goes_each_way_and_what_no_value_is_found_for_stands_in_no_other_fields_way() -> None:
    found = explored(tours_by_fare)
    assert {path.messages for path in found.paths} == {("email fine",), ("email many",), ("email plain",)}
    assert found.notes == ["no value was found that fits Tour Booked.code: a way that only another opens is not here"]


@journey()
async def tours_for_whom_and_when(j: Journey, begun: TourBegun) -> None:
    await j.send(Email("oi" if j.user.locale == "pt-BR" else "hi"))
    if j.now.weekday() == 5:
        await j.send(Email("saturday"))


def test_who_reads_another_language_goes_another_way_and_of_other_times_it_is_said_that_they_are_missing() -> None:
    found = explored(tours_for_whom_and_when)
    assert told(found) == {("locale of the person: en",): ("email hi",), ("locale of the person: pt-BR",): ("email oi",)}
    assert found.notes == ["the code asks what time it is: these are the ways of whoever begins on a Monday at 12:00"]


@journey()
async def tours_without_number(j: Journey, begun: TourBegun) -> None:
    if begun.guide == "ada":
        await j.send(Email("ada"))
        return
    for _ in range(9):
        if stop := await j.wait_for(TourStop, within=DAY):
            await j.send(Email(f"at_{'sea' if stop.price > 5 else 'land'}"))


def test_of_too_many_paths_those_are_told_that_depart_least_from_the_usual() -> None:
    found = explored(tours_without_number, 100)
    assert not found.whole
    assert ("email ada",) in {path.messages for path in found.paths}
    assert any("100 runs were tried, those first that depart least from the usual" in each for each in remarks(found))


class Season(Enum):
    SUMMER = "summer"
    WINTER = "winter"


class TourPlanned(Event, name="Tour Planned"):
    season: Season
    by: Literal["sea", "land"]


@journey()
async def tours_as_planned(j: Journey, planned: TourPlanned) -> None:
    if planned.season is Season.WINTER:
        await j.send(Email("winter"))
    elif planned.by == "sea":
        await j.send(Email(f"at_{planned.by}"))
    else:
        await j.send(Email(planned.season.value))


def test_what_a_fields_type_lists_is_what_it_may_be() -> None:
    found = explored(tours_as_planned)
    assert {path.messages for path in found.paths} == {("email winter",), ("email at_sea",), ("email summer",)}
    assert found.notes == []
    assert ("starts on: Tour Planned, by 'sea', season Season.SUMMER",) in told(found)


def test_a_path_on_which_the_code_fails_says_so() -> None:
    assert {path.end for path in explored(tours_and_fails).paths} == {"end", "IndexError: tuple index out of range"}


@pytest.mark.parametrize("definition", SHIPPED, ids=lambda each: each.name)
def test_every_message_of_a_shipped_journey_is_on_some_path(definition: Definition[Any]) -> None:
    found = explored(definition)
    on_paths = {message for path in found.paths for message in path.messages}
    assert on_paths == {f"{said.channel} {said.template}" for said in sends(definition).messages}
    assert found.whole


def test_every_run_of_a_real_life_goes_one_of_the_paths_and_takes_no_longer() -> None:
    paths = {definition.name: explored(definition) for definition in SHIPPED}
    gone = 0
    for life in lives().values():
        for each in live(SHIPPED, life.happenings, life.person):
            asks = each.definition in (onboarding, activation) or len(each.sent) == len(each.decided)  # the others do not ask
            if each.status == "completed" and asks:
                names = (f"{sent.message.channel} {sent.message.template}" for sent in each.sent)
                messages = tuple(name for name, _ in groupby(names))
                same = [path for path in paths[each.definition.name].paths if path.messages == messages]
                assert same
                if each.definition != reengagement:  # whose loop may go on and on
                    assert each.elapsed <= max(path.longest + path.waiting for path in same)
                gone += 1
    assert gone > 100


def test_the_paths_are_told_in_the_terminal_and_as_json(tmp_path: Path) -> None:
    journeys = ["--journeys", str(ROOT / "journeys")]
    said: Mapping[str, Any] = json.loads(run(["sojourn", "paths", "activation", "--json", *journeys], tmp_path))
    assert said["paths"][0]["messages"] == ["in_app second_area"]
    assert said["paths"][0]["longest"] == 14 * 86400
    assert said["exits_on"] == ["Project Left"]
    table = run(["sojourn", "paths", "activation", *journeys], tmp_path)
    assert "email untried_area" in table
    assert "At any time: an exit on Project Left." in table
