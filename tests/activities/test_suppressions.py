"""A suppression: nothing goes to the address, whoever uses it, from the moment it is accepted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlmodel import select
from temporalio.exceptions import ApplicationError

from events.erase import erase
from events.operators import Operator
from events.suppress import lift, suppress
from store.sending import lock_to_send
from store.tables import Identity, Operation, Suppression
from tests.activities.house import NOON, PHONE, House, Provider
from workflows.run import Receipt

SENT, SUPPRESSED = Receipt("sent"), Receipt("suppressed", "suppressed")
BY = Operator("eve", "she wrote to us", "ops", NOON)


@pytest.fixture
async def address(house: House) -> str:
    """An address of her own: suppressions outlive a test, as they do a person."""
    address = f"{uuid4().hex}@example.org"
    await house.change_person(email=address)
    return address


async def test_nothing_goes_to_an_address_that_is_suppressed(house: House, address: str) -> None:
    assert await suppress(house.store, "email", address, "hard_bounce", "resend", NOON)

    assert await house.send() == SUPPRESSED
    assert (await house.row()).saw == {"cause": "hard_bounce"}
    assert await house.send("push", step="send:2") == SENT


async def test_however_the_address_is_written_it_is_the_same(house: House, address: str) -> None:
    await suppress(house.store, "email", f" {address.upper()}", "complaint", "resend", NOON)

    assert await house.send() == SUPPRESSED


async def test_a_suppression_holds_for_what_is_transactional_too(house: House, address: str) -> None:
    await suppress(house.store, "email", address, "complaint", "resend", NOON)

    assert await house.send(transactional=True) == SUPPRESSED


async def test_a_number_is_suppressed_for_texts(house: House) -> None:
    await suppress(house.store, "sms", PHONE, "stop", "twilio", NOON)
    assert await house.send("sms") == SUPPRESSED

    assert await lift(house.store, "sms", PHONE, cause="manual") is False
    assert await lift(house.store, "sms", PHONE, cause="stop") is True
    assert await house.send("sms", step="send:2") == SENT


async def test_everybody_who_uses_the_address_is_concerned(house: House, address: str) -> None:
    await suppress(house.store, "email", address, "hard_bounce", "resend", NOON)
    other = House(house.store, house.folder)
    await other.settle()
    await other.change_person(email=address)

    assert await other.send() == SUPPRESSED


async def test_a_whole_person_is_suppressed_on_every_channel(house: House) -> None:
    await suppress(house.store, "*", house.user_id, "manual", "operator", NOON)

    assert [await house.send(channel, step=channel) for channel in ("email", "sms", "push", "in_app")] == [SUPPRESSED] * 4


async def test_a_person_is_suppressed_by_whichever_name_of_theirs_is_given(house: House) -> None:
    former = f"anon:{house.user_id}"
    for name in (house.user_id, former):
        await house.add(Identity(name=name, person_id=house.person_id))
    assert await suppress(house.store, "*", former, "manual", "operator", NOON, BY)
    assert await house.send("in_app") == SUPPRESSED

    assert await lift(house.store, "*", former, BY)
    assert await house.send("in_app", step="send:2") == SENT


async def test_a_person_is_suppressed_on_a_channel_without_addresses(house: House) -> None:
    await suppress(house.store, "push", house.user_id, "manual", "operator", NOON)

    assert await house.send("push") == SUPPRESSED
    assert await house.send("in_app", step="send:2") == SENT


async def test_the_first_cause_is_kept(house: House, address: str) -> None:
    assert await suppress(house.store, "email", address, "complaint", "resend", NOON) is True
    assert await suppress(house.store, "email", address, "hard_bounce", "resend", NOON) is False

    await house.send()
    assert (await house.row()).saw == {"cause": "complaint"}


async def test_no_address_is_kept_and_none_is_in_the_audit_log(house: House, address: str) -> None:
    await suppress(house.store, "email", address, "manual", "operator", NOON, replace(BY, reason=f"{address} asked"))

    async with house.store.read() as session:
        kept = [str(each) for table in (Suppression, Operation) for each in (await session.exec(select(table))).all()]
        done = (await session.exec(select(Operation).where(Operation.action == "suppress"))).all()[-1]
    assert [each for each in kept if address in each] == []
    assert (done.actor, done.reason, done.details) == (
        "eve",
        "… asked",
        {"channel": "email", "cause": "manual", "source": "operator"},
    )


async def test_it_outlives_the_erasure_of_who_used_the_address(house: House, address: str) -> None:
    await house.add(Identity(name=house.user_id, person_id=house.person_id))
    await suppress(house.store, "email", address, "complaint", "resend", NOON)
    assert await erase(house.store, house.user_id, BY)

    again = House(house.store, house.folder)
    await again.settle()
    await again.change_person(email=address)
    assert await again.send() == SUPPRESSED


async def test_it_waits_for_the_lock_of_everybody_who_uses_the_address(house: House, address: str) -> None:
    """So that no message begins once it is accepted: one that is just beginning is let begin first."""
    accepted = asyncio.Event()

    async def suppress_now() -> None:
        await suppress(house.store, "email", address, "complaint", "resend", NOON)
        accepted.set()

    async with house.store.write() as session:
        await lock_to_send(session, house.person_id)
        suppressing = asyncio.create_task(suppress_now())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(accepted.wait(), 0.2)
    await asyncio.wait_for(suppressing, 10)


async def test_a_message_that_was_deferred_does_not_go_out_once_the_address_is_suppressed(house: House, address: str) -> None:
    provider = Provider(ConnectionError("away"))
    house.live(email=provider)
    with pytest.raises(ApplicationError):
        await house.send()
    await suppress(house.store, "email", address, "complaint", "resend", NOON)

    assert await house.send() == SUPPRESSED
    assert len(provider.calls) == 1
