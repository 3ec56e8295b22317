"""Whatever who has a key asks for, of people, messages and addresses, neither database breaks at it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from settings import Settings
from tests.databases import Databases

OPERATOR = {"X-Actor": "eve", "X-Reason": "to see"}
NAMES = ["ada", "%00", "a%00b", "x" * 3000, "%ff%fe", "ada%40example.org"]
LOOKED_AT = [
    *("/v1/users/{}/explain", "/v1/users/ada/explain?journey={}", "/v1/users/ada/explain?message={}"),
    *("/v1/users/{}/preferences", "/v1/users/{}/consents?before=99999999999999999999"),
    *("/v1/suppressions/email/{}", "/v1/suppressions/sms/{}", "/v1/messages?status=held&before={}", "/v1/messages/{}"),
]
SAID = [
    ("PUT", "/v1/suppressions/email/{}", {"cause": "\0"}),
    ("DELETE", "/v1/suppressions/email/{}", None),
    ("POST", "/v1/endpoints/{}/enable", None),
    ("PUT", "/v1/stops/journey/{}", None),
    ("POST", "/v1/messages/{}/resolve", {"outcome": "sent"}),
    ("PUT", "/v1/users/{}/consent", {"topic": "\0a", "granted": True, "source": "\0", "evidence": {"a": "\0"}}),
    ("PUT", "/v1/users/{}/preferences", {"topics": {"\0": {"email": True}}, "source": "\0"}),
    ("POST", "/v1/users/{}/preferences-link", None),
]


@pytest.fixture
def settings(databases: Databases) -> Settings:
    return Settings(database_url=databases.migrated(), _env_file=None)


@pytest.fixture
async def ada(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/identify", json={"userId": "ada", "traits": {"email": "ada@example.org"}})


@pytest.mark.usefixtures("ada")
async def test_no_name_breaks_a_door(admin: httpx.AsyncClient) -> None:
    for name in NAMES:
        for door in LOOKED_AT:
            assert (await admin.get(door.format(name))).status_code < 500, (door, name)
        for method, door, body in SAID:
            answer = await admin.request(method, door.format(name), json=body, headers=OPERATOR)
            assert answer.status_code < 500, (method, door, name)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("until", "status"),
    [
        ("9999-12-31T23:59:59-23:59", 422),
        ("9999-12-31T23:59:59Z", 422),
        ("0001-01-01T00:00:00+23:59", 422),
        ("9000-12-31T23:59:59Z", 200),
    ],
)
async def test_a_pause_to_the_end_of_time_is_refused_for_no_page_can_tell_it(
    admin: httpx.AsyncClient, until: str, status: int
) -> None:
    wished: dict[str, Any] = {"source": "settings", "paused_until": until}
    assert (await admin.put("/v1/users/ada/preferences", json=wished)).status_code == status
    link = (await admin.post("/v1/users/ada/preferences-link")).json()["url"]
    assert (await admin.get(httpx.URL(link).path)).status_code == 200
