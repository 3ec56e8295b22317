"""A message is sent once: attempts that are cut off, overlap, or meet a provider in trouble."""

from __future__ import annotations

import asyncio
import logging
from datetime import time, timedelta

import pytest
from temporalio.api.failure.v1 import Failure as TemporalFailure
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.transport import Ambiguous, OutOfReach, Throttled, Undeliverable
from store.session import lock
from store.tables import Run
from tests.activities.house import NOON, House, Left, Provider, write_template
from workflows.policy import QuietHours
from workflows.run import Receipt

SENT = Receipt("sent")
UNKNOWN = Receipt("failed", "unknown: an attempt was cut off and may have arrived")
HELD = "held: an attempt was cut off and may have arrived"


async def cut_off(house: House, provider: Provider) -> None:
    """Let a worker die while the provider has the message, and the lease of its attempt end."""
    provider.go_on.clear()
    attempt = asyncio.create_task(house.send())
    await provider.called.wait()
    attempt.cancel()
    await asyncio.gather(attempt, return_exceptions=True)
    provider.go_on.set()
    await house.end_lease()


async def test_a_message_is_handed_over_with_its_key_and_written_down(house: House) -> None:
    provider = Provider()
    house.live(email=provider)

    assert await house.send() == SENT
    (parcel,) = provider.calls
    assert (parcel.key, parcel.recipients, parcel.content.subject) == (f"{house.run_id}:send:1", ("ada@example.org",), "A note")
    row = await house.row()
    assert (row.status, row.provider_id, row.attempts, row.leased_until) == ("sent", "provider-1", 1, None)


async def test_the_intent_is_committed_before_the_provider_is_called(house: House) -> None:
    provider = Provider()
    provider.go_on.clear()
    house.live(email=provider)
    attempt = asyncio.create_task(house.send())
    await provider.called.wait()

    assert (await house.row()).status == "intent"
    provider.go_on.set()
    assert await attempt == SENT


async def test_an_attempt_after_the_message_was_sent_sends_nothing_and_says_so(house: House) -> None:
    provider = Provider()
    house.live(email=provider)

    assert [await house.send(), await house.send()] == [SENT, SENT]
    assert len(provider.calls) == 1


async def test_a_message_that_was_sent_stays_sent_when_the_person_exits_and_the_template_breaks(house: House) -> None:
    await house.send()
    await house.happen(Left.name)
    write_template(house.folder, "email/note.mjml", "{{ gone }}")

    assert await house.send() == SENT


async def test_a_refusal_is_final_though_its_reason_passes(house: House) -> None:
    await house.change_person(email=None)
    refused = await house.send()
    await house.change_person(email="ada@example.org")

    assert await house.send() == refused == Receipt("suppressed", "no_address")


async def test_of_two_overlapping_attempts_one_calls_the_provider(house: House) -> None:
    provider = Provider()
    provider.go_on.clear()
    house.live(email=provider)
    first = asyncio.create_task(house.send())
    await provider.called.wait()

    with pytest.raises(ApplicationError) as second:
        await house.send()
    provider.go_on.set()

    assert await first == SENT
    assert len(provider.calls) == 1
    assert second.value.category == ApplicationErrorCategory.BENIGN
    assert timedelta(seconds=30) < (second.value.next_retry_delay or timedelta(0)) <= timedelta(seconds=45)


async def test_of_many_simultaneous_attempts_one_calls_the_provider(house: House) -> None:
    provider = Provider()
    house.live(email=provider)

    receipts = await asyncio.gather(*(house.send() for _ in range(8)), return_exceptions=True)

    assert len(provider.calls) == 1
    assert SENT in receipts
    assert all(receipt == SENT or isinstance(receipt, ApplicationError) for receipt in receipts)


async def test_by_default_a_message_that_may_have_arrived_is_not_sent_again(house: House) -> None:
    provider = Provider()
    house.live(email=provider)
    await cut_off(house, provider)

    assert [await house.send(), await house.send()] == [UNKNOWN, UNKNOWN]
    assert len(provider.calls) == 1
    assert (await house.row()).status == "unknown"


async def test_a_channel_may_hold_what_may_have_arrived(house: House) -> None:
    provider = Provider()
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "hold"})
    await cut_off(house, provider)

    assert await house.send() == Receipt("deferred", HELD, NOON + timedelta(days=1))
    assert len(provider.calls) == 1


async def test_a_channel_may_send_again_what_may_have_arrived(house: House) -> None:
    provider = Provider()
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "resend"})
    await cut_off(house, provider)

    assert await house.send() == SENT
    assert [call.key for call in provider.calls] == [f"{house.run_id}:send:1"] * 2
    assert (await house.row()).attempts == 2


async def test_a_provider_that_takes_our_key_is_asked_again(house: House) -> None:
    provider = Provider(keyed=True)
    house.live(email=provider)
    await cut_off(house, provider)

    assert await house.send() == SENT
    assert len(provider.calls) == 2


async def test_what_may_have_arrived_is_not_sent_again_once_the_run_has_exited(house: House) -> None:
    provider = Provider(keyed=True)
    house.live(email=provider)
    await cut_off(house, provider)
    await house.happen(Left.name)

    assert await house.send() == Receipt("exited", Left.name)
    assert len(provider.calls) == 1
    row = await house.row()
    assert (row.status, row.reason) == ("unknown", Left.name)


async def test_an_attempt_that_outlived_its_lease_still_records_that_it_sent(house: House) -> None:
    provider = Provider()
    provider.go_on.clear()
    house.live(email=provider)
    slow = asyncio.create_task(house.send())
    await provider.called.wait()
    await house.end_lease()
    assert await house.send() == UNKNOWN
    provider.go_on.set()
    await slow

    assert (await house.row()).status == "sent"


async def test_an_attempt_that_outlived_its_lease_does_not_undo_what_the_next_one_did(house: House) -> None:
    slow_one = Provider(ConnectionError("gone"))
    slow_one.go_on.clear()
    house.live(email=slow_one)
    house.configure(on_ambiguous={"email": "resend"})
    slow = asyncio.create_task(house.send())
    await slow_one.called.wait()
    await house.end_lease()
    house.providers = {"email": Provider()}
    assert await house.send() == SENT
    slow_one.go_on.set()
    with pytest.raises(ApplicationError):
        await slow

    assert (await house.row()).status == "sent"


async def test_what_the_provider_refuses_has_failed_and_is_not_tried_again(house: House) -> None:
    provider = Provider(Undeliverable("no such mailbox: ada@example.org"))
    house.live(email=provider)

    assert [await house.send(), await house.send()] == [Receipt("failed", "no such mailbox: …")] * 2
    assert len(provider.calls) == 1


async def test_an_outage_is_tried_again_through_the_gate(house: House) -> None:
    provider = Provider(ConnectionError("no route"), ConnectionError("no route"))
    house.live(email=provider)
    for _ in range(2):
        with pytest.raises(ApplicationError, match="no route"):
            await house.send()
    row = await house.row()
    assert (row.status, row.reason, row.leased_until) == ("retrying", "no route", None)

    assert await house.send() == SENT
    assert (await house.row()).attempts == 3


async def test_an_exit_during_an_outage_ends_the_retries(house: House) -> None:
    provider = Provider(ConnectionError("no route"))
    house.live(email=provider)
    with pytest.raises(ApplicationError):
        await house.send()
    await house.happen(Left.name)

    assert await house.send() == Receipt("exited", Left.name)
    assert len(provider.calls) == 1


async def test_an_outage_that_outlasts_the_message_ends_it(house: House) -> None:
    house.live(email=Provider(ConnectionError("no route")))
    with pytest.raises(ApplicationError):
        await house.send()

    assert await house.send(at=NOON + timedelta(days=1)) == Receipt("suppressed", "expired")


async def test_throttling_waits_as_long_as_the_provider_says_and_alarms_nobody(house: House) -> None:
    house.live(email=Provider(Throttled("slow down", timedelta(seconds=7))))

    with pytest.raises(ApplicationError) as throttled:
        await house.send()

    assert throttled.value.next_retry_delay == timedelta(seconds=7)
    assert throttled.value.category == ApplicationErrorCategory.BENIGN
    assert (await house.row()).status == "retrying"
    assert await house.send() == SENT


async def test_a_provider_that_asks_for_more_time_than_the_message_has_does_not_keep_its_run(house: House) -> None:
    house.live(email=Provider(Throttled("come back next week", timedelta(days=7))))
    with pytest.raises(ApplicationError) as again:
        await house.send(expires=timedelta(hours=1))
    assert again.value.next_retry_delay == timedelta(hours=1)
    assert await house.send(at=NOON + timedelta(hours=1), expires=timedelta(hours=1)) == Receipt("suppressed", "expired")


@pytest.mark.parametrize("silence", [Ambiguous("connection lost"), TimeoutError()])
async def test_silence_after_the_message_was_handed_over_goes_by_the_channels_policy(house: House, silence: Exception) -> None:
    provider = Provider(silence, silence)
    house.live(email=provider)
    assert await house.send() == UNKNOWN

    house.configure(on_ambiguous={"email": "resend"})
    with pytest.raises(ApplicationError):
        await house.send(step="send:2")
    assert await house.send(step="send:2") == SENT


async def test_no_address_enters_the_runs_history(house: House) -> None:
    house.live(email=Provider(OutOfReach("ADA@example.org: try later")))
    with pytest.raises(ApplicationError) as outage:
        await house.send()
    failure = TemporalFailure()
    DefaultFailureConverter().to_failure(outage.value, DataConverter.default.payload_converter, failure)
    assert "try later" in str(failure)
    assert "ada@" not in str(failure).lower()

    write_template(house.folder, "email/note.mjml", "subject: {{ user.email | date }}\n---\n<mjml/>")
    assert "ada@" not in (await house.send(step="send:2")).reason


@pytest.mark.parametrize(("sent", "reads"), [({}, "card card"), ({"paidWith": "cheque"}, "cheque cheque")])
async def test_what_an_app_leaves_out_of_an_event_reads_as_declared(house: House, sent: dict[str, str], reads: str) -> None:
    provider = Provider()
    house.live(sms=provider)
    write_template(house.folder, "sms/paid.txt", "{{ event.paid_with }} {{ event.paidWith }}")

    assert await house.send("sms", "paid", run_id=await house.enter("order_news", "o-1", order="o-1", **sent)) == SENT
    assert provider.calls[0].content.text == reads


async def test_a_broken_template_is_a_failed_receipt_and_a_loud_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    receipt = await house.send(template="broken")

    assert receipt == Receipt("failed", "template: email/broken.mjml:3: 'nobody_gave_this' is undefined")
    assert (await house.row()).status == "failed"
    assert any(record.levelno == logging.ERROR and "broken" in record.message for record in caplog.records)


async def test_a_broken_template_does_not_hide_that_the_run_has_exited(house: House) -> None:
    await house.happen(Left.name)

    assert await house.send(template="broken") == Receipt("exited", Left.name)


async def test_a_broken_template_fails_at_once_though_it_is_night(house: House) -> None:
    house.lay_down(quiet_hours={"email": QuietHours(time(11), time(13))})

    assert (await house.send(template="broken")).status == "failed"


async def test_a_run_that_is_gone_fails_without_a_word_to_anybody(house: House) -> None:
    assert await house.send(run_id="r_gone") == Receipt("exited", "there is no run r_gone: its person was erased")
    assert await house.mailbox() == []


async def test_the_ledger_says_what_was_meant_for_whom(house: House) -> None:
    await house.send("sms", topic="news")

    row = await house.row()
    assert row.model_dump(include={"run_id", "person_id", "journey", "step", "channel", "template", "topic", "at"}) == {
        "run_id": house.run_id,
        "person_id": house.person_id,
        "journey": "greeting",
        "step": "send:1",
        "channel": "sms",
        "template": "note",
        "topic": "news",
        "at": NOON,
    }


async def test_a_send_waits_for_an_exit_that_is_being_accepted(house: House) -> None:
    await asyncio.gather(house.send(step="warm"), house.send(step="up"))  # what is slow the first time
    async with house.store.write() as session:
        await lock(session, [house.person_id])
        session.add(house.event(Left.name))
        await session.flush()
        sending = asyncio.create_task(house.send())
        await asyncio.wait({sending}, timeout=1)
        assert not sending.done()

    assert await sending == Receipt("exited", Left.name)


async def test_the_exit_and_the_send_take_turns(house: House) -> None:
    """Whichever of the two commits first, they agree: a send that has begun is finished, and none begins after the exit."""
    provider = Provider()
    house.live(email=provider)
    for each in range(10):
        provider.calls.clear()
        sent, exit_id = await asyncio.gather(house.send(step=f"send:{each}"), house.happen(Left.name))
        assert (sent == SENT) == bool(provider.calls)
        assert exit_id
        assert await house.send(step=f"after:{each}") == Receipt("exited", Left.name)
        async with house.store.write() as session:  # the next round is a run that begins after this exit
            (await session.get_one(Run, house.run_id)).trigger_id = exit_id
