"""What a journey may send, and what of it is still ahead of a run, read from its source."""

from __future__ import annotations

from datetime import timedelta

import pytest

from workflows.definition import JOURNEYS, Event, journey
from workflows.journey import Journey
from workflows.messages import Email, InApp, Message, Push, Sms
from workflows.sends import ahead, sends

DAY = timedelta(days=1)


class Came(Event, name="Came (sends)"):
    pass


class Acted(Event, name="Acted (sends)"):
    pass


@journey(topic="letters")
async def branches_out(j: Journey, came: Came) -> None:
    await j.send(Email("hello", transactional=True))
    if await j.wait_for(Acted, within=3 * DAY):
        await j.send(Push("well_done", capped=InApp("inside")))
        return
    await j.sleep(DAY)
    await j.send(Sms("nudge", expires=timedelta(hours=2), capped="skip"))
    for template in ("one", "two"):
        await j.send(Email(template))
        await j.sleep(DAY, key="a key of its own")


def of(message: Message) -> Message:
    return message


@journey()
async def opaque(j: Journey, came: Came) -> None:
    await j.send(of(Email("hello")))
    await j.send(Email("bye"))


BRANCHES, OPAQUE = JOURNEYS.pop(("branches_out", 1)), JOURNEYS.pop(("opaque", 1))


def test_every_message_is_found_in_the_order_of_the_source_and_what_goes_instead_of_one() -> None:
    found = sends(BRANCHES)
    assert found.whole
    assert [(each.channel, each.template) for each in found.messages] == [
        ("email", "hello"),
        ("push", "well_done"),
        ("sms", "nudge"),
        ("email", "one"),
        ("email", "two"),
        ("in_app", "inside"),
    ]


def test_a_message_is_read_with_how_it_meets_the_gate() -> None:
    found = {each.template: (each.transactional, each.waits, each.expires) for each in sends(BRANCHES).messages}
    assert found["hello"] == (True, True, DAY)
    assert found["well_done"] == (False, False, DAY)
    assert found["nudge"] == (False, False, timedelta(hours=2))


def test_a_journey_whose_messages_are_made_elsewhere_tells_the_others() -> None:
    found = sends(OPAQUE)
    assert not found.whole
    assert [each.template for each in found.messages] == ["bye"]


@pytest.mark.parametrize(
    ("step", "templates"),
    [
        ("send:email/hello", {"well_done", "nudge", "one", "two"}),
        ("wait:Acted (sends)", {"well_done", "nudge", "one", "two"}),
        ("send:push/well_done", set()),
        ("send:push/well_done:instead", set()),
        ("send:sms/nudge", {"one", "two"}),
        ("send:email/one#2", {"one", "two"}),
    ],
)
def test_what_is_ahead_of_a_step_is_what_its_branch_may_still_send(step: str, templates: set[str]) -> None:
    coming = ahead(BRANCHES, step)
    assert coming is not None
    assert {template for _, template in coming} == templates


def test_a_step_with_a_key_of_its_own_may_be_anywhere() -> None:
    assert ahead(BRANCHES, "a key of its own") is None
