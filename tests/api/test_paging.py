"""Every list is asked for alike: from one to a thousand at a time."""

from __future__ import annotations

import httpx
import pytest

from tests.api.test_collect import refused

LISTS = ("/v1/events", "/v1/audit", "/v1/segments/new", *(f"/v1/users/ada/{theirs}" for theirs in ("runs", "messages", "inbox")))


@pytest.mark.parametrize("path", LISTS)
async def test_a_list_gives_from_one_to_a_thousand_at_a_time(admin: httpx.AsyncClient, path: str) -> None:
    await admin.post("/v1/identify", json={"userId": "ada"})
    for limit in (1, 1000):
        assert (await admin.get(path, params={"limit": limit})).status_code == 200
    for limit in (0, 1001):
        assert refused(await admin.get(path, params={"limit": limit})) == (422, "invalid")
