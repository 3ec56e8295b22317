"""What a run leaves unfinished when it is over is concluded with it, and what it knows by itself the ledger learns."""

from __future__ import annotations

import asyncio
from datetime import time, timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities.doubt import HELD
from activities.transport import Ambiguous, OutOfReach, Undeliverable
from events.reconcile import end_row
from store.closing import CUT_SHORT, reopen_messages
from store.tables import Delivery, Run
from tests.activities.house import NOON, House, Provider
from workflows.policy import QuietHours
from workflows.run import Receipt
from workflows.wire import Closing, Conclusion, Dispatch

NIGHT = {"quiet_hours": {"email": QuietHours(time(0), time(20))}}
LATER = NOON + timedelta(hours=1)
SKIPPED = Receipt("suppressed", "skipped by an operator")


async def close(house: House, status: str = "exited", reason: str = "Left") -> None:
    await house.run("close_run", Closing(house.run_id, status, reason, LATER))


async def end(house: House) -> None:
    async with house.store.read() as session:
        run = await session.get_one(Run, house.run_id)
    await end_row(house.store, run, "terminated", "terminated in Temporal", LATER)


async def conclude(house: House, receipt: Receipt = SKIPPED, step: str = "send:1") -> Receipt:
    dispatch = Dispatch(house.run_id, step, "email", "note", "greeting", NOON + timedelta(days=1))
    holds: Receipt = await house.run("conclude_message", Conclusion(dispatch, receipt, LATER))
    return holds


def fate(row: Delivery) -> tuple[str, str]:
    assert (row.retry_at, row.at) == (None, LATER)
    return row.status, row.reason


async def test_a_message_that_waits_when_its_run_exits_has_exited_with_it(house: House) -> None:
    house.lay_down(**NIGHT)
    assert (await house.send()).status == "deferred"
    await close(house)

    assert fate(await house.row()) == ("exited", "Left")


async def test_a_message_that_is_held_when_its_run_exits_stays_so_and_waits_for_no_time(house: House) -> None:
    house.live(email=Provider(Ambiguous("connection lost")))
    house.configure(on_ambiguous={"email": "hold"})
    assert (await house.send()).status == "deferred"
    assert (await house.row()).retry_at is not None
    await close(house)

    assert fate(await house.row()) == ("held", HELD)


async def test_a_message_that_waits_when_its_run_is_terminated_has_exited_for_that_reason(house: House) -> None:
    house.lay_down(**NIGHT)
    await house.send()
    await end(house)

    assert fate(await house.row()) == ("exited", "terminated in Temporal")


async def test_a_message_that_an_outage_holds_up_when_its_run_ends_has_exited(house: House) -> None:
    house.live(email=Provider(OutOfReach("away")))
    with pytest.raises(ApplicationError):
        await house.send()
    await close(house, "completed", "")

    assert fate(await house.row()) == ("exited", "the run is completed")


async def test_what_is_decided_for_good_stays_as_it_is(house: House) -> None:
    house.live(email=Provider())
    await house.send()
    await house.send(template="broken", step="send:2")
    before = await house.row(), await house.row("send:2")
    await close(house)

    assert (await house.row(), await house.row("send:2")) == before
    assert [row.status for row in before] == ["sent", "failed"]


async def test_an_attempt_that_was_cut_off_may_have_arrived_when_its_run_is_over(house: House) -> None:
    await _under_way(house, Provider(), dies=True)
    await end(house)

    assert fate(await house.row()) == ("unknown", CUT_SHORT)


@pytest.mark.parametrize(
    ("answers", "status", "reason"),
    [
        ([], "sent", ""),
        ([Undeliverable("no such mailbox")], "failed", "no such mailbox"),
        ([OutOfReach("away")], "exited", "terminated in Temporal"),
    ],
    ids=["taken", "refused", "out of reach"],
)
async def test_an_attempt_that_outlives_its_run_still_says_how_it_ended(
    house: House, answers: list[Exception], status: str, reason: str
) -> None:
    provider = Provider(*answers)
    attempt = await _under_way(house, provider)
    await end(house)
    assert (await house.row()).status == "unknown"
    provider.go_on.set()
    await asyncio.gather(attempt, return_exceptions=True)

    row = await house.row()
    assert (row.status, row.reason, row.leased_until) == (status, reason, None)


async def _under_way(house: House, provider: Provider, *, dies: bool = False) -> asyncio.Task[Receipt]:
    provider.go_on.clear()
    house.live(email=provider)
    attempt = asyncio.create_task(house.send())
    await provider.called.wait()
    if dies:
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
    return attempt


async def test_a_run_that_goes_on_after_all_asks_the_gate_again(house: House) -> None:
    house.lay_down(**NIGHT)
    await house.send()
    await end(house)
    async with house.store.write() as session:
        run = await session.get_one(Run, house.run_id)
        run.status, run.ended_at = "running", None
        await reopen_messages(await session.connection(), house.run_id)

    assert await house.send(at=NOON + timedelta(hours=9)) == Receipt("sent")


async def test_the_ledger_learns_that_an_operator_skipped_a_message(house: House) -> None:
    house.lay_down(**NIGHT)
    await house.send()

    assert await conclude(house) == SKIPPED
    assert fate(await house.row()) == ("suppressed", "skipped by an operator")
    assert await house.send(at=NOON + timedelta(hours=9)) == SKIPPED


async def test_the_ledger_learns_of_a_message_that_never_came_to_its_gate(house: House) -> None:
    assert await conclude(house, Receipt("failed", "failed by hand")) == Receipt("failed", "failed by hand")
    row = await house.row()
    assert (fate(row), row.journey, row.channel, row.template) == (("failed", "failed by hand"), "greeting", "email", "note")


async def test_what_the_ledger_has_decided_stands_whatever_a_run_knows(house: House) -> None:
    await house.send()

    assert await conclude(house, Receipt("failed", "failed by hand")) == Receipt("sent")
    assert (await house.row()).status == "sent"


async def test_a_message_given_up_in_the_middle_of_an_attempt_may_have_arrived(house: House) -> None:
    provider = Provider()
    attempt = await _under_way(house, provider)

    assert await conclude(house, Receipt("failed", "failed by hand")) == Receipt("failed", CUT_SHORT)
    assert (await house.row()).status == "unknown"
    provider.go_on.set()
    await attempt
    assert (await house.row()).status == "sent"


async def test_nothing_is_recorded_of_somebody_who_was_erased(house: House) -> None:
    gone = Dispatch("r_gone", "send:1", "email", "note", "greeting", LATER)

    assert await house.run("conclude_message", Conclusion(gone, SKIPPED, LATER)) == SKIPPED
    async with house.store.read() as session:
        assert await session.get(Delivery, gone.key) is None
