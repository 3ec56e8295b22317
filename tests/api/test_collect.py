"""Segment's calls over HTTP: what is answered, and what is stored by then."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from api.app import create_app
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_WRITE_KEY, Settings
from store.session import Store
from store.tables import AcceptedEvent, Person
from tests.api.conftest import ADMIN, WRITE

TRACK: dict[str, Any] = {"userId": "ada", "event": "Basket Filled", "properties": {"basket": "b1"}}
SUCCESS = (200, {"success": True})


async def events(house: Store) -> Sequence[AcceptedEvent]:
    async with house.read() as session:
        return (await session.exec(select(AcceptedEvent).order_by(col(AcceptedEvent.id)))).all()


def said(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


def refused(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"code", "message"}
    return answer.status_code, error["code"]


async def test_a_track_call_is_stored_before_it_is_answered(writer: httpx.AsyncClient, house: Store) -> None:
    assert said(await writer.post("/v1/track", json=TRACK)) == SUCCESS
    (event,) = await events(house)
    assert (event.name, event.status) == ("Basket Filled", "pending")


async def test_an_identify_call_teaches_the_profile(writer: httpx.AsyncClient, house: Store) -> None:
    assert said(await writer.post("/v1/identify", json={"userId": "ada", "traits": {"plan": "pro"}})) == SUCCESS
    async with house.read() as session:
        assert (await session.exec(select(Person.traits))).all() == [{"plan": "pro"}]


async def test_a_batch_is_stored_whole(writer: httpx.AsyncClient, house: Store) -> None:
    batch = {"batch": [{"type": "identify", "userId": "ada", "traits": {"plan": "pro"}}, {"type": "track", **TRACK}]}
    assert said(await writer.post("/v1/batch", json=batch)) == SUCCESS
    assert [event.kind for event in await events(house)] == ["identify", "track"]


async def test_calls_about_nobody_are_left_out_of_a_batch_with_the_reason_in_the_log(
    writer: httpx.AsyncClient, house: Store, caplog: pytest.LogCaptureFixture
) -> None:
    batch = {"batch": [{"type": "track", **TRACK}, "nonsense"]}
    assert said(await writer.post("/v1/batch", json=batch)) == SUCCESS
    assert len(await events(house)) == 1
    assert "batch.1: the call is dropped: its type is None" in caplog.text


@pytest.mark.parametrize("encoding", ["gzip", "GZIP"])
@pytest.mark.parametrize("path", ["/v1/track", "/v1/identify", "/v1/batch"])
async def test_gzip_is_taken(writer: httpx.AsyncClient, house: Store, path: str, encoding: str) -> None:
    body = {"batch": [{"type": "track", **TRACK}]} if path == "/v1/batch" else TRACK
    answer = await writer.post(path, content=gzip.compress(json.dumps(body).encode()), headers={"Content-Encoding": encoding})
    assert said(answer) == SUCCESS
    assert len(await events(house)) == 1


async def test_a_retried_call_is_answered_alike_and_acts_once(writer: httpx.AsyncClient, house: Store) -> None:
    answers = await asyncio.gather(*(writer.post("/v1/track", json={**TRACK, "messageId": "m1"}) for _ in range(20)))
    assert [said(answer) for answer in answers] == [SUCCESS] * 20
    assert len(await events(house)) == 1


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        ({**TRACK, "event": None}, "invalid"),
        ({**TRACK, "properties": {}}, "invalid"),
        ({**TRACK, "event": "Moon Landed"}, "unknown"),
        ({"event": "Basket Filled"}, None),
    ],
)
async def test_what_is_wrong_with_the_content_is_answered_with_success(
    writer: httpx.AsyncClient, house: Store, body: dict[str, Any], stored: str | None
) -> None:
    assert said(await writer.post("/v1/track", json=body)) == SUCCESS
    assert [event.status for event in await events(house)] == ([stored] if stored else [])


# What cannot be read

BOMB = gzip.compress(b" " * 50_000_000, mtime=0)
WHOLE = gzip.compress(json.dumps(TRACK).encode(), mtime=0)


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"", {}, "malformed_json"),
        (b"{", {}, "malformed_json"),
        (b'{"userId": NaN}', {}, "malformed_json"),
        (b'{"userId": "ada", "properties": {"worth": 1e999}}', {}, "malformed_json"),
        (b'{"userId": "ada", "properties": {"worth": %se99}}' % (b"1" * 290), {}, "malformed_json"),
        (b'{"userId": "\\ud800"}', {}, "malformed_json"),
        (b'{"userId": "\xff"}', {}, "malformed_json"),
        (b"[" * 5000 + b"]" * 5000, {}, "malformed_json"),
        (b"[]", {}, "malformed"),
        (b'"userId"', {}, "malformed"),
        (b"plain", {"Content-Encoding": "gzip"}, "malformed_gzip"),
        (WHOLE[:-4], {"Content-Encoding": "gzip"}, "malformed_gzip"),
        (WHOLE + b"more", {"Content-Encoding": "gzip"}, "malformed_gzip"),
        (BOMB, {"Content-Encoding": "gzip"}, "too_large"),
        (zlib.compress(b"{}"), {"Content-Encoding": "deflate"}, "unknown_encoding"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_what_cannot_be_read_is_answered_400(
    writer: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str], code: str
) -> None:
    assert refused(await writer.post(path, content=content, headers=headers)) == (400, code)


async def test_a_call_has_at_most_32_kb_and_a_batch_500(writer: httpx.AsyncClient, house: Store) -> None:
    large = {**TRACK, "properties": {"basket": "b1", "note": "x" * 32_000}}
    larger = {**TRACK, "properties": {"basket": "b1", "note": "x" * 33_000}}
    assert said(await writer.post("/v1/track", json=large)) == SUCCESS
    assert refused(await writer.post("/v1/track", json=larger)) == (400, "too_large")
    assert said(await writer.post("/v1/batch", json={"batch": [{"type": "track", **large}] * 15})) == SUCCESS
    assert refused(await writer.post("/v1/batch", json={"batch": [{"type": "track", **large}] * 16})) == (400, "too_large")
    answer = await writer.post("/v1/batch", json={"batch": [{"type": "track", **TRACK}, {"type": "track", **larger}]})
    assert answer.json()["error"]["message"] == "batch.1 is larger than 32 KB"
    assert len(await events(house)) == 16


async def test_a_batch_has_at_most_2500_calls(writer: httpx.AsyncClient, house: Store) -> None:
    assert refused(await writer.post("/v1/batch", json={"batch": [{}] * 2501})) == (400, "too_large")
    assert refused(await writer.post("/v1/batch", json={"batch": {}})) == (400, "malformed")
    assert await events(house) == []


async def test_a_nul_character_is_kept_as_one_that_every_database_holds(writer: httpx.AsyncClient, house: Store) -> None:
    await writer.post("/v1/track", json={**TRACK, "userId": "a\0da", "properties": {"basket": "b\0", "\0": ["\0"]}})
    assert (await events(house))[0].data == {"basket": "b\ufffd", "\ufffd": ["\ufffd"]}


# Keys and clocks


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (WRITE, {}),
        (ADMIN, {}),
        (basic(DEVELOPMENT_WRITE_KEY), {}),
        (basic(DEVELOPMENT_ADMIN_KEY), {}),
        ({}, {"writeKey": DEVELOPMENT_WRITE_KEY}),
    ],
)
async def test_the_write_key_and_the_admin_key_may_send(
    api: httpx.AsyncClient, house: Store, headers: dict[str, str], body: dict[str, str]
) -> None:
    assert said(await api.post("/v1/track", json={**TRACK, **body}, headers=headers)) == SUCCESS
    (event,) = await events(house)
    assert DEVELOPMENT_WRITE_KEY not in json.dumps(event.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, {}),
        ({"Authorization": "Bearer wrong"}, {}),
        ({"Authorization": "Basic ????"}, {}),
        ({"Authorization": "Basic /w=="}, {}),
        ({"Authorization": "Digest x"}, {}),
        (basic(""), {}),
        ({}, {"writeKey": "wrong"}),
        ({}, {"writeKey": 7}),
    ],
)
async def test_nobody_sends_without_a_key(
    api: httpx.AsyncClient, house: Store, headers: dict[str, str], body: dict[str, Any]
) -> None:
    for path in ("/v1/track", "/v1/identify", "/v1/batch"):
        answer = await api.post(path, json={**TRACK, "batch": [], **body}, headers=headers)
        assert refused(answer) == (401, "unauthorized")
        assert "WWW-Authenticate" in answer.headers
    assert await events(house) == []


async def test_the_player_of_a_stream_sets_the_clock_with_the_admin_key(admin: httpx.AsyncClient, house: Store) -> None:
    await admin.post("/v1/track", json=TRACK, headers={"X-Sojourn-Clock": "2010-04-06T13:12:57+02:00"})
    (event,) = await events(house)
    assert event.accepted_at == datetime(2010, 4, 6, 11, 12, 57, tzinfo=UTC)
    assert event.clock_offset == pytest.approx((event.accepted_at - datetime.now(UTC)).total_seconds(), abs=60)


async def test_the_clock_of_a_client_counts_for_nothing(writer: httpx.AsyncClient, house: Store) -> None:
    await writer.post("/v1/track", json={**TRACK, "timestamp": "2010-04-06T13:12:57Z"})
    (event,) = await events(house)
    assert event.accepted_at.year >= 2026
    assert event.clock_offset == 0
    assert refused(await writer.post("/v1/track", json=TRACK, headers={"X-Sojourn-Clock": "2010-04-06T13:12:57Z"})) == (
        403,
        "forbidden",
    )


@pytest.mark.parametrize("clock", ["2010-04-06T13:12:57", "noon"])
async def test_a_clock_is_a_moment_with_its_zone(admin: httpx.AsyncClient, clock: str) -> None:
    assert refused(await admin.post("/v1/track", json=TRACK, headers={"X-Sojourn-Clock": clock})) == (400, "invalid")


async def test_in_production_nobody_sets_the_clock(settings: Settings, house: Store) -> None:
    key = "a-long-secret-of-this-test"
    production = settings.model_copy(update={"environment": "production", "admin_key": type(settings.admin_key)(key)})
    transport = httpx.ASGITransport(create_app(production, house))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test", headers=basic(key)) as api:
        assert said(await api.post("/v1/track", json=TRACK)) == SUCCESS
        answer = await api.post("/v1/track", json=TRACK, headers={"X-Sojourn-Clock": "2010-04-06T13:12:57Z"})
        assert refused(answer) == (403, "forbidden")
