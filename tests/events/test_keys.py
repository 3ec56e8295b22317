"""Keys in the store: one of a name at a time, with a name and a rate that can be used."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from events.keys import Refused, Taken, add, listed, revoke, rotate
from events.operators import Operator
from store.session import Store

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BY = Operator("eve", "a new shop", "command line", NOON)


async def test_of_several_who_make_a_key_of_one_name_at_once_one_does(store: Store) -> None:
    made = await asyncio.gather(*(add(store, "shop", "ingest", BY) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(each, str) for each in made) == 1
    assert sum(isinstance(each, Taken) for each in made) == 7
    assert len(await listed(store)) == 1


async def test_a_rotated_key_expires_when_it_would_have(store: Store) -> None:
    end = NOON + timedelta(days=10)
    await add(store, "temp", "admin", BY, expires_at=end)
    for _ in range(2):
        await rotate(store, "temp", BY, grace=timedelta(hours=1))
    assert [each.expires_at for each in await listed(store)] == [NOON + timedelta(hours=1), NOON + timedelta(hours=1), end]


@pytest.mark.parametrize("name", ["", " ", "team/shop", "shöp", "a" * 65, "shop\n", "a?b"])
async def test_a_name_that_does_not_fit_a_path_is_refused(store: Store, name: str) -> None:
    with pytest.raises(Refused, match="has to be of letters, digits, dots, dashes and underscores"):
        await add(store, name, "ingest", BY)
    assert await listed(store) == []


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_rate_that_is_none_is_refused(store: Store, rate: float) -> None:
    with pytest.raises(Refused, match="requests a second"):
        await add(store, "shop", "ingest", BY, rate=rate)


async def test_a_name_is_free_again_once_its_key_was_revoked(store: Store) -> None:
    await add(store, "shop", "ingest", BY)
    await revoke(store, "shop", BY)
    assert (await add(store, "shop", "admin", BY)).startswith("sj_admin_")
