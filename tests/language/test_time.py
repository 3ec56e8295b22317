"""Rules 1, 5 and 6: moments, deadlines, and the clock on the person's wall."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

from tests.language.both import HOME, Play, Story
from tests.language.refused import Refusal
from tests.language.words import MINUTE, NOW, Entered, Replied, Tapped, days, hours, minutes, moment, say
from tests.stage import Stage, only
from workflows.clock import WEEKDAYS, share
from workflows.definition import journey
from workflows.happenings import Identify
from workflows.journey import Journey
from workflows.messages import Email
from workflows.terms import LONGEST

# Rule 1: durations are timedelta, moments are aware, and the clock is where the person is.


@journey()
async def clock_reader(j: Journey, entered: Entered) -> None:
    await j.send(say(f"{j.now:{MINUTE}}"))
    await j.sleep(days(2))
    await j.send(say(f"{j.now:{MINUTE}}"))


async def test_now_is_the_runs_clock_in_the_persons_zone(play: Play) -> None:
    [run] = await play([clock_reader], [(NOW, Entered())], zone="Asia/Kolkata")
    assert run.texts == ["Mon 06 Jan 17:30 IST", "Wed 08 Jan 17:30 IST"]


async def test_a_run_from_the_past_lives_at_its_own_dates(play: Play) -> None:
    [run] = await play([clock_reader], [(NOW, Entered())], at=moment("2019-06-30T22:10"))
    assert run.texts == ["Sun 30 Jun 22:10 UTC", "Tue 02 Jul 22:10 UTC"]
    assert (run.started, run.ended) == (NOW, days(2))


@journey()
async def sleeps_for_a_number(j: Journey, entered: Entered) -> None:
    await j.sleep(3)  # type: ignore[arg-type]


async def test_a_duration_that_is_not_a_timedelta_is_refused(refused: Refusal) -> None:
    assert await refused(sleeps_for_a_number) == "TypeError: a duration is a timedelta, not 3"


@journey()
async def until_a_naive_moment(j: Journey, entered: Entered) -> None:
    await j.until(datetime(2030, 1, 1))  # noqa: DTZ001


@journey()
async def until_a_time_with_a_zone(j: Journey, entered: Entered) -> None:
    await j.until(time(9, tzinfo=UTC))


@journey()
async def until_no_day(j: Journey, entered: Entered) -> None:
    await j.until(time(9), on=())


async def test_a_naive_moment_is_refused(refused: Refusal) -> None:
    assert "has no time zone" in await refused(until_a_naive_moment)


async def test_a_time_of_day_with_a_zone_of_its_own_is_refused(refused: Refusal) -> None:
    assert "leave its time zone out" in await refused(until_a_time_with_a_zone)


async def test_a_time_on_no_day_at_all_is_refused(refused: Refusal) -> None:
    assert "names no day" in await refused(until_no_day)


# Rule 5: every wait has a deadline, from 0 s to 10 years, fixed as a moment when the wait is entered.


@journey()
async def does_not_wait(j: Journey, entered: Entered) -> None:
    nothing = await j.wait_for(Tapped, within=NOW)
    await j.sleep(NOW)
    await j.sleep(days(-1))
    less = await j.wait_for(Tapped, within=days(-3))
    await j.until(datetime(2001, 1, 1, tzinfo=UTC))
    await j.send(say(f"{nothing} {less}"))


async def test_zero_and_the_past_go_straight_on(play: Play) -> None:
    [run] = await play([does_not_wait], [(NOW, Entered())])
    assert run.texts == ["None None"]
    assert run.ended == NOW


@journey()
async def takes_what_is_there(j: Journey, entered: Entered) -> None:
    await j.sleep(days(1))
    tapped = await j.wait_for(Tapped, within=NOW)
    await j.send(say(tapped and tapped.button))


async def test_a_wait_of_no_time_returns_what_has_come_before_it(play: Play) -> None:
    [run] = await play([takes_what_is_there], [(NOW, Entered()), (hours(5), Tapped(button="early"))])
    assert run.texts == ["early"]


@journey()
async def waits_for_ten_years(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=LONGEST)
    await j.send(say(f"{j.now:%Y}"))


async def test_a_wait_may_last_ten_years(play: Play) -> None:
    [run] = await play([waits_for_ten_years], [(NOW, Entered())])
    assert run.texts == ["2035"]
    assert run.ended == LONGEST


@journey()
async def waits_for_longer(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3654))


@journey()
async def sleeps_for_longer(j: Journey, entered: Entered) -> None:
    await j.sleep(timedelta(days=3653, seconds=1))


@journey()
async def until_later_than_that(j: Journey, entered: Entered) -> None:
    await j.until(datetime(2525, 1, 1, tzinfo=UTC))


@journey()
async def expires_in_a_lifetime(j: Journey, entered: Entered) -> None:
    await j.send(Email("note", {"text": "hello"}, expires=days(36530)))


async def test_a_wait_of_more_than_ten_years_is_refused(refused: Refusal) -> None:
    assert "longer than the ten years" in await refused(waits_for_longer)


async def test_a_sleep_of_more_than_ten_years_is_refused(refused: Refusal) -> None:
    assert "longer than the ten years" in await refused(sleeps_for_longer)


async def test_a_moment_more_than_ten_years_away_is_refused(refused: Refusal) -> None:
    assert "longer than the ten years" in await refused(until_later_than_that)


async def test_a_message_that_would_live_for_more_than_ten_years_is_refused(refused: Refusal) -> None:
    assert "longer than the ten years" in await refused(expires_in_a_lifetime)


@journey()
async def waits_three_days(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(3), where=lambda tapped: tapped.price > 10)
    await j.send(say("over"))


async def test_a_deadline_is_a_moment_that_nothing_moves(play: Play) -> None:
    tapping: Story = [(days(1), Tapped(price=1)), (days(2), Identify(zone="Pacific/Auckland")), (days(2.9), Tapped(price=2))]
    [run] = await play([waits_three_days], [(NOW, Entered()), *tapping])
    assert run.ended == days(3)


# Rule 6: the wall clock.


@journey()
async def greets_at_nine(j: Journey, entered: Entered) -> None:
    await j.until(time(9))
    await j.send(say(f"{j.now:{MINUTE}}"))


async def test_until_is_the_next_such_time_where_the_person_is(play: Play) -> None:
    [run] = await play([greets_at_nine], [(NOW, Entered())], zone="America/New_York")
    assert run.texts == ["Mon 06 Jan 09:00 EST"]
    assert run.ended == hours(2)


async def test_until_is_strictly_after_now(play: Play) -> None:
    [run] = await play([greets_at_nine], [(NOW, Entered())], at=moment("2025-01-06T09:00"))
    assert run.texts == ["Tue 07 Jan 09:00 UTC"]


@journey()
async def greets_on_weekdays(j: Journey, entered: Entered) -> None:
    await j.until(time(9), on=WEEKDAYS)
    await j.send(say(f"{j.now:{MINUTE}}"))


async def test_on_restricts_it_to_days_of_the_week_there(play: Play) -> None:
    friday_evening_in_london = moment("2025-01-10T19:00")
    [run] = await play([greets_on_weekdays], [(NOW, Entered())], zone="Pacific/Auckland", at=friday_evening_in_london)
    assert run.texts == ["Mon 13 Jan 09:00 NZDT"]


@journey()
async def greets_at_half_past_two(j: Journey, entered: Entered) -> None:
    await j.until(time(2, 30))
    await j.send(say(f"{j.now:{MINUTE}}"))


async def test_a_time_that_a_clock_change_skips_becomes_the_first_instant_after_it(play: Play) -> None:
    [run] = await play([greets_at_half_past_two], [(NOW, Entered())], zone="Europe/Berlin", at=moment("2025-03-29T12:00"))
    assert run.texts == ["Sun 30 Mar 03:00 CEST"]
    assert run.ended == hours(13)


async def test_a_time_that_a_clock_change_repeats_means_the_first(play: Play) -> None:
    [run] = await play([greets_at_half_past_two], [(NOW, Entered())], zone="Europe/Berlin", at=moment("2025-10-25T12:00"))
    assert run.texts == ["Sun 26 Oct 02:30 CEST"]
    assert run.ended == hours(12.5)


async def test_between_the_first_and_the_second_reading_of_a_repeated_time_it_is_tomorrows(play: Play) -> None:
    [run] = await play([greets_at_half_past_two], [(NOW, Entered())], zone="Europe/Berlin", at=moment("2025-10-26T00:45"))
    assert run.texts == ["Mon 27 Oct 02:30 CET"]


@journey()
async def greets_in_a_wave(j: Journey, entered: Entered) -> None:
    await j.until(time(9), spread=hours(2))
    await j.send(say("good morning"))


async def test_spread_adds_a_share_that_is_fixed_by_person(play: Play) -> None:
    people = [uuid4().hex for _ in range(3)]
    ends = [(await play([greets_in_a_wave], [(NOW, Entered())], user=each))[0].ended for each in people]
    assert ends == [minutes(round(21 * 60 + 120 * share(each))) for each in people]


@journey()
async def greets_at_new_year(j: Journey, entered: Entered) -> None:
    await j.until(datetime(2026, 1, 1, tzinfo=UTC))
    await j.send(say(f"{j.now:{MINUTE}}"))


async def test_until_takes_an_aware_moment_too(play: Play) -> None:
    [run] = await play([greets_at_new_year], [(NOW, Entered())], zone="Asia/Tokyo")
    assert run.texts == ["Thu 01 Jan 09:00 JST"]


async def test_an_unknown_zone_falls_back_to_the_configured_one(play: Play) -> None:
    [run] = await play([greets_at_nine], [(NOW, Entered())], zone="Middle/Earth")
    assert HOME == "Asia/Tokyo"
    assert run.texts == ["Tue 07 Jan 09:00 JST"]


async def test_nobody_of_no_zone_is_greeted_at_night(play: Play) -> None:
    [run] = await play([greets_at_nine], [(NOW, Entered())], zone="")
    assert run.texts == ["Tue 07 Jan 09:00 JST"]


@journey()
async def greets_three_mornings(j: Journey, entered: Entered) -> None:
    for _ in range(3):
        await j.until(time(9))
        await j.send(say(f"{j.now:{MINUTE}}"))


async def test_a_changed_zone_counts_from_the_next_verb(play: Play) -> None:
    moving = (days(1), Identify(zone="America/New_York"))  # Tuesday noon in Berlin, while Wednesday's morning is waited for
    [run] = await play([greets_three_mornings], [(NOW, Entered()), moving], zone="Europe/Berlin")
    assert run.texts == ["Tue 07 Jan 09:00 CET", "Wed 08 Jan 03:00 EST", "Wed 08 Jan 09:00 EST"]


@journey()
async def waits_then_greets(j: Journey, entered: Entered) -> None:
    await j.wait_for(Replied, within=days(2))
    await j.until(time(9))
    await j.send(say(f"{j.now:{MINUTE}} {j.user.locale}"))


async def test_a_changed_zone_and_locale_are_known_when_the_step_they_fell_into_is_over(play: Play) -> None:
    moving = (days(1), Identify(zone="America/New_York", locale="es"))
    [run] = await play([waits_then_greets], [(NOW, Entered()), moving], zone="Europe/Berlin")
    assert run.texts == ["Wed 08 Jan 09:00 EST es"]


async def test_the_diary_says_so_where_a_zone_is_unknown(house: Stage) -> None:
    assert "time zone 'Middle/Earth' is unknown; Asia/Tokyo is used" in await diary_of(house, "Middle/Earth")
    assert "unknown" not in await diary_of(house, "Europe/Berlin")


async def diary_of(house: Stage, zone: str) -> str:
    user = uuid4().hex
    with only([greets_at_nine]):
        await house.identify(user, zone)
        await house.track(user, Entered())
        diary = await house.diary(await house.started(user))
        await house.end_open_runs(user)
    return diary
