"""Accepting is tested on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from settings import DEVELOPMENT_ERASURE_KEY
from store.session import Store
from tests.databases import Databases
from tests.events.crowd import transitions
from tests.events.quiet import quiet_house
from tests.events.shop import shop

__all__ = ["quiet_house", "shop"]


@pytest.fixture(autouse=True)
def nothing_is_told() -> Iterator[None]:
    with transitions():
        yield


@pytest.fixture
def url(databases: Databases) -> str:
    return databases.migrated()


@pytest.fixture
async def store(url: str, shop: None) -> AsyncIterator[Store]:
    """A fresh store, and the shop's journeys."""
    store = Store(url, erasure_key=DEVELOPMENT_ERASURE_KEY)
    yield store
    await store.close()
