"""Segment's other calls, strict mode, and being too busy for any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.shed import Load
from settings import Settings
from store.session import Store
from tests.api.conftest import WRITE
from tests.api.test_collect import SUCCESS, TRACK, events, refused, said
from workflows.definition import EVENTS, Event

STRICT = {"X-Strict-Mode": "1"}


@pytest.fixture
def views() -> Iterator[None]:
    """A team that declares what pages are to it."""

    class PageViewed(Event, name="Page Viewed"):
        view: str
        url: str = ""

    yield
    del EVENTS["Page Viewed"]


@pytest.mark.parametrize("path", ["/v1/page", "/v1/screen"])
async def test_a_view_is_kept(writer: httpx.AsyncClient, house: Store, path: str) -> None:
    assert said(await writer.post(path, json={"userId": "ada", "name": "Home"})) == SUCCESS
    (event,) = await events(house)
    assert (event.kind, event.status, event.error, event.data) == (path[4:], "routed", "", {"name": "Home"})


@pytest.mark.parametrize("path", ["/v1/page", "/v1/batch"])
async def test_a_view_is_the_event_that_a_team_declares(writer: httpx.AsyncClient, house: Store, views: None, path: str) -> None:
    call = {"type": "page", "userId": "ada", "name": "Home", "properties": {"url": "/"}}
    await writer.post(path, json={"batch": [call]} if path == "/v1/batch" else call)
    (event,) = await events(house)
    assert (event.kind, event.name, event.status) == ("track", "Page Viewed", "pending")
    assert event.data == {"name": "Home", "view": "Home", "url": "/"}


@pytest.mark.parametrize("properties", [{}, {"view": 7}, "none"])
async def test_a_view_that_does_not_fit_the_event_is_invalid(
    writer: httpx.AsyncClient, house: Store, views: None, properties: Any
) -> None:
    await writer.post("/v1/page", json={"userId": "ada", "properties": properties})
    assert [event.status for event in await events(house)] == ["invalid"]


async def test_a_group_is_a_trait_of_its_member(admin: httpx.AsyncClient, house: Store) -> None:
    body = {"userId": "ada", "groupId": "acme", "traits": {"plan": "team"}}
    assert said(await admin.post("/v1/group", json=body)) == SUCCESS
    assert (await admin.get("/v1/users/ada")).json()["traits"] == {"group_id": "acme"}
    await admin.post("/v1/group", json=body)
    assert [event.status for event in await events(house)] == ["pending", "routed"]


async def test_a_group_call_without_a_group_is_invalid(writer: httpx.AsyncClient, house: Store) -> None:
    assert said(await writer.post("/v1/group", json={"userId": "ada"})) == SUCCESS
    assert [event.status for event in await events(house)] == ["invalid"]


async def test_an_alias_makes_one_person_of_two_names(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/identify", json={"anonymousId": "b1", "traits": {"plan": "pro"}})
    assert said(await admin.post("/v1/alias", json={"userId": "ada", "previousId": "b1"})) == SUCCESS
    assert (await admin.get("/v1/users/ada")).json()["traits"] == {"plan": "pro"}


async def test_an_import_is_a_batch(writer: httpx.AsyncClient, house: Store) -> None:
    assert said(await writer.post("/v1/import", json={"batch": [{"type": "track", **TRACK}]})) == SUCCESS
    assert [event.name for event in await events(house)] == ["Basket Filled"]


@pytest.mark.parametrize(("sent", "meant"), [("basket_filled", "Basket Filled"), ("Order Plaecd", "Order Placed")])
async def test_an_unknown_event_says_which_one_was_meant(writer: httpx.AsyncClient, house: Store, sent: str, meant: str) -> None:
    await writer.post("/v1/track", json={**TRACK, "event": sent})
    (event,) = await events(house)
    assert event.error == f"no journey knows an event called {sent!r}; did you mean {meant!r}?"


# Strict mode

WRONG: list[tuple[dict[str, Any], str]] = [
    ({**TRACK, "event": "Moon Landed"}, "no journey knows an event called 'Moon Landed'"),
    ({**TRACK, "properties": {}}, "basket: Field required"),
    ({"event": "Basket Filled"}, "it has no userId, no anonymousId, and no valid email or phone among its traits"),
    (
        {**TRACK, "timestamp": "noon"},
        "timestamp: 'noon' is not ISO 8601 with a zone, so the time it was received is kept",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
async def test_strict_mode_refuses_what_is_wrong_with_the_content(
    writer: httpx.AsyncClient, house: Store, call: dict[str, Any], message: str
) -> None:
    answer = await writer.post("/v1/track", json=call, headers=STRICT)
    assert refused(answer) == (400, "invalid")
    assert answer.json()["error"]["message"] == message
    batch = {"batch": [{"type": "track", **TRACK}, {"type": "track", **call}]}
    answer = await writer.post("/v1/batch", json=batch, headers=STRICT)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, f"batch.1: {message}")
    assert await events(house) == []
    assert said(await writer.post("/v1/batch", json=batch)) == SUCCESS


async def test_strict_mode_takes_what_is_right(writer: httpx.AsyncClient, house: Store) -> None:
    assert said(await writer.post("/v1/track", json=TRACK, headers=STRICT)) == SUCCESS
    assert len(await events(house)) == 1


# Too much


async def test_calls_are_refused_unread_while_too_much_waits_for_the_router(settings: Settings, house: Store) -> None:
    app = create_app(settings.model_copy(update={"shed_at": 2}), house)
    app.state.load = Load(every=0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sojourn.test", headers=WRITE) as api:
        answers = [await api.post("/v1/track", json=TRACK) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert refused(await api.post("/v1/batch", content=b"{")) == (429, "overloaded")
        assert (answers[3].headers["Retry-After"], answers[3].headers["X-RateLimit-Reset"]) == ("1", "1")
        assert (await api.get("/readyz")).status_code == 200
    assert len(await events(house)) == 3


async def test_what_waits_is_counted_once_a_second(settings: Settings, house: Store) -> None:
    app = create_app(settings.model_copy(update={"shed_at": 1}), house)
    app.state.load = Load(every=3600)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sojourn.test", headers=WRITE) as api:
        assert [(await api.post("/v1/track", json=TRACK)).status_code for _ in range(4)] == [200] * 4


async def test_calls_are_refused_while_too_many_wait_in_this_process_those_of_batches_one_by_one(
    settings: Settings, house: Store
) -> None:
    app = create_app(settings.model_copy(update={"shed_waiting": 20}), house)
    batch = {"batch": [{"type": "track", **TRACK} for _ in range(8)]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sojourn.test", headers=WRITE) as api:
        async with house.write():  # nothing can be stored meanwhile
            sent = [asyncio.create_task(api.post("/v1/batch", json=batch)) for _ in range(6)]
            done: set[asyncio.Task[httpx.Response]] = set()
            while len(done) < 3:
                done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
            assert {refused(each.result()) for each in done} == {(429, "overloaded")}
            assert refused(await api.post("/v1/track", content=b"{")) == (429, "overloaded")
            assert app.state.gathering.waiting == 24
        assert sorted(each.status_code for each in await asyncio.gather(*sent)) == [200, 200, 200, 429, 429, 429]
        assert said(await api.post("/v1/track", json=TRACK)) == SUCCESS
    assert app.state.gathering.waiting == 0
    assert len(await events(house)) == 25


async def test_uploads_without_a_key_take_nobodys_place(settings: Settings, house: Store) -> None:
    app = create_app(settings.model_copy(update={"shed_waiting": 1}), house)
    goes_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await goes_on.wait()
        yield b"}"

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sojourn.test") as api:
        uploads = [asyncio.create_task(api.post("/v1/track", content=slowly())) for _ in range(5)]
        await asyncio.sleep(0)
        assert said(await api.post("/v1/track", json=TRACK, headers=WRITE)) == SUCCESS
        goes_on.set()
        assert {refused(await each) for each in uploads} == {(401, "unauthorized")}


async def test_a_wrong_key_in_the_header_is_refused_unread(api: httpx.AsyncClient) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    answer = await api.post("/v1/track", content=never(), headers={"Authorization": "Bearer wrong"})
    assert refused(answer) == (401, "unauthorized")


async def test_a_body_that_does_not_come_is_waited_for_no_more(
    writer: httpx.AsyncClient, house: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.body.UPLOAD_SECONDS", 0.05)

    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    assert refused(await writer.post("/v1/track", content=stalls())) == (408, "too_slow")
    assert await events(house) == []
