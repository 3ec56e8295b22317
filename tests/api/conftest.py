"""The API on a fresh SQLite store, with the shop's journeys and Temporal down."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from api import sns
from api.app import create_app
from connecting import open_store
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_WRITE_KEY, EndpointSetting, Settings
from store.session import Store
from tests.api.relays import certificate
from tests.databases import SqliteDatabases
from tests.events.shop import shop

__all__ = ["shop"]

ADMIN = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
WRITE = {"Authorization": f"Bearer {DEVELOPMENT_WRITE_KEY}"}


@pytest.fixture
def settings(sqlite: SqliteDatabases) -> Settings:
    crm = EndpointSetting(url="https://crm.example/hooks", secrets=[SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
    return Settings(database_url=sqlite.migrated(), endpoints={"crm": crm}, _env_file=None)


@pytest.fixture
async def house(settings: Settings, shop: None) -> AsyncIterator[Store]:
    """The store that the API stands on."""
    store = open_store(settings)
    yield store
    await store.close()


@pytest.fixture
async def api(settings: Settings, house: Store) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key."""
    transport = httpx.ASGITransport(create_app(settings, house))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


@pytest.fixture
def writer(api: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client with the write key."""
    api.headers.update(WRITE)
    return api


@pytest.fixture
def admin(api: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client with the admin key."""
    api.headers.update(ADMIN)
    return api


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of Amazon, which answers with its certificate."""
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return certificate()

    monkeypatch.setattr(sns, "fetch", fetch)
    monkeypatch.setattr(sns, "_keys", {})
    return asked
