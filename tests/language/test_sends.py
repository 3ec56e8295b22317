"""Rule 7: what a send returns, what it waits for, and what it never does to the run."""

from __future__ import annotations

from studio.addresses import GERMAN
from studio.story import Said
from tests.language.both import HOME, Play
from tests.language.words import NOW, Entered, Tapped, days, hours, moment, say
from workflows.definition import journey
from workflows.happenings import Identify, OptOut
from workflows.journey import Journey
from workflows.messages import CHANNELS, Email, InApp, Push, Sms, Webhook

NIGHT = moment("2025-01-06T23:00")


@journey(topic="news")
async def sends_on_each_channel(j: Journey, entered: Entered) -> None:
    receipts = [
        await j.send(Email("note", {"text": "by mail"})),
        await j.send(Sms("note", {"text": "by text"})),
        await j.send(Push("note", {"text": "by push"})),
        await j.send(InApp("note", {"text": "inside"})),
    ]
    await j.send(Email("note", {"text": " ".join(f"{each.status}/{each.reason}" for each in receipts)}, topic="receipts"))


async def test_a_send_returns_sent_once_the_provider_has_taken_it(play: Play) -> None:
    [run] = await play([sends_on_each_channel], [(NOW, Entered())])
    assert run.texts == ["by mail", "by text", "by push", "inside", "sent/ sent/ sent/ sent/"]
    assert [said.channel for said in run.said] == ["email", "sms", "push", "in_app", "email"]


async def test_a_message_without_an_address_is_suppressed_and_the_run_goes_on(play: Play) -> None:
    [run] = await play([sends_on_each_channel], [(NOW, Entered())], reachable=frozenset(("email", "in_app")))
    assert run.texts[-1] == "sent/ suppressed/no_address suppressed/no_address sent/"
    assert run.said[1] == Said(NOW, "sms", "note", "suppressed", "no_address", "", "send:sms/note")
    assert run.status == "completed"


async def test_what_a_person_opted_out_of_is_suppressed_on_that_channel(play: Play) -> None:
    [run] = await play([sends_on_each_channel], [(NOW, OptOut("news", "sms")), (hours(1), Entered())])
    assert run.texts[-1] == "sent/ suppressed/no_consent sent/ sent/"


async def test_what_a_person_opted_out_of_altogether_is_suppressed_on_all(play: Play) -> None:
    [run] = await play([sends_on_each_channel], [(NOW, OptOut("news")), (hours(1), Entered())])
    assert run.texts == [" ".join(["suppressed/no_consent"] * 4)]


@journey(topic="news")
async def tells_our_own_systems(j: Journey, entered: Entered) -> None:
    told = await j.send(Webhook("note", {"text": "to the CRM"}, endpoint="crm"))
    await j.send(Email("note", {"text": told.status}, topic="receipts"))


async def test_nobody_is_asked_and_no_address_needed_for_a_webhook_to_our_own_systems(play: Play) -> None:
    reachable = frozenset(("email",))
    [run] = await play([tells_our_own_systems], [(NOW, OptOut("news")), (hours(1), Entered())], reachable=reachable)
    assert run.texts == ["to the CRM", "sent"]
    assert run.said[0].channel == "webhook"


@journey()
async def sends_to_a_topic_of_its_own_name(j: Journey, entered: Entered) -> None:
    await j.sleep(days(1))
    await j.send(say("hello"))


async def test_without_a_topic_a_journeys_name_is_what_a_person_opts_out_of(play: Play) -> None:
    opted_out = (hours(5), OptOut("sends_to_a_topic_of_its_own_name"))
    [run] = await play([sends_to_a_topic_of_its_own_name], [(NOW, Entered()), opted_out])
    assert [(said.status, said.reason) for said in run.said] == [("suppressed", "no_consent")]


@journey()
async def sends_what_is_broken(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Email("broken"))
    await j.send(say(receipt.status))


async def test_a_bug_in_a_template_is_a_failed_receipt_and_the_run_goes_on(play: Play) -> None:
    [run] = await play([sends_what_is_broken], [(NOW, Entered())])
    assert [(said.template, said.status, said.text) for said in run.said] == [("broken", "failed", ""), ("note", "sent", "failed")]
    assert run.status == "completed"


@journey()
async def texts_twice(j: Journey, entered: Entered) -> None:
    await j.send(Sms("note", {"text": "one"}))
    await j.send(say(f"{j.now:%a %H:%M}"))


async def test_quiet_hours_are_waited_out(play: Play) -> None:
    [run] = await play([texts_twice], [(NOW, Entered())], at=NIGHT)
    assert run.texts == ["one", "Tue 08:00"]
    assert [said.after for said in run.said] == [hours(9), hours(9)]


async def test_quiet_hours_are_those_of_the_persons_zone(play: Play) -> None:
    [run] = await play([texts_twice], [(NOW, Entered())], at=NIGHT, zone="America/New_York")
    assert run.texts == ["one", "Mon 18:00"]


async def test_quiet_hours_of_an_unknown_zone_are_those_of_the_configured_one(play: Play) -> None:
    [run] = await play([pushes_twice], [(NOW, Entered())], at=moment("2025-01-06T13:00"), zone="Middle/Earth")
    assert HOME == "Asia/Tokyo"
    assert [said.after for said in run.said] == [hours(10), hours(10)]


@journey()
async def pushes_twice(j: Journey, entered: Entered) -> None:
    await j.send(Push("note", {"text": "one"}))
    await j.send(say("two"))


async def test_a_text_to_somebody_in_an_unknown_zone_keeps_the_quiet_hours_of_their_phone_number(play: Play) -> None:
    [run] = await play([texts_twice], [(NOW, Entered())], at=moment("2025-01-06T20:30"), zone="Middle/Earth")
    assert GERMAN == ("Europe/Berlin",)
    assert [said.after for said in run.said] == [hours(10.5), hours(10.5)]


@journey()
async def texts_in_a_hurry(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Sms("note", {"text": "flash sale"}, expires=hours(9)))
    await j.send(say(f"{receipt.status} {receipt.reason} {j.now:%H:%M}"))


async def test_a_message_that_would_expire_in_quiet_hours_is_suppressed_at_once(play: Play) -> None:
    [run] = await play([texts_in_a_hurry], [(NOW, Entered())], at=NIGHT)
    assert run.texts == ["suppressed quiet_hours 23:00"]


async def test_a_message_that_expires_just_after_quiet_hours_is_sent(play: Play) -> None:
    [run] = await play([texts_in_a_hurry], [(NOW, Entered())], at=moment("2025-01-06T23:01"))
    assert run.texts == ["flash sale", "sent  08:00"]


async def test_the_gate_is_asked_again_after_a_deferral(play: Play) -> None:
    [run] = await play([texts_twice], [(NOW, Entered()), (hours(3), OptOut("texts_twice", "sms"))], at=NIGHT)
    assert [(said.after, said.status, said.reason) for said in run.said[:1]] == [(hours(9), "suppressed", "no_consent")]


async def test_a_deferred_message_waits_on_where_its_person_moves_to_another_night(play: Play) -> None:
    moved = (hours(3), Identify(zone="America/New_York"))  # at 08:00 UTC it is 03:00 there
    [run] = await play([texts_twice], [(NOW, Entered()), moved], at=NIGHT)
    assert run.texts == ["one", "Tue 08:00"]
    assert run.said[0].after == hours(14)


async def test_events_that_come_in_a_deferral_are_kept_for_the_next_wait(play: Play) -> None:
    [run] = await play([texts_then_waits], [(NOW, Entered()), (hours(3), Tapped(button="at night"))], at=NIGHT)
    assert run.texts == ["one", "at night"]
    assert run.ended == hours(9)


@journey()
async def texts_then_waits(j: Journey, entered: Entered) -> None:
    await j.send(Sms("note", {"text": "one"}))
    tapped = await j.wait_for(Tapped, within=days(1))
    await j.send(say(tapped and tapped.button))


async def test_a_message_lives_for_a_day_unless_it_says_otherwise() -> None:
    assert {kind.__dataclass_fields__["expires"].default for kind in CHANNELS.values()} == {days(1)}
