"""The endpoints of webhooks, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from api.app import create_app
from settings import Settings
from store.session import Store
from store.tables import Endpoint
from tests.api.conftest import ADMIN
from tests.api.test_collect import refused

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BY = {**ADMIN, "X-Actor": "mira", "X-Reason": "it is back"}
THEN = datetime(2025, 1, 6, 12, tzinfo=UTC)


@pytest.fixture
async def api(settings: Settings, house: Store) -> httpx.AsyncClient:
    named = {name: {"url": f"https://{name}.example/in?token=t0ken", "secrets": [SECRET]} for name in ("crm", "billing")}
    known = Settings(_env_file=None, database_url=settings.database_url, endpoints=named)
    async with house.write() as session:
        session.add(Endpoint(name="crm", disabled_at=THEN, reason="it answered 410, so it is gone"))
        session.add(Endpoint(name="former", disabled_at=THEN, reason="it answered 410, so it is gone"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(known, house)), base_url="http://s", headers=ADMIN)


async def test_each_is_listed_with_whether_it_is_disabled_and_without_its_secrets(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/endpoints")
    assert answer.json() == {
        "endpoints": [
            {"name": "billing", "host": "billing.example", "disabled_at": None, "reason": ""},
            {
                "name": "crm",
                "host": "crm.example",
                "disabled_at": "2025-01-06T12:00:00Z",
                "reason": "it answered 410, so it is gone",
            },
        ]
    }


async def test_an_operator_enables_one_again_and_that_is_in_the_audit_log(api: httpx.AsyncClient, house: Store) -> None:
    assert refused(await api.post("/v1/endpoints/crm/enable")) == (422, "invalid")

    answer = await api.post("/v1/endpoints/crm/enable", headers=BY)
    assert answer.json() == {"name": "crm", "host": "crm.example", "disabled_at": None, "reason": ""}
    assert [each["disabled_at"] for each in (await api.get("/v1/endpoints")).json()["endpoints"]] == [None, None]
    async with house.read() as session:
        assert (await session.get_one(Endpoint, "crm")).disabled_at is None

    await api.post("/v1/endpoints/crm/enable", headers=BY)
    [entry] = (await api.get("/v1/audit")).json()["entries"]
    assert (entry["action"], entry["actor"], entry["reason"], entry["subject"]) == ("enable", "mira", "it is back", "crm")


async def test_what_is_not_configured_cannot_be_enabled(api: httpx.AsyncClient) -> None:
    for name in ("former", "never"):
        assert refused(await api.post(f"/v1/endpoints/{name}/enable", headers=BY)) == (404, "not_found")
