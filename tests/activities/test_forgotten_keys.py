"""A provider knows our key for a while only: an attempt in doubt that is older goes by its channel's policy."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from activities.transport import Ambiguous, OutOfReach
from store.tables import Delivery
from tests.activities.house import House, Provider
from tests.activities.test_doubt import EXPIRES, say
from tests.activities.test_sending import HELD, SENT, UNKNOWN, cut_off
from workflows.run import Receipt

HOURS = timedelta(hours=1)


class Forgetful(Provider):
    """A provider that knows our key for a day."""

    keyed_for = timedelta(days=1)


async def grow_old(house: House, by: timedelta) -> None:
    """Let the first attempt in doubt be that long ago."""
    async with house.store.write() as session:
        row = await session.get_one(Delivery, f"{house.run_id}:send:1")
        assert row.doubted_at is not None
        row.doubted_at -= by


@pytest.mark.parametrize(
    ("policy", "receipt", "status", "calls"),
    [("drop", UNKNOWN, "unknown", 2), ("resend", SENT, "sent", 3), ("hold", Receipt("deferred", HELD, EXPIRES), "held", 2)],
)
async def test_a_provider_that_has_forgotten_our_key_takes_none(
    house: House, policy: str, receipt: Receipt, status: str, calls: int
) -> None:
    provider = Forgetful(Ambiguous("connection lost"), OutOfReach("no route"), keyed=True)
    house.live(email=provider)
    house.configure(on_ambiguous={"email": policy})
    for _ in range(2):  # of which the second has surely not been taken
        with pytest.raises(ApplicationError):
            await house.send()
    await grow_old(house, 24 * HOURS)

    assert await house.send() == receipt
    assert (len(provider.calls), (await house.row()).status) == (calls, status)


async def test_an_attempt_that_was_cut_off_is_not_repeated_once_its_key_is_forgotten(house: House) -> None:
    provider = Forgetful(keyed=True)
    house.live(email=provider)
    await cut_off(house, provider)
    async with house.store.write() as session:
        row = await session.get_one(Delivery, f"{house.run_id}:send:1")
        assert row.begun_at is not None
        row.begun_at -= 24 * HOURS

    assert await house.send() == UNKNOWN
    assert len(provider.calls) == 1


async def test_a_provider_that_still_knows_our_key_is_asked_again(house: House) -> None:
    provider = Forgetful(Ambiguous("connection lost"), keyed=True)
    house.live(email=provider)
    with pytest.raises(ApplicationError):
        await house.send()
    await grow_old(house, 23 * HOURS)

    assert await house.send() == SENT
    assert len(provider.calls) == 2


async def test_what_an_operator_has_sent_again_is_under_a_new_key_as_it_were(house: House) -> None:
    provider = Forgetful(Ambiguous("connection lost"), OutOfReach("no route"), keyed=True)
    house.live(email=provider)
    house.configure(on_ambiguous={"email": "hold"})
    with pytest.raises(ApplicationError):
        await house.send()
    await grow_old(house, 24 * HOURS)
    assert (await house.send()).reason == HELD
    await say(house, "resend")
    with pytest.raises(ApplicationError):
        await house.send()

    assert await house.send() == SENT
    assert len(provider.calls) == 3
