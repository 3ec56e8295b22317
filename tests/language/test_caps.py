"""Frequency caps and the holdout in a run: a capped message waits for room, is skipped, or another goes instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import time
from typing import Any

import pytest

from studio.scenario import under
from studio.story import Ran, Said
from tests.language.both import Play, Story
from tests.language.words import NOW, Entered, days, hours, minutes, moment, say
from workflows.clock import Day
from workflows.definition import Definition, journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Message, Push
from workflows.policy import Calendar, Cap, Holdout, Policy, QuietHours, Topic


@pytest.fixture(autouse=True)
def two_a_day() -> Iterator[None]:
    with under(Policy(quiet_hours={}, caps=(Cap(2, Calendar.DAY),))):
        yield


def email(text: str, **more: object) -> Message:
    return Email("note", {"text": text}, **more)  # type: ignore[arg-type]


async def both(play: Play, journeys: Sequence[Definition[Any]], story: Story, **how: Any) -> list[Ran]:
    """Play it, and return the runs in the order of these journeys: they start on one event, in no order."""
    runs = {run.journey: run for run in await play(journeys, story, **how)}
    return [runs[each.name] for each in journeys]


@journey()
async def writes_twice(j: Journey, entered: Entered) -> None:
    await j.send(say("one"))
    await j.send(say("two"))


@journey()
async def waits_for_room(j: Journey, entered: Entered) -> None:
    await j.sleep(minutes(10))
    receipt = await j.send(email("three", expires=days(2)))
    await j.send(InApp("note", {"text": f"{receipt.status} {j.now:%a %H:%M}"}))


async def test_a_capped_message_waits_for_room(play: Play) -> None:
    _, run = await both(play, [writes_twice, waits_for_room], [(NOW, Entered())])
    assert run.texts == ["three", "sent Tue 00:00"]
    assert [said.after for said in run.said] == [hours(12), hours(12)]


async def test_the_day_begins_where_the_person_is(play: Play) -> None:
    _, run = await both(play, [writes_twice, waits_for_room], [(NOW, Entered())], zone="America/St_Johns")
    assert run.texts == ["three", "sent Tue 00:00"]
    assert run.said[0].after == hours(15.5)


@journey()
async def skips_what_is_capped(j: Journey, entered: Entered) -> None:
    await j.sleep(minutes(10))
    receipt = await j.send(email("three", expires=days(2), capped="skip"))
    await j.send(InApp("note", {"text": f"{receipt.status}/{receipt.reason}"}))


async def test_a_capped_message_may_be_skipped(play: Play) -> None:
    _, run = await both(play, [writes_twice, skips_what_is_capped], [(NOW, Entered())])
    assert run.texts == ["suppressed/frequency_cap"]
    assert run.ended == minutes(10)


@journey()
async def goes_in_app_instead(j: Journey, entered: Entered) -> None:
    await j.sleep(minutes(10))
    receipt = await j.send(email("three", capped=InApp("note", {"text": "inside"})))
    await j.send(InApp("note", {"text": receipt.status}))


async def test_a_capped_message_may_go_in_app_instead(play: Play) -> None:
    _, run = await both(play, [writes_twice, goes_in_app_instead], [(NOW, Entered())])
    step = "send:email/note"
    assert run.said[:2] == [
        Said(minutes(10), "email", "note", "suppressed", "frequency_cap", "", step),
        Said(minutes(10), "in_app", "note", "sent", "", "inside", f"{step}:instead"),
    ]
    assert run.texts == ["inside", "sent"]


async def test_what_goes_instead_goes_only_instead(play: Play) -> None:
    [run] = await play([goes_in_app_instead], [(NOW, Entered())])
    assert run.texts == ["three", "sent"]


@journey()
async def pushes_instead(j: Journey, entered: Entered) -> None:
    await j.sleep(minutes(10))
    receipt = await j.send(email("three", expires=hours(3), capped=Push("note", {"text": "pushed"})))
    await j.send(InApp("note", {"text": f"{receipt.status}/{receipt.reason}"}))


async def test_what_goes_instead_waits_and_expires_with_the_message_whose_place_it_takes(play: Play) -> None:
    for end, told in ((time(14), "sent/"), (time(16), "suppressed/quiet_hours")):
        quiet = {"push": QuietHours(time(11), end)}
        with under(Policy(quiet_hours=quiet, caps=(Cap(2, Calendar.DAY, channel="email"),))):
            _, run = await both(play, [writes_twice, pushes_instead], [(NOW, Entered())])
        assert run.texts[-1] == told
        assert run.said[1].after == (hours(2) if told == "sent/" else minutes(10))


@journey(topic="receipts")
async def sends_a_receipt(j: Journey, entered: Entered) -> None:
    await j.sleep(minutes(10))
    await j.send(email("receipt", transactional=True))
    await j.send(email("news", capped="skip"))


async def test_what_is_transactional_passes_caps_and_the_holdout(play: Play) -> None:
    _, run = await both(play, [writes_twice, sends_a_receipt], [(NOW, Entered())])
    assert run.texts == ["receipt"]
    with under(Policy(quiet_hours={}, holdout=Holdout(1))):
        first, run = await both(play, [writes_twice, sends_a_receipt], [(NOW, Entered())])
    assert (first.texts, run.texts) == ([], ["receipt"])
    assert {(said.status, said.reason) for said in first.said} == {("suppressed", "holdout")}


async def test_what_the_holdout_replaces_counts_under_the_caps(play: Play) -> None:
    with under(Policy(quiet_hours={}, caps=(Cap(2, Calendar.DAY),), holdout=Holdout(1))):
        _, run = await both(play, [writes_twice, skips_what_is_capped], [(NOW, Entered())])
    assert [(said.status, said.reason) for said in run.said] == [("suppressed", "frequency_cap"), ("suppressed", "holdout")]


async def test_a_rolling_window_has_room_again_one_by_one(play: Play) -> None:
    with under(Policy(quiet_hours={}, caps=(Cap(2, hours(6), topic="news"),))):
        [run] = await play([writes_on_and_on], [(NOW, Entered())])
    assert [said.after for said in run.said] == [NOW, hours(1), hours(6), hours(7), hours(12)]


@journey(topic="news")
async def writes_on_and_on(j: Journey, entered: Entered) -> None:
    for text in "abcde":
        await j.send(email(text))
        if text == "a":
            await j.sleep(hours(1))


async def test_a_capped_message_that_has_room_at_night_waits_for_the_morning_too(play: Play) -> None:
    with under(Policy(quiet_hours={"email": QuietHours(time(21), time(8))}, caps=(Cap(2, Calendar.DAY),))):
        _, run = await both(play, [writes_twice, waits_for_room], [(NOW, Entered())])
    assert run.texts == ["three", "sent Tue 08:00"]


async def test_send_windows_are_of_days_too(play: Play) -> None:
    office = QuietHours(time(17), time(9), days=(Day.MONDAY, Day.WEDNESDAY))
    with under(Policy(quiet_hours={"email": office}, topics=(Topic("writes_twice"),))):
        [run] = await play([waits_for_room], [(NOW, Entered())], at=moment("2025-01-06T18:00"))
    assert run.texts == ["three", "sent Wed 09:00"]
