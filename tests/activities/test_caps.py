"""Frequency caps and the holdout at the gate: counted under the person's lock, so that they hold however many ask at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlmodel import select
from temporalio.exceptions import ApplicationError

from activities.transport import Ambiguous, OutOfReach, Undeliverable
from events.accept import accept
from events.calls import Clock, understand
from store.tables import Assignment, Delivery, Identity
from tests.activities.house import NOON, House, Provider
from workflows.policy import Calendar, Cap, Holdout
from workflows.run import Receipt

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MIDNIGHT = datetime(2025, 1, 7, tzinfo=UTC)
SENT, SKIPPED = Receipt("sent"), Receipt("suppressed", "frequency_cap")


def waits_until(moment: datetime) -> Receipt:
    return Receipt("deferred", "frequency_cap", moment)


@pytest.mark.parametrize("window", [Calendar.DAY, DAY], ids=["calendar", "rolling"])
async def test_fifty_runs_at_once_under_two_a_day_send_exactly_two(house: House, window: Calendar | timedelta) -> None:
    house.lay_down(caps=(Cap(2, window),))
    provider = Provider()
    house.live(email=provider, sms=provider)
    runs = [await house.enter("order_news", f"{each}", order=f"{each}") for each in range(50)]
    outcomes = await asyncio.gather(
        *(house.send("email" if each % 2 else "sms", run_id=run, expires=3 * DAY) for each, run in enumerate(runs))
    )
    again = MIDNIGHT if isinstance(window, Calendar) else NOON + DAY
    assert sorted(outcomes, key=lambda each: each.status) == [waits_until(again)] * 48 + [SENT] * 2
    assert len(provider.calls) == 2


async def test_a_rolling_window_has_room_when_the_first_is_older_than_it(house: House) -> None:
    house.lay_down(caps=(Cap(2, DAY),))
    for each in range(2):
        assert await house.send(step=f"send:{each}", at=NOON + each * HOUR) == SENT
    assert await house.send(step="third", at=NOON + 2 * HOUR, expires=3 * DAY) == waits_until(NOON + DAY)
    assert await house.send(step="third", at=NOON + DAY - timedelta(seconds=1), expires=3 * DAY) == waits_until(NOON + DAY)
    assert await house.send(step="third", at=NOON + DAY, expires=3 * DAY) == SENT
    assert await house.send(step="fourth", at=NOON + DAY, expires=3 * DAY) == waits_until(NOON + DAY + HOUR)


async def test_the_calendars_day_is_the_persons_own(house: House) -> None:
    house.lay_down(caps=(Cap(1, Calendar.DAY),))
    await house.change_person(zone="Asia/Kolkata")  # where it is 17:30
    midnight = datetime(2025, 1, 6, 18, 30, tzinfo=UTC)
    assert await house.send() == SENT
    assert await house.send(step="second") == waits_until(midnight)
    assert await house.send(step="second", at=midnight) == SENT


async def test_a_cap_counts_its_channel_or_its_topic_and_without_either_all_that_goes_out(house: House) -> None:
    house.lay_down(caps=(Cap(1, DAY, channel="sms"), Cap(2, DAY, topic="news"), Cap(4, DAY)))
    assert await house.send("sms", step="1") == SENT
    assert (await house.send("sms", step="2")).reason == "frequency_cap"
    assert [await house.send("email", step=step, topic="news") for step in ("3", "4")] == [SENT, SENT]
    assert (await house.send("push", step="5", topic="news")).reason == "frequency_cap"
    assert await house.send("push", step="6") == SENT
    assert (await house.send("email", step="7")).reason == "frequency_cap"
    assert await house.send("in_app", step="8") == SENT  # which interrupts nobody
    assert (await house.row("7")).saw["cap"] == "4 in 1 day"


async def test_what_is_transactional_is_neither_held_nor_counted(house: House) -> None:
    house.lay_down(caps=(Cap(1, DAY),), holdout=Holdout(1))
    for each in range(3):
        assert await house.send(step=f"receipt:{each}", transactional=True) == SENT
    house.lay_down(caps=(Cap(1, DAY),))
    assert await house.send(step="news") == SENT
    assert await house.send(step="receipt:4", transactional=True) == SENT


async def test_a_message_that_failed_or_is_to_be_tried_again_gives_its_room_back(house: House) -> None:
    house.lay_down(caps=(Cap(1, DAY),))
    house.live(email=Provider(Undeliverable("no such mailbox"), OutOfReach("no route")))
    assert (await house.send(step="fails")).status == "failed"
    with pytest.raises(Exception, match="no route"):
        await house.send(step="tried again")
    assert await house.send(step="third") == SENT
    assert (await house.send(step="tried again")).reason == "frequency_cap"


async def test_a_message_of_which_nobody_knows_whether_it_arrived_keeps_its_room(house: House) -> None:
    house.lay_down(caps=(Cap(1, DAY),))
    house.live(email=Provider(TimeoutError()))
    assert (await house.send(step="first")).status == "failed"
    assert (await house.row("first")).status == "unknown"
    assert (await house.send(step="second")).reason == "frequency_cap"


@pytest.mark.parametrize("keyed", [True, False])
async def test_a_message_that_may_have_arrived_keeps_its_room_until_it_is_tried_again(house: House, keyed: bool) -> None:
    house.lay_down(caps=(Cap(1, DAY),))
    house.live(email=Provider(Ambiguous("connection lost"), keyed=keyed))
    house.configure(on_ambiguous={"email": "resend"})
    with pytest.raises(ApplicationError):
        await house.send(step="first")
    assert (await house.send(step="second")).reason == "frequency_cap"
    assert await house.send(step="first") == SENT


async def test_a_capped_message_waits_if_it_lives_so_long_and_its_journey_wants_it_to(house: House) -> None:
    house.lay_down(caps=(Cap(1, DAY),))
    assert await house.send() == SENT
    assert await house.send(step="lives", expires=DAY + HOUR) == waits_until(NOON + DAY)
    assert await house.send(step="does not live", expires=DAY) == SKIPPED
    assert await house.send(step="does not wait", expires=3 * DAY, waits=False) == SKIPPED
    saw = (await house.row("does not wait")).saw
    assert saw == {"cap": "1 in 1 day", "room_at": "2025-01-07T12:00:00+00:00", "had": ["2025-01-06T12:00:00+00:00"]}


async def test_who_asked_for_fewer_is_capped_without_any_cap(house: House) -> None:
    assert [await house.send(step=step) for step in ("1", "2")] == [SENT, SENT]
    await house.change_person(fewer=True)
    assert (await house.send(step="3")).reason == "frequency_cap"


# The holdout.

HELD_OUT = Receipt("suppressed", "holdout")


async def test_the_holdout_is_recorded_as_the_message_it_replaces(house: House) -> None:
    house.lay_down(holdout=Holdout(1))
    assert await house.send(experiment="greetings", variant="warm") == HELD_OUT
    row = await house.row()
    assert (row.status, row.reason, row.saw) == ("suppressed", "holdout", {"holdout": "global", "share": 1})
    assert (row.variant, row.exposed_at, row.at) == ("warm", NOON, NOON)
    assert await house.mailbox() == []


async def test_what_the_holdout_replaces_takes_room_under_a_cap_as_if_it_had_been_sent(house: House) -> None:
    house.lay_down(holdout=Holdout(1), caps=(Cap(1, DAY),))
    assert await house.send(step="first") == HELD_OUT
    assert (await house.send(step="second")).reason == "frequency_cap"


async def test_the_holdout_is_asked_last(house: House) -> None:
    house.lay_down(holdout=Holdout(1))
    await house.say("greeting", granted=False)
    assert (await house.send(step="first")).reason == "no_consent"
    assert await assigned(house) == {}, "whoever gets nothing anyway is not sampled"
    await house.say("greeting", granted=True)
    assert await house.send(step="second") == HELD_OUT


@pytest.mark.parametrize(("first", "later", "receipt"), [(1.0, 0.0, HELD_OUT), (0.0, 1.0, SENT)], ids=["in", "out"])
async def test_who_was_in_the_holdout_once_stays_as_they_were_whatever_becomes_of_its_share(
    house: House, first: float, later: float, receipt: Receipt
) -> None:
    house.lay_down(holdout=Holdout(first))
    assert await house.send(step="first") == receipt
    house.lay_down(holdout=Holdout(later))
    assert await house.send(step="second") == receipt
    assert await assigned(house) == {"holdout/global": "held_out" if receipt == HELD_OUT else "sent_to"}


async def test_another_holdout_asks_anew(house: House) -> None:
    house.lay_down(holdout=Holdout(1))
    assert await house.send(step="first") == HELD_OUT
    house.lay_down(holdout=Holdout(0, "second"))
    assert await house.send(step="second") == SENT


async def test_the_holdout_keeps_somebody_who_turns_out_to_have_another_name(house: House) -> None:
    """By their new name alone they might be sampled otherwise: what was decided stays decided."""
    visitor = f"anon:{house.user_id}"
    await house.change_person(user_id=visitor)
    await house.add(Identity(name=visitor, person_id=house.person_id))
    house.lay_down(holdout=Holdout(1))
    assert await house.send(step="first") == HELD_OUT

    house.lay_down(holdout=Holdout(0))
    known = {"userId": f"known-{uuid4().hex}", "messageId": uuid4().hex, "timestamp": NOON.isoformat()}
    await accept(house.store, [understand(known, "identify", Clock(NOON))], Clock(NOON))
    alias = {**known, "messageId": uuid4().hex, "previousId": house.user_id, "anonymousId": house.user_id}
    await accept(house.store, [understand(alias, "identify", Clock(NOON))], Clock(NOON))
    async with house.store.read() as session:
        joined = (await session.exec(select(Identity.person_id).where(Identity.name == visitor))).one()
        now = (await session.exec(select(Identity.person_id).where(Identity.name == known["userId"]))).one()
    assert joined == now, "they are one"
    async with house.store.read() as session:
        theirs = (await session.exec(select(Assignment.variant).where(Assignment.person_id == now))).all()
    assert list(theirs) == ["held_out"]


async def assigned(house: House) -> dict[str, str]:
    async with house.store.read() as session:
        rows = (await session.exec(select(Assignment).where(Assignment.person_id == house.person_id))).all()
    return {row.experiment: row.variant for row in rows}


async def test_a_message_that_is_held_out_is_so_whenever_it_is_asked_again(house: House) -> None:
    house.lay_down(holdout=Holdout(1))
    assert [await house.send(), await house.send()] == [HELD_OUT, HELD_OUT]
    async with house.store.read() as session:
        rows = (await session.exec(select(Delivery).where(Delivery.person_id == house.person_id))).all()
    assert len(rows) == 1
