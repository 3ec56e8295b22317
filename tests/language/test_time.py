"""Rules 1, 5 and 6: moments, deadlines and the clock on the person's wall."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import pytest

from tests.language.both import Play
from tests.language.words import MOMENT, NOW, Entered, Replied, Tapped, days, hours, minutes, moment, say
from workflows.clock import WEEKDAYS, share
from workflows.definition import journey
from workflows.journey import Journey
from workflows.simulate import Identify

MINUTE = "%a %d %b %H:%M %Z"


@journey()
async def clock_reader(j: Journey, entered: Entered) -> None:
    await j.send(say(f"{j.now:{MINUTE}}"))
    await j.sleep(days(2))
    await j.send(say(f"{j.now:{MINUTE}}"))


async def test_now_is_the_runs_clock_in_the_persons_zone(play: Play) -> None:
    [run] = await play([clock_reader], [(NOW, Entered())], zone="Asia/Kolkata")
    assert run.texts == ["Mon 06 Jan 17:30 IST", "Wed 08 Jan 17:30 IST"]
