"""What became of a message: told twice, late, of nobody, of somebody who is another by now, it acts once or not at all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from activities.transport import Ambiguous, Undeliverable
from events.accept import accept
from events.calls import MESSAGE_ID_LENGTH, Clock, understand
from events.erase import erase
from events.operators import Operator
from events.outcomes import Outcome, What, came
from store.tables import AcceptedEvent, Identity, Run
from tests.activities.house import NOON, House, Provider
from workflows.message_events import KINDS

MINUTE = timedelta(minutes=1)
CLOCK = Clock(NOON + timedelta(hours=1))


def outcome(house: House, what: What, id: str = "", *, after: timedelta = MINUTE, **more: Any) -> Outcome:
    at = NOON + after
    return Outcome(what, id or f"{what}-{house.user_id}", at, **({"key": f"{house.run_id}:send:1"} | more))


async def told(house: House) -> list[AcceptedEvent]:
    """Return the events that tell what happened to her messages."""
    names = [kind.name for kind in KINDS.values()]
    mine = select(AcceptedEvent).where(AcceptedEvent.person_id == house.person_id, col(AcceptedEvent.name).in_(names))
    async with house.store.read() as session:
        return list((await session.exec(mine.order_by(col(AcceptedEvent.id)))).all())


async def test_what_happened_is_an_event_that_names_the_message(house: House) -> None:
    await house.send()
    clicked = outcome(house, "clicked", details={"url": "https://ada@app.example/a?b=c#d", "email": "ada@example.org"})
    row = await came(house.store, clicked, CLOCK)
    assert row is not None
    assert row.key == f"{house.run_id}:send:1"
    [event] = await told(house)
    assert (event.kind, event.name, event.status, event.run_id) == ("track", "message_clicked", "pending", None)
    assert (event.occurred_at, event.accepted_at) == (NOON + MINUTE, CLOCK.at)
    about = {"message": row.key, "channel": "email", "template": "note", "journey": "greeting", "topic": "greeting"}
    assert event.data == {**about, "url": "https://app.example/a", "machine": False}


async def test_it_acts_once_however_often_and_by_however_many_it_is_told(house: House) -> None:
    await house.send()
    await asyncio.gather(*(came(house.store, outcome(house, "opened"), CLOCK) for _ in range(8)))
    assert len(await told(house)) == 1


async def test_a_long_id_acts_once_as_well(house: House) -> None:
    await house.send()
    for _ in range(2):
        await came(house.store, outcome(house, "opened", house.user_id + 300 * "x"), CLOCK)
    [event] = await told(house)
    assert len(event.message_id) <= MESSAGE_ID_LENGTH


async def test_no_app_can_give_an_event_the_id_of_an_outcome(house: House) -> None:
    await house.send()
    call = understand({"userId": "mallory", "event": "x", "messageId": f"outcome/opened-{house.user_id}"}, "track", CLOCK)
    await accept(house.store, [call], CLOCK)
    await came(house.store, outcome(house, "opened"), CLOCK)
    assert len(await told(house)) == 1


async def test_out_of_order_the_ledger_knows_when_each_thing_happened_first(house: House) -> None:
    await house.send()
    await came(house.store, outcome(house, "opened", "second", after=3 * MINUTE), CLOCK)
    await came(house.store, outcome(house, "delivered"), CLOCK)
    there = (NOON + 2 * MINUTE).astimezone(tz=None)
    await came(house.store, Outcome("opened", "first", there, key=f"{house.run_id}:send:1"), CLOCK)
    assert (await house.row()).happened == {
        "opened": "2025-01-06T12:02:00.000+00:00",
        "delivered": "2025-01-06T12:01:00.000+00:00",
    }


@pytest.mark.parametrize("what", ["sent", "delivered", "opened", "replied"])
async def test_what_happens_to_a_message_in_doubt_proves_that_it_was_sent(house: House, what: What) -> None:
    house.live(sms=Provider(Ambiguous("no answer")))
    assert (await house.send("sms")).status == "failed"
    assert (await house.row()).status == "unknown"
    await came(house.store, outcome(house, what), CLOCK)
    row = await house.row()
    assert (row.status, row.reason, row.doubted) == ("sent", "", row.doubted)
    assert (await house.send("sms")).status == "sent"


async def test_word_that_comes_before_our_own_answer_is_recorded_stands(house: House) -> None:
    provider = Provider(Ambiguous("no answer"))
    provider.go_on.clear()
    house.live(sms=provider)
    sending = asyncio.create_task(house.send("sms"))
    await provider.called.wait()
    await came(house.store, outcome(house, "delivered"), CLOCK)
    provider.go_on.set()
    await sending
    assert (await house.row()).status == "sent"


async def test_a_message_in_doubt_that_failed_with_its_provider_is_no_longer_in_doubt(house: House) -> None:
    house.live(sms=Provider(Ambiguous("no answer")))
    await house.send("sms")
    await came(house.store, outcome(house, "failed"), CLOCK)
    assert (await house.row()).status == "failed"
    assert await told(house) == []


async def test_what_was_decided_for_good_stays_decided(house: House) -> None:
    house.live(sms=Provider(Undeliverable("no")))
    await house.send("sms")
    await came(house.store, outcome(house, "delivered"), CLOCK)
    await house.say("greeting", granted=False)
    await house.send("sms", step="send:2")
    await came(house.store, outcome(house, "delivered", "other", key=f"{house.run_id}:send:2"), CLOCK)
    assert [(await house.row()).status, (await house.row("send:2")).status] == ["failed", "suppressed"]


async def test_a_message_is_known_by_its_providers_id_on_its_channel(house: House) -> None:
    house.live(sms=Provider())
    await house.send("sms")
    async with house.store.write() as session:
        row = await session.merge(await house.row())
        row.provider_id = f"SM-{house.user_id}"
    by_id: dict[str, Any] = {"key": "", "provider_id": f"SM-{house.user_id}"}
    assert await came(house.store, outcome(house, "delivered", "elsewhere", **by_id, channel="email"), CLOCK) is None
    assert await came(house.store, outcome(house, "delivered", **by_id, channel="sms"), CLOCK) is not None
    assert len(await told(house)) == 1


@pytest.mark.parametrize("unknown", [{"key": "nobody's"}, {"key": ""}, {"key": "", "channel": "sms", "provider_id": "nobody's"}])
async def test_what_happened_to_a_message_that_nobody_knows_is_nothing(house: House, unknown: dict[str, Any]) -> None:
    await house.send()
    assert await came(house.store, outcome(house, "delivered", **unknown), CLOCK) is None
    assert await told(house) == []


async def test_of_somebody_who_was_erased_nothing_is_kept(house: House) -> None:
    await house.add(Identity(name=house.user_id, person_id=house.person_id))
    await house.send()
    await erase(house.store, house.user_id, Operator("grace", "she asked", "", NOON))
    assert await came(house.store, outcome(house, "opened"), CLOCK) is None
    assert await told(house) == []


async def test_it_is_an_event_of_whoever_its_person_turned_out_to_be(house: House) -> None:
    visitor = House(house.store, house.folder)
    await visitor.settle()
    for each in (house, visitor):
        await each.add(Identity(name=each.user_id, person_id=each.person_id))
    await visitor.send()
    joining = {"userId": house.user_id, "previousId": visitor.user_id}
    await accept(house.store, [understand(joining, "alias", CLOCK)], CLOCK)
    row = await came(house.store, outcome(visitor, "opened"), CLOCK)
    assert row is not None
    assert row.person_id == house.person_id
    assert [each.data["message"] for each in await told(house)] == [row.key]


async def test_in_a_played_stream_it_happens_by_the_clock_of_the_run(house: House) -> None:
    await house.send()
    ahead = (NOON - datetime.now(UTC)).total_seconds()
    async with house.store.write() as session:
        run = await session.get_one(Run, house.run_id)
        (await session.get_one(AcceptedEvent, run.trigger_id)).clock_offset = ahead
    await came(house.store, Outcome("opened", house.user_id, datetime.now(UTC), key=f"{house.run_id}:send:1"))
    [event] = await told(house)
    assert NOON <= event.accepted_at < NOON + MINUTE
    assert NOON <= event.occurred_at < NOON + MINUTE
    assert event.clock_offset == pytest.approx(ahead, abs=60)


async def test_a_message_of_a_run_that_was_played_is_not_opened_before_it_was_sent(house: House) -> None:
    await house.send(at=NOON + timedelta(hours=20))
    async with house.store.write() as session:
        run = await session.get_one(Run, house.run_id)
        (await session.get_one(AcceptedEvent, run.trigger_id)).clock_offset = (NOON - datetime.now(UTC)).total_seconds()
    await came(house.store, Outcome("opened", house.user_id, datetime.now(UTC), key=f"{house.run_id}:send:1"))
    [event] = await told(house)
    assert event.accepted_at == NOON + timedelta(hours=20)
