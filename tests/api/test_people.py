"""People over HTTP: profile, runs, messages, inbox, consents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from events.erase import erase
from events.operators import Operator
from events.sweep import sweep_due
from store.session import Store
from store.tables import Consent, Delivery, InboxCard, Person, Run
from tests.api.test_collect import refused
from workflows.lifecycle import in_force

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SAID = {"topic": "community", "channel": "email", "granted": False, "source": "app"}
BY = {"X-Actor": "eve", "X-Reason": "asked by letter"}
KNOWN = {
    "userId": "ada",
    "traits": {"plan": "pro", "email": "ada@example.org", "phone": "+4915112345678"},
    "context": {"timezone": "Asia/Kolkata", "locale": "hi", "device": {"token": "t1", "type": "ios"}},
}


@pytest.fixture
async def ada(admin: httpx.AsyncClient, house: Store) -> Person:
    """Somebody who is known, with a run."""
    await admin.post("/v1/identify", json=KNOWN)
    await admin.post("/v1/journeys/basket_help/runs", json={"user_id": "ada", "data": {"basket": "b1"}})
    async with house.read() as session:
        return (await session.exec(select(Person))).one()


async def consents(house: Store) -> list[tuple[str, str, bool, datetime]]:
    async with house.read() as session:
        return [
            (row.topic, row.channel, row.granted, row.at) for row in await session.exec(select(Consent).order_by(col(Consent.id)))
        ]


async def test_a_profile_says_all_that_is_known(admin: httpx.AsyncClient, ada: Person) -> None:
    seen = (await admin.get("/v1/users/ada")).json()
    device, created = seen.pop("devices")[0], seen.pop("created_at")
    assert (device["token"], device["platform"], created.endswith("Z")) == ("t1", "ios", True)
    assert seen == {
        "user_id": "ada",
        "names": ["ada"],
        "zone": "Asia/Kolkata",
        "zone_known": True,
        "locale": "hi",
        "email": "ada@example.org",
        "phone": "+4915112345678",
        "traits": {"plan": "pro"},
        "state": None,
        "segments": [],
        "consents": [],
        "paused_until": None,
        "fewer": False,
        "suppressions": [],
    }


async def test_a_zone_that_cannot_be_used_is_shown_as_such(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/identify", json={"userId": "ada", "context": {"timezone": "Mars/Olympus"}})
    seen = (await admin.get("/v1/users/ada")).json()
    assert (seen["zone"], seen["zone_known"]) == ("Mars/Olympus", False)


async def test_a_user_id_may_hold_a_slash(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/identify", json={"userId": "org/ada", "traits": {"plan": "pro"}})
    for path in ("org/ada", "org%2Fada"):
        assert (await admin.get(f"/v1/users/{path}")).json()["user_id"] == "org/ada"
        assert (await admin.get(f"/v1/users/{path}/runs")).json() == {"runs": []}


async def test_runs_are_listed_newest_first(admin: httpx.AsyncClient, ada: Person) -> None:
    await admin.post("/v1/journeys/win_back/runs", json={"user_id": "ada"})
    runs = (await admin.get("/v1/users/ada/runs")).json()["runs"]
    assert [(run["journey"], run["status"]) for run in runs] == [("win_back", "starting"), ("basket_help", "starting")]
    assert len((await admin.get("/v1/users/ada/runs?limit=1")).json()["runs"]) == 1


async def test_messages_are_listed_with_what_became_of_them(admin: httpx.AsyncClient, house: Store, ada: Person) -> None:
    async with house.write() as session:
        run = (await session.exec(select(Run))).one()
        for hour, status, reason in ((1, "sent", ""), (2, "suppressed", "no_consent")):
            session.add(delivery(run, f"{run.id}:{hour}", status, reason, NOON + timedelta(hours=hour)))
    messages = (await admin.get("/v1/users/ada/messages")).json()["messages"]
    assert messages[0] == {
        "key": f"{run.id}:2",
        "channel": "email",
        "template": "basket",
        "topic": "basket_help",
        "transactional": False,
        "status": "suppressed",
        "reason": "no_consent",
        "saw": {},
        "at": "2026-03-02T14:00:00Z",
        "retry_at": None,
        "attempts": 0,
        "provider": "",
        "provider_id": None,
        "doubted": False,
        "happened": {},
        "run": run.id,
        "journey": "basket_help",
        "step": "send:email/basket",
        "variant": None,
        "segments": None,
    }
    assert [message["status"] for message in messages] == ["suppressed", "sent"]


def delivery(run: Run, key: str, status: str, reason: str, at: datetime) -> Delivery:
    return Delivery(
        key=key,
        run_id=run.id,
        person_id=run.person_id,
        journey=run.journey,
        step="send:email/basket",
        channel="email",
        template="basket",
        topic="basket_help",
        status=status,
        reason=reason,
        at=at,
    )


async def test_an_inbox_message_is_marked_as_read_once(admin: httpx.AsyncClient, house: Store, ada: Person) -> None:
    key = "r_1:send:in_app/hello"
    async with house.write() as session:
        session.add(InboxCard(key=key, person_id=ada.id or 0, title="Hello", body="There", at=NOON))
    (card,) = (await admin.get("/v1/users/ada/inbox")).json()["cards"]
    assert (card["key"], card["title"], card["read_at"]) == (key, "Hello", None)
    first = (await admin.post(f"/v1/users/ada/inbox/{key}/read")).json()
    assert first["read_at"]
    assert (await admin.post(f"/v1/users/ada/inbox/{key}/read")).json() == first


async def test_nobody_reads_a_message_that_is_not_theirs(admin: httpx.AsyncClient, house: Store, ada: Person) -> None:
    await admin.post("/v1/identify", json={"userId": "bob"})
    async with house.write() as session:
        session.add(InboxCard(key="k1", person_id=ada.id or 0, title="Hello", body="There", at=NOON))
    assert refused(await admin.post("/v1/users/bob/inbox/k1/read")) == (404, "not_found")
    assert (await admin.get("/v1/users/ada/inbox")).json()["cards"][0]["read_at"] is None


async def test_the_last_word_on_a_topic_and_channel_holds(admin: httpx.AsyncClient, house: Store, ada: Person) -> None:
    for word in (SAID, {**SAID, "granted": True}, {"topic": "community", "granted": False, "source": "app"}):
        answer = await admin.put("/v1/users/ada/consent", json=word, headers={"X-Sojourn-Clock": NOON.isoformat()})
        assert answer.status_code == 200
    assert await consents(house) == [
        ("community", "email", False, NOON),
        ("community", "email", True, NOON),
        ("community", "*", False, NOON),
    ]
    shown = (await admin.get("/v1/users/ada")).json()["consents"]
    assert [(each["channel"], each["granted"]) for each in shown] == [("*", False), ("email", True)]


async def test_a_no_is_kept_from_somebody_new(admin: httpx.AsyncClient, house: Store) -> None:
    assert (await admin.put("/v1/users/new/consent", json=SAID)).status_code == 200
    assert (await admin.get("/v1/users/new")).json()["consents"][0]["granted"] is False


async def test_whoever_is_met_by_a_consent_is_new_and_in_the_course_of_time_dormant(admin: httpx.AsyncClient, house: Store) -> None:
    await admin.put("/v1/users/new/consent", json=SAID)
    for after, state in ((timedelta(0), "new"), (in_force().dormant_after, "dormant")):
        while await sweep_due(house, datetime.now(UTC) + after):
            pass
        assert (await admin.get("/v1/users/new")).json()["state"] == state


@pytest.mark.parametrize(
    ("body", "field"),
    [({**SAID, "channel": "fax"}, "channel"), ({**SAID, "topic": ""}, "topic"), ({**SAID, "granted": None}, "granted")],
)
async def test_a_malformed_consent_names_the_field(admin: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await admin.put("/v1/users/ada/consent", json=body)
    assert refused(answer) == (422, "invalid")
    assert answer.json()["error"]["message"].startswith(f"{field}:")


@pytest.mark.parametrize("user_id", ["nobody", "%00", "x" * 3000])
@pytest.mark.parametrize("what", ["", "/runs", "/messages", "/inbox"])
async def test_an_unknown_person_is_not_found(admin: httpx.AsyncClient, user_id: str, what: str) -> None:
    assert refused(await admin.get(f"/v1/users/{user_id}{what}")) == (404, "not_found")


@pytest.mark.parametrize("name", ["email:ADA@example.org", "phone:+4915112345678", "token:t1"])
async def test_what_is_said_by_an_address_or_a_device_is_its_persons(admin: httpx.AsyncClient, ada: Person, name: str) -> None:
    assert (await admin.put(f"/v1/users/{name}/consent", json=SAID)).status_code == 200
    assert len((await admin.get("/v1/users/ada")).json()["consents"]) == 1
    assert (await admin.delete(f"/v1/users/{name}", headers=BY)).status_code == 202
    assert (await admin.get("/v1/users/ada")).status_code == 404


@pytest.mark.parametrize("name", ["email:eve@example.org", "phone:+4930123456", "token:t9"])
async def test_nobody_is_met_by_an_address(admin: httpx.AsyncClient, name: str) -> None:
    assert refused(await admin.put(f"/v1/users/{name}/consent", json=SAID)) == (404, "not_found")
    asked = {"user_id": name, "data": {"basket": "b1"}}
    assert refused(await admin.post("/v1/journeys/basket_help/runs", json=asked)) == (404, "not_found")


async def test_an_address_of_several_people_is_answered_with_who_they_are(admin: httpx.AsyncClient, ada: Person) -> None:
    await admin.post("/v1/identify", json={"userId": "bob", "traits": {"email": "ada@example.org"}})
    name = "email:ada@example.org"
    asked = {"user_id": name, "data": {"basket": "b1"}}
    for answer in (
        await admin.get(f"/v1/users/{name}"),
        await admin.put(f"/v1/users/{name}/consent", json=SAID),
        await admin.delete(f"/v1/users/{name}", headers=BY),
        await admin.get(f"/v1/users/{name}/export", headers=BY),
        await admin.post("/v1/journeys/basket_help/runs", json=asked),
    ):
        assert refused(answer) == (409, "ambiguous")
        assert answer.json()["error"]["message"] == f"{name!r} is the address of several people: ada, bob"


async def test_the_erased_are_nobody(admin: httpx.AsyncClient, house: Store, ada: Person) -> None:
    await erase(house, "ada", Operator("eve", "asked by letter", "ops", NOON))
    assert refused(await admin.get("/v1/users/ada")) == (404, "not_found")
    assert refused(await admin.put("/v1/users/ada/consent", json=SAID)) == (404, "not_found")
    assert await consents(house) == []
