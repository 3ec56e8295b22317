"""Whatever bodies may come, none breaks the door, on either database."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from settings import Settings
from tests.databases import Databases


@pytest.fixture
def settings(databases: Databases) -> Settings:
    return Settings(database_url=databases.migrated(), _env_file=None)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "userId",
    "anonymousId",
    "messageId",
    "event",
    "type",
    "properties",
    "traits",
    "groupId",
    "previousId",
    "context",
    "timestamp",
    "sentAt",
    "writeKey",
)
PARTS = ("timezone", "locale", "device", "email", "phone", "token", "basket", "plan")
nearly_a_call = st.fixed_dictionaries(
    {"userId": st.just("ada") | anything},
    optional={
        **dict.fromkeys(FIELDS[1:], anything),
        "type": st.sampled_from(["track", "identify", "page", "screen", "group", "alias"]),
        "event": st.just("Basket Filled") | anything,
        "context": st.dictionaries(st.sampled_from(PARTS), anything | st.dictionaries(st.sampled_from(PARTS), anything)),
        "traits": st.dictionaries(st.sampled_from(PARTS), anything),
    },
)
many_times = hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)


@many_times
@given(body=anything | nearly_a_call | st.fixed_dictionaries({"batch": anything | st.lists(nearly_a_call | anything, max_size=4)}))
async def test_no_body_breaks_the_door(writer: httpx.AsyncClient, body: Any) -> None:
    for path in ("/v1/track", "/v1/identify", "/v1/page", "/v1/group", "/v1/alias", "/v1/batch"):
        assert (await writer.post(path, content=json.dumps(body))).status_code in (200, 400)


@many_times
@given(content=st.binary(max_size=200), encoding=st.sampled_from(["identity", "gzip", "br", ""]))
async def test_no_bytes_break_the_door(writer: httpx.AsyncClient, content: bytes, encoding: str) -> None:
    assert (await writer.post("/v1/batch", content=content, headers={"Content-Encoding": encoding})).status_code == 400
