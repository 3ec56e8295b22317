"""What was accepted, over HTTP: listed, and judged again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import Text, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import col, select

from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent
from tests.api.conftest import WRITE
from tests.api.test_collect import TRACK, refused, said
from tests.databases import Databases
from tests.events.crowd import BecameBuyer
from workflows.definition import EVENTS, Event

BY = {"X-Actor": "grace", "X-Reason": "the class was mended"}


@pytest.fixture
def settings(databases: Databases) -> Settings:
    return Settings(database_url=databases.migrated(), _env_file=None)


async def send(api: httpx.AsyncClient, message_id: str, **other: Any) -> None:
    answer = await api.post("/v1/track", json={**TRACK, "messageId": message_id, **other})
    assert answer.status_code == 200


async def listed(api: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await api.get("/v1/events", params=query)
    assert answer.status_code == 200
    return [event["message_id"] for event in answer.json()["events"]]


async def test_events_are_listed_by_what_became_of_them(admin: httpx.AsyncClient, house: Store) -> None:
    await send(admin, "good")
    await send(admin, "unknown", event="Moon Landed", userId="bo")
    await send(admin, "invalid", properties={})
    async with house.write() as session:
        await session.exec(update(AcceptedEvent).where(AcceptedEvent.message_id == "good").values(reconsider="win_back"))  # type: ignore[arg-type]
    assert await listed(admin) == ["invalid", "unknown", "good"]
    assert await listed(admin, status="invalid") == ["invalid"]
    assert await listed(admin, status="unknown") == ["unknown"]
    assert await listed(admin, status="unrouted") == ["good"]
    assert await listed(admin, status="dead") == []
    assert await listed(admin, user="bo") == ["unknown"]
    assert await listed(admin, user="ada") == ["invalid", "good"]
    assert await listed(admin, name="Basket Filled", status="invalid") == ["invalid"]
    (event,) = (await admin.get("/v1/events", params={"status": "invalid"})).json()["events"]
    assert (event["error"], event["user_id"], event["data"]) == ("basket: Field required", "ada", {})


async def test_an_event_that_nobody_can_read_is_listed_as_such_beside_the_others(admin: httpx.AsyncClient, house: Store) -> None:
    await send(admin, "good")
    await send(admin, "unread")
    async with house.write() as session:
        said = update(AcceptedEvent).where(col(AcceptedEvent.message_id) == "unread")
        await session.exec(
            said.values(data=type_coerce("{" if house.is_sqlite else ["secret"], Text if house.is_sqlite else JSONB))
        )
    unread, good = (await admin.get("/v1/events")).json()["events"]
    assert (unread["message_id"], unread["data"], unread["error"]) == ("unread", None, "its properties cannot be read")
    assert (good["data"], good["error"]) == ({"basket": "b1"}, "")


async def test_pages_follow_one_another_and_end(admin: httpx.AsyncClient) -> None:
    for number in range(5):
        await send(admin, f"m{number}")
    seen: list[list[str]] = []
    before: dict[str, int] = {}
    while True:
        page = (await admin.get("/v1/events", params={"limit": 2, **before})).json()
        seen.append([event["message_id"] for event in page["events"]])
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == [["m4", "m3"], ["m2", "m1"], ["m0"]]


async def test_an_event_that_fits_by_now_is_routed(admin: httpx.AsyncClient) -> None:
    await send(admin, "early/1", event="Moon Landed")
    answer = await admin.post("/v1/events/early/1/replay", headers=BY)
    assert refused(answer) == (409, "not_replayed")
    assert "no journey knows an event called 'Moon Landed'" in answer.json()["error"]["message"]

    class MoonLanded(Event, name="Moon Landed"):
        pass

    try:
        assert said(await admin.post("/v1/events/early/1/replay", headers=BY)) == (200, {"replayed": 1})
    finally:
        del EVENTS[MoonLanded.name]
    (event,) = (await admin.get("/v1/events")).json()["events"]
    assert (event["status"], event["error"], event["attempts"]) == ("pending", "", 0)
    assert refused(await admin.post("/v1/events/early/1/replay", headers=BY)) == (409, "not_replayed")


async def test_a_dead_event_is_tried_again_from_the_start(admin: httpx.AsyncClient, house: Store) -> None:
    await send(admin, "m1")
    async with house.write() as session:
        await session.exec(update(AcceptedEvent).values(status="dead", attempts=5, error="a fault"))
    assert said(await admin.post("/v1/events/m1/replay", headers=BY)) == (200, {"replayed": 1})
    (event,) = (await admin.get("/v1/events", params={"status": "pending"})).json()["events"]
    assert (event["error"], event["attempts"]) == ("", 0)


async def test_many_are_judged_at_once_and_each_by_itself(admin: httpx.AsyncClient, house: Store) -> None:
    await send(admin, "m1")
    await send(admin, "m2")
    await send(admin, "m3", properties={})
    async with house.write() as session:
        await session.exec(update(AcceptedEvent).values(status="invalid"))
    order = {"status": "invalid", "name": "Basket Filled", "limit": 2}
    first = (await admin.post("/v1/events/replay", json=order, headers=BY)).json()
    assert (first["replayed"], first["refused"]) == (2, [])
    rest = (await admin.post("/v1/events/replay", json={**order, "after": first["next"]}, headers=BY)).json()
    assert rest == {"replayed": 0, "refused": [{"message_id": "m3", "reason": "basket: Field required"}], "next": None}
    assert await listed(admin, status="pending") == ["m2", "m1"]


async def test_what_came_without_an_object_of_properties_fits_no_event(admin: httpx.AsyncClient) -> None:
    await send(admin, "m1", event="Account Closed", properties=["x"])
    answer = await admin.post("/v1/events/m1/replay", headers=BY)
    assert refused(answer) == (409, "not_replayed")
    assert answer.json()["error"]["message"].endswith("properties: an object is needed")


async def test_a_malformed_event_that_fits_today_says_where_its_person_is(
    admin: httpx.AsyncClient, house: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(admin, "m1", properties={}, context={"timezone": "Asia/Tokyo", "device": {"token": "t1"}})
    assert (await admin.get("/v1/users/ada")).json()["zone"] == ""

    class Lenient(Event, name="Basket Filled Leniently"):
        pass

    EVENTS.pop(Lenient.name)
    monkeypatch.setitem(EVENTS, "Basket Filled", Lenient)
    assert said(await admin.post("/v1/events/m1/replay", headers=BY)) == (200, {"replayed": 1})
    ada = (await admin.get("/v1/users/ada")).json()
    assert (ada["zone"], [each["token"] for each in ada["devices"]]) == ("Asia/Tokyo", ["t1"])
    async with house.read() as session:
        assert (await session.exec(select(AcceptedEvent.changed))).one() == {"zone": None}


async def test_a_transition_of_ours_that_could_not_be_routed_is_replayed_and_one_that_an_app_sent_is_not(
    admin: httpx.AsyncClient, house: Store
) -> None:
    await send(admin, "m1", event=BecameBuyer.name, properties={})
    assert refused(await admin.post("/v1/events/m1/replay", headers=BY)) == (409, "not_replayed")
    async with house.write() as session:
        await session.exec(update(AcceptedEvent).values(status="dead", error="", data={"previous": "out"}))
    assert said(await admin.post("/v1/events/m1/replay", headers=BY)) == (200, {"replayed": 1})


async def test_only_an_administrator_who_says_why_replays(admin: httpx.AsyncClient) -> None:
    await send(admin, "m1", properties={})
    for missing in (*BY, ""):
        headers = {name: said if missing and name != missing else " " for name, said in BY.items()}
        for path, body in (("/v1/events/m1/replay", None), ("/v1/events/replay", {"status": "invalid"})):
            assert refused(await admin.post(path, json=body, headers=headers)) == (422, "invalid")
    assert refused(await admin.post("/v1/events/m2/replay", headers=BY)) == (404, "not_found")
    for path in ("/v1/events/m1/replay", "/v1/events/replay"):
        assert refused(await admin.post(path, headers={**BY, **WRITE})) == (403, "forbidden")
    assert refused(await admin.get("/v1/events", headers=WRITE)) == (403, "forbidden")
