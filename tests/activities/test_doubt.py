"""An attempt in doubt is looked up with its provider first, and goes by its channel's policy where that cannot tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlmodel import select
from temporalio.exceptions import ApplicationError

from activities.transport import Ambiguous, Parcel, Throttled, Undeliverable
from events.calls import Clock
from events.operators import Operator
from events.outcomes import Outcome, came
from events.resolve import Fate, Settled, resolve
from store.tables import AcceptedEvent, Delivery
from tests.activities.house import NOON, House, Left, Provider
from tests.activities.test_sending import HELD, SENT, UNKNOWN, cut_off
from workflows.run import Receipt

EXPIRES = NOON + timedelta(days=1)


class Findable(Provider):
    """A provider that can be asked. `taken` are its ids for what it has taken; None: it cannot tell."""

    def __init__(self, *answers: Exception, taken: Sequence[str] | None = ()) -> None:
        super().__init__(*answers)
        self.taken = taken
        self.asked: list[tuple[str, datetime]] = []

    async def find(self, parcel: Parcel, since: datetime) -> Sequence[str]:
        self.asked.append((parcel.key, since))
        if self.taken is None:
            raise Ambiguous("who knows")
        return self.taken


async def test_what_the_provider_turns_out_to_have_taken_was_sent(house: House) -> None:
    theirs = f"for {house.user_id}"
    provider = Findable(taken=[theirs])
    house.live(email=provider)
    await cut_off(house, provider)
    begun = (await house.row()).begun_at

    assert [await house.send(), await house.send()] == [SENT, SENT]
    assert len(provider.calls) == 1
    assert provider.asked == [(f"{house.run_id}:send:1", begun)]
    row = await house.row()
    assert (row.status, row.provider_id, row.doubted, row.leased_until) == ("sent", theirs, True, None)


async def test_what_the_provider_has_surely_not_taken_is_sent_again(house: House) -> None:
    provider = Findable(taken=[])
    house.live(email=provider)
    await cut_off(house, provider)

    assert await house.send() == SENT
    assert len(provider.calls) == 2
    row = await house.row()
    assert (row.attempts, row.doubted) == (2, True)


async def test_what_the_provider_has_not_taken_is_sent_again_only_if_it_still_may_be(house: House) -> None:
    provider = Findable(taken=[])
    house.live(email=provider)
    await cut_off(house, provider)
    await house.happen(Left.name)

    assert await house.send() == Receipt("exited", Left.name)
    assert len(provider.calls) == 1
    assert (await house.row()).status == "exited"


@pytest.mark.parametrize(
    ("policy", "receipt", "status", "calls"),
    [("drop", UNKNOWN, "unknown", 1), ("resend", SENT, "sent", 2), ("hold", Receipt("deferred", HELD, EXPIRES), "held", 1)],
)
async def test_where_the_provider_cannot_tell_the_channels_policy_holds(
    house: House, policy: str, receipt: Receipt, status: str, calls: int
) -> None:
    provider = Findable(taken=None)
    house.live(email=provider)
    house.configure(on_ambiguous={"email": policy})
    await cut_off(house, provider)

    assert await house.send() == receipt
    assert len(provider.calls) == calls
    row = await house.row()
    assert (row.status, row.doubted) == (status, True)


async def test_it_cannot_be_told_once_the_address_is_another(house: House) -> None:
    provider = Findable(taken=[])
    house.live(email=provider)
    await cut_off(house, provider)
    await house.change_person(email="new@example.org")

    assert await house.send() == UNKNOWN
    assert provider.asked == []


async def test_another_message_that_says_the_same_is_not_taken_for_it(house: House) -> None:
    provider = Findable()
    house.live(email=provider)
    await house.send(step="send:other")
    provider.called.clear()
    other = (await house.row("send:other")).provider_id
    await cut_off(house, provider)
    provider.taken = [other or ""]

    assert await house.send() == SENT
    assert len(provider.calls) == 3
    assert (await house.row()).provider_id != other


async def test_what_the_provider_has_told_of_already_is_not_taken_for_another_message(house: House) -> None:
    theirs = f"for {house.user_id}"
    provider = Findable(taken=[theirs])
    house.live(email=provider)
    await cut_off(house, provider)
    failed = Outcome("failed", f"failed {theirs}", NOON, key=f"{house.run_id}:send:1", channel="email", provider_id=theirs)
    assert await came(house.store, failed) is not None

    await house.send()
    assert len(provider.calls) == 1


async def test_silence_is_looked_into_when_the_lease_is_over(house: House) -> None:
    provider = Findable(Ambiguous("connection lost"), taken=[f"for {house.user_id}"])
    house.live(email=provider)
    with pytest.raises(ApplicationError) as silence:
        await house.send()
    row = await house.row()
    assert (row.status, row.doubted, silence.value.type) == ("intent", True, "Ambiguous")
    with pytest.raises(ApplicationError, match="another attempt"):
        await house.send()
    assert provider.asked == []
    await house.end_lease()

    assert await house.send() == SENT
    assert len(provider.calls) == 1


async def test_a_provider_that_takes_our_key_need_not_be_asked(house: House) -> None:
    provider = Findable(Ambiguous("connection lost"), taken=[])
    provider.keyed = True
    house.live(email=provider)
    with pytest.raises(ApplicationError):
        await house.send()

    assert await house.send() == SENT
    assert (provider.asked, len(provider.calls)) == ([], 2)
    assert (await house.row()).doubted


@pytest.mark.parametrize("silence", [Ambiguous("connection lost"), TimeoutError()])
async def test_a_message_in_doubt_is_held_as_long_as_it_lives(house: House, silence: Exception) -> None:
    provider = Provider(silence)
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "hold"})

    assert [await house.send(), await house.send()] == [Receipt("deferred", HELD, EXPIRES)] * 2
    row = await house.row()
    assert (row.status, row.reason, row.retry_at, row.doubted, row.leased_until) == ("held", HELD, EXPIRES, True, None)

    assert [await house.send(at=EXPIRES), await house.send(at=EXPIRES)] == [Receipt("failed", HELD)] * 2
    row = await house.row()
    assert (row.status, row.reason, row.retry_at) == ("held", HELD, None)
    assert len(provider.calls) == 1


async def test_a_run_that_has_exited_does_not_wait_for_what_is_held(house: House) -> None:
    house.live(email=Provider(Ambiguous("connection lost")))
    house.configure(on_ambiguous={"email": "hold"})
    await house.send()
    await house.happen(Left.name)

    assert await house.send() == Receipt("exited", Left.name)
    assert (await house.row()).status == "held"


async def test_what_may_have_arrived_stays_in_doubt_though_the_next_attempt_is_refused(house: House) -> None:
    provider = Provider(Ambiguous("connection lost"), Undeliverable("no such mailbox"))
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "resend"})
    with pytest.raises(ApplicationError):
        await house.send()

    assert await house.send() == Receipt("failed", "no such mailbox")
    assert (await house.row()).status == "unknown"


async def test_what_may_have_arrived_stays_in_doubt_though_the_gate_refuses_it_in_the_end(house: House) -> None:
    house.live(email=Provider(Ambiguous("connection lost"), Throttled("slow down")))
    house.configure(on_ambiguous={"email": "resend"})
    for _ in range(2):
        with pytest.raises(ApplicationError):
            await house.send()
    await house.say("greeting", granted=False)

    for _ in range(2):  # an answer that is lost is asked for again
        assert await house.send() == Receipt("suppressed", "no_consent")
    row = await house.row()
    assert (row.status, row.reason) == ("unknown", "no_consent")


async def test_so_it_does_though_the_run_is_over(house: House) -> None:
    house.live(email=Provider(Ambiguous("connection lost")))
    house.configure(on_ambiguous={"email": "resend"})
    with pytest.raises(ApplicationError):
        await house.send()
    await house.happen(Left.name)

    for _ in range(2):
        assert await house.send() == Receipt("exited", Left.name)
    assert (await house.row()).status == "unknown"


async def hear(house: House) -> None:
    """Let the provider tell, late, that it had taken the message."""
    key = f"{house.run_id}:send:1"
    await came(house.store, Outcome("sent", f"sent/{key}", NOON, key=key, channel="email", provider_id=f"late {key}"))


async def an_open_lease(house: House, provider: Provider) -> None:
    await cut_off(house, provider)


async def silence(house: House, provider: Provider) -> None:
    provider.answers.append(Ambiguous("connection lost"))
    with suppress(ApplicationError):
        await house.send()


@pytest.mark.parametrize(
    ("policy", "doubt", "status"),
    [
        ("drop", an_open_lease, "intent"),
        ("drop", silence, "unknown"),
        ("hold", silence, "held"),
        ("resend", silence, "retrying"),
    ],
)
async def test_a_late_status_settles_what_was_in_doubt_and_it_is_not_sent_again(
    house: House, policy: str, doubt: Callable[[House, Provider], Awaitable[None]], status: str
) -> None:
    provider = Provider()
    house.live(email=provider)
    house.configure(on_ambiguous={"email": policy})
    await doubt(house, provider)
    assert (await house.row()).status == status
    await hear(house)

    assert await house.send() == SENT
    assert len(provider.calls) == 1
    row = await house.row()
    assert (row.status, row.provider_id) == ("sent", f"late {row.key}")


@pytest.mark.parametrize("answer", [Undeliverable("no such mailbox"), Ambiguous("connection lost")])
async def test_a_status_that_overtakes_its_answer_holds(house: House, answer: Exception) -> None:
    provider = Provider(answer)
    provider.go_on.clear()
    house.live(email=provider)
    sending = asyncio.create_task(house.send())
    await provider.called.wait()
    await hear(house)
    provider.go_on.set()

    assert [await sending, await house.send()] == [SENT, SENT]
    assert len(provider.calls) == 1
    assert (await house.row()).status == "sent"


# What an operator says.

BY = Operator("ada", "looked it up", "admin", NOON)


async def hold(house: House) -> Provider:
    provider = Provider()
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "hold"})
    await silence(house, provider)
    return provider


async def say(house: House, fate: Fate) -> Delivery | Settled | None:
    return await resolve(house.store, f"{house.run_id}:send:1", fate, BY, Clock.real())


@pytest.mark.parametrize(
    ("fate", "receipt", "calls", "status"),
    [
        ("sent", SENT, 1, "sent"),
        ("drop", Receipt("failed", "unknown: given up by ada: looked it up"), 1, "unknown"),
        ("resend", SENT, 2, "sent"),
    ],
)
async def test_what_an_operator_says_of_a_held_message_holds(
    house: House, fate: Fate, receipt: Receipt, calls: int, status: str
) -> None:
    provider = await hold(house)
    assert isinstance(await say(house, fate), Delivery)

    assert await house.send() == receipt
    assert len(provider.calls) == calls
    row = await house.row()
    assert (row.status, row.retry_at, row.doubted) == (status, None, True)
    async with house.store.read() as session:
        mine = select(AcceptedEvent).where(AcceptedEvent.run_id == house.run_id, AcceptedEvent.kind == "release")
        (release,) = (await session.exec(mine)).all()
    assert (release.status, release.data) == ("pending", {"step": "send:1", "after": 0})


async def test_an_attempt_that_succeeds_after_its_lease_settles_what_is_held_and_wakes_the_run(house: House) -> None:
    provider = Provider()
    provider.go_on.clear()
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "hold"})
    slow = asyncio.create_task(house.send())
    await provider.called.wait()
    await house.end_lease()
    assert (await house.send()).status == "deferred"
    assert (await house.row()).status == "held"
    provider.go_on.set()

    assert await slow == SENT
    row = await house.row()
    assert (row.status, row.retry_at) == ("sent", None)
    async with house.store.read() as session:
        (release,) = (
            await session.exec(select(AcceptedEvent).where(AcceptedEvent.kind == "release", AcceptedEvent.run_id == house.run_id))
        ).all()
    assert (release.status, release.data) == ("pending", {"step": "send:1", "after": 0})


async def test_what_is_to_be_sent_again_passes_the_gate(house: House) -> None:
    provider = await hold(house)
    await say(house, "resend")
    await house.say("greeting", granted=False)

    assert await house.send() == Receipt("suppressed", "no_consent")
    assert len(provider.calls) == 1
    assert (await house.row()).status == "unknown"


async def test_nobody_overrules_what_is_decided(house: House) -> None:
    await hold(house)
    await say(house, "drop")
    assert isinstance(await say(house, "resend"), Settled)
    assert isinstance(await say(house, "sent"), Delivery)
    assert isinstance(await say(house, "drop"), Settled)
    assert (await house.row()).status == "sent"


async def test_a_message_that_no_run_waits_for_any_more_is_not_sent_again(house: House) -> None:
    await hold(house)
    await house.send(at=EXPIRES)
    assert isinstance(await say(house, "resend"), Settled)
    assert isinstance(await say(house, "drop"), Delivery)
