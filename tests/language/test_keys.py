"""Rules 9 and 14: what tells a person's parallel runs apart, and which step an operator may skip."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import Field

from tests.stage import only
from workflows.definition import Event, journey
from workflows.happenings import SOMEONE
from workflows.journey import Journey
from workflows.messages import Email
from workflows.run import Memory, Open
from workflows.simulate import simulate

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Booked(Event, name="test keys: booked"):
    number: int = Field(alias="bookingNumber")


@journey(key="number")
async def reminder(j: Journey, booked: Booked) -> None:
    await j.send(Email("note", {"text": str(booked.number)}))


@pytest.mark.parametrize("data", [{"bookingNumber": 7}, {"bookingNumber": 7.0}, {"bookingNumber": "7"}, {"number": 7}])
def test_a_key_reads_the_same_however_it_is_spelled_on_the_wire(data: dict[str, Any]) -> None:
    assert reminder.key_of(Booked, data) == "7"
    assert reminder.concerns(Booked, data, "7")
    assert not reminder.concerns(Booked, data, "8")


def test_an_event_with_an_alias_comes_back_from_a_history_as_it_was() -> None:
    booked = Booked.model_validate({"bookingNumber": 7})

    assert Booked.model_validate(booked.model_dump(mode="json")) == booked
    with only([reminder]):
        assert [message.data["text"] for message in simulate(reminder, booked).messages] == ["7"]


@pytest.mark.parametrize(
    ("at", "may_be_skipped"),
    [
        (Open("the nudge", NOON, verb="send"), False),
        (Open("the nudge", NOON, verb="send", retry_at=NOON), True),
        (Open("the nudge", NOON, verb="split"), False),
        (Open("the nudge", NOON, verb="wait_for"), True),
        (Open("the nudge", NOON, verb="sleep"), True),
        (Open("another", NOON, verb="sleep"), False),
        (None, False),
    ],
)
def test_a_step_may_be_skipped_while_it_waits_whatever_its_key(at: Open | None, may_be_skipped: bool) -> None:
    runtime: Any = None
    run = Journey(runtime, reminder, SOMEONE, Booked.model_validate({"number": 7}), NOON, Memory(open=at))

    assert run.skippable("the nudge") is may_be_skipped
