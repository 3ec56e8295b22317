"""Lives made up by chance: both runtimes tell the same story of them, whatever happens when."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import time, timedelta
from uuid import uuid4

import pytest

from tests.language.both import Story, assert_same_story, real, virtual
from tests.language.words import Booked, Called, Entered, Left, Moved, Replied, Tapped, days, hours, say
from tests.stage import Stage
from workflows.clock import WEEKDAYS
from workflows.definition import ALWAYS, after, journey
from workflows.happenings import Happening, Identify, OptOut
from workflows.journey import Journey
from workflows.messages import InApp, Push, Sms

ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Pacific/Auckland", "Middle/Earth")


@journey(exits_on=Left, again=after(days(3)))
async def lives_a_little(j: Journey, start: Entered | Replied) -> None:
    await j.send(Push("note", {"text": "welcome"}))
    while tapped := await j.wait_for(Tapped, within=days(1.5), where=lambda each: each.price > 3):
        if tapped.price > 7:
            await j.send(Sms("note", {"text": f"dear {tapped.price}"}))
        await j.sleep(hours(7))
    await j.until(time(9), on=WEEKDAYS, spread=hours(1))
    copy = await j.split("lives", {"a": say("a"), "b": InApp("note", {"text": "b"})})
    if len(j.seen(Tapped)) < 3:
        await j.send(copy)
    if await j.wait_for(Replied, Called, within=days(2)):
        await j.send(say(f"{j.traits.get('plan')} {j.user.locale} {j.now:%a %H}"))


@journey(key="booking", exits_on=Left, again=ALWAYS, topic="bookings")
async def keeps_bookings(j: Journey, booked: Booked) -> None:
    for _ in range(3):
        if (await j.wait_for(Moved, Called, within=days(1))) is None:
            await j.send(say(f"{booked.booking} {len(j.seen(Booked, Moved))}"))


def happening(chance: random.Random) -> Happening:
    """Make up something that happens to somebody."""
    kinds: list[Callable[[], Happening]] = [
        Entered,
        Replied,
        Called,
        lambda: Tapped(price=chance.randrange(10)),
        lambda: Tapped(price=chance.randrange(10)),
        lambda: Booked(booking=chance.choice("xy")),
        lambda: Moved(booking=chance.choice("xy")),
        lambda: Identify({"plan": chance.choice(("free", "pro"))}, zone=chance.choice(ZONES)),
        lambda: Identify(locale=chance.choice(("en", "fr"))),
        lambda: OptOut(chance.choice(("lives_a_little", "bookings")), chance.choice((None, "email", "sms"))),
        lambda: chance.choice((Left(), Entered())),
    ]
    return chance.choice(kinds)()


def life(seed: int, count: int = 25) -> Story:
    """Make up a life of some weeks. No two things in it come within the same minute, nor exactly at a deadline."""
    chance = random.Random(seed)
    seconds = sorted(chance.sample(range(30, 20 * 24 * 3600, 97), count - 1))
    return [(timedelta(0), Entered()), *((timedelta(seconds=second), happening(chance)) for second in seconds)]


async def both_tell_the_same(house: Stage, seed: int) -> None:
    user, journeys = uuid4().hex, (lives_a_little, keeps_bookings)
    zone = random.Random(seed).choice(ZONES)
    expected = await virtual(journeys, life(seed), user=user, zone=zone)
    assert_same_story(expected, await real(house, journeys, life(seed), user=user, zone=zone))


@pytest.mark.parametrize("seed", range(1))
async def test_both_runtimes_tell_the_same_story_of_a_life(house: Stage, seed: int) -> None:
    await both_tell_the_same(house, seed)


@pytest.mark.parametrize("seed", range(3, 4))
async def test_so_they_do_of_a_life_that_continues_as_new_after_every_step(house_that_continues: Stage, seed: int) -> None:
    await both_tell_the_same(house_that_continues, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, *range(4, 60)])
async def test_so_they_do_of_many_lives(house: Stage, house_that_continues: Stage, seed: int) -> None:
    await both_tell_the_same(house if seed % 2 else house_that_continues, seed)
