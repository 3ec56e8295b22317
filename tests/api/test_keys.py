"""Keys are scoped, hashed, rotated without downtime, limited each, and every use of them by an operator is recorded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.keyring import FRESH_SECONDS, Grant, Keyring
from events.keys import add, listed
from events.operators import Operator
from settings import Settings
from store.impersonal import Key
from store.session import Store
from store.tables import InboxCard
from tests.api.test_collect import refused
from workflows.traits import TRAITS, Private, Traits

BY = {"X-Actor": "eve", "X-Reason": "a new shop"}
CALL = {"userId": "ada", "event": "Basket Filled", "properties": {"basket": "b1"}}


async def made(admin: httpx.AsyncClient, name: str, scope: str, **more: Any) -> dict[str, str]:
    """Make a key, and return the header that presents it."""
    answer = await admin.post("/v1/keys", json={"name": name, "scope": scope, **more}, headers=BY)
    assert answer.status_code == 201
    return bearer(answer)


def bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['key']}"}


async def test_an_ingest_key_sends_and_does_nothing_else(admin: httpx.AsyncClient) -> None:
    key = await made(admin, "shop", "ingest")
    assert (await admin.post("/v1/track", json=CALL, headers=key)).status_code == 200
    assert refused(await admin.get("/v1/users/ada", headers=key)) == (403, "forbidden")


async def test_a_read_key_looks_and_changes_nothing(admin: httpx.AsyncClient) -> None:
    key = await made(admin, "dashboard", "read")
    await admin.post("/v1/track", json=CALL)
    for path in ("/v1/users/ada", "/v1/users/ada/runs", "/v1/journeys"):
        assert (await admin.get(path, headers=key)).status_code == 200
    answer = await admin.post("/v1/track", json=CALL, headers=key)
    assert refused(answer) == (403, "forbidden")
    assert (
        answer.json()["error"]["message"]
        == "a read key may look at what is not private, and change nothing; this takes a write key"
    )
    consent = {"topic": "t", "granted": False, "source": "s"}
    assert refused(await admin.put("/v1/users/ada/consent", json=consent, headers=key)) == (403, "forbidden")
    for path in ("/v1/users/ada/export", "/v1/users/ada/inbox", "/v1/keys", "/v1/audit"):
        assert refused(await admin.get(path, headers=key)) == (403, "forbidden")


async def test_an_inbox_key_shows_people_their_messages_and_does_nothing_else(admin: httpx.AsyncClient, house: Store) -> None:
    key = await made(admin, "product", "inbox")
    await admin.post("/v1/track", json=CALL)
    async with house.write() as session:
        session.add(InboxCard(key="k1", person_id=1, title="Hello", body="There", at=datetime.now(UTC)))
    (card,) = (await admin.get("/v1/users/ada/inbox", headers=key)).json()["cards"]
    assert card["title"] == "Hello"
    assert (await admin.post("/v1/users/ada/inbox/k1/read", headers=key)).status_code == 200
    for path in ("/v1/users/ada", "/v1/users/ada/runs", "/v1/users/ada/messages", "/v1/journeys", "/v1/events", "/v1/keys"):
        assert refused(await admin.get(path, headers=key)) == (403, "forbidden")
    answer = await admin.post("/v1/track", json=CALL, headers=key)
    assert refused(answer) == (403, "forbidden")
    assert answer.json()["error"]["message"].startswith("an inbox key may read people's inboxes, and mark their messages as read;")


@pytest.mark.parametrize("scope", ["ingest", "read"])
async def test_no_message_is_shown_to_or_marked_by_who_may_not_know_what_it_says(admin: httpx.AsyncClient, scope: str) -> None:
    key = await made(admin, "dashboard", scope)
    await admin.post("/v1/track", json=CALL)
    assert refused(await admin.get("/v1/users/ada/inbox", headers=key)) == (403, "forbidden")
    assert refused(await admin.post("/v1/users/ada/inbox/k1/read", headers=key)) == (403, "forbidden")


async def test_an_admin_key_does_everything(admin: httpx.AsyncClient) -> None:
    key = await made(admin, "ops", "admin")
    assert (await admin.post("/v1/track", json=CALL, headers=key)).status_code == 200
    assert (await admin.get("/v1/keys", headers=key)).status_code == 200


async def test_only_a_hash_of_a_secret_is_kept(admin: httpx.AsyncClient, house: Store) -> None:
    secret = (await made(admin, "shop", "ingest"))["Authorization"].removeprefix("Bearer ")
    assert secret.startswith("sj_ingest_")
    async with house.read() as session:
        (row,) = (await session.exec(select(Key))).all()
    assert secret not in str(row)
    assert secret not in (await admin.get("/v1/keys")).text + (await admin.get("/v1/audit")).text


async def test_a_rotated_key_stays_valid_for_its_grace(admin: httpx.AsyncClient) -> None:
    old = await made(admin, "shop", "ingest")
    new = bearer(await admin.post("/v1/keys/shop/rotate", headers=BY))
    for key in (old, new):
        assert (await admin.post("/v1/track", json=CALL, headers=key)).status_code == 200
    newest = bearer(await admin.post("/v1/keys/shop/rotate", json={"grace_seconds": 0}, headers=BY))
    answers = [await admin.post("/v1/track", json=CALL, headers=key) for key in (old, new, newest)]
    assert [answer.status_code for answer in answers] == [401, 401, 200]


async def test_a_revoked_key_lets_nobody_in(admin: httpx.AsyncClient) -> None:
    key = await made(admin, "shop", "ingest")
    assert (await admin.delete("/v1/keys/shop", headers=BY)).json() == {"revoked": 1}
    assert refused(await admin.post("/v1/track", json=CALL, headers=key)) == (401, "unauthorized")
    assert refused(await admin.delete("/v1/keys/shop", headers=BY)) == (404, "not_found")


async def test_an_expired_key_lets_nobody_in(admin: httpx.AsyncClient) -> None:
    key = await made(admin, "shop", "ingest", expires_at="2020-01-01T00:00:00Z")
    assert refused(await admin.post("/v1/track", json=CALL, headers=key)) == (401, "unauthorized")


async def test_a_key_of_that_name_is_made_once(admin: httpx.AsyncClient) -> None:
    await made(admin, "shop", "ingest")
    for name in ("shop", "SOJOURN_ADMIN_KEY"):
        answer = await admin.post("/v1/keys", json={"name": name, "scope": "read"}, headers=BY)
        assert refused(answer) == (409, "exists")


async def test_a_key_is_limited_for_itself(admin: httpx.AsyncClient) -> None:
    key = await made(admin, "shop", "ingest", rate=1)
    other = await made(admin, "other", "ingest")
    answers = [await admin.post("/v1/track", json=CALL, headers=key) for _ in range(3)]
    assert answers[0].status_code == 200
    assert refused(answers[-1]) == (429, "rate_limited")
    assert answers[-1].headers["Retry-After"] == "1"
    assert (await admin.post("/v1/track", json=CALL, headers=other)).status_code == 200


async def test_a_key_in_header_and_body_is_one_request(admin: httpx.AsyncClient) -> None:
    bearing = await made(admin, "shop", "ingest", rate=2)
    key = bearing["Authorization"].removeprefix("Bearer ")
    headers = {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}
    body = {"batch": [{"type": "track", **CALL}], "writeKey": key}
    assert [(await admin.post("/v1/batch", json=body, headers=headers)).status_code for _ in range(2)] == [200, 200]


async def test_of_two_keys_in_one_request_the_one_that_lets_in_pays(admin: httpx.AsyncClient) -> None:
    reading = await made(admin, "dashboard", "read", rate=1)
    sending = (await made(admin, "shop", "ingest"))["Authorization"].removeprefix("Bearer ")
    answers = [await admin.post("/v1/track", json={**CALL, "writeKey": sending}, headers=reading) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_the_secrets_of_a_rotated_key_share_its_rate() -> None:
    ring = Keyring(clock=lambda: 100.0)
    old, new = (Grant("shop", "ingest", number, rate=2) for number in (1, 2))
    assert [ring.wait(grant) for grant in (old, new, old, new)] == [0, 0, 0.5, 0.5]


async def test_what_is_forgotten_while_it_is_read_is_read_again(house: Store) -> None:
    by = Operator("eve", "a new shop", "command line", datetime.now(UTC))
    ring = Keyring(clock=lambda: 100.0)

    class Meanwhile:
        """The store, where a key is added just after the keys were read."""

        @asynccontextmanager
        async def read(self) -> AsyncIterator[AsyncSession]:
            async with house.read() as session:
                yield session
            if not await listed(house):
                await add(house, "shop", "ingest", by)
                ring.forget()

    for _ in range(2):
        await ring.refresh(Meanwhile())  # type: ignore[arg-type]
    assert [grant.name for grant in ring.grants.values()] == ["shop"]


@pytest.mark.parametrize("wrong", [{"name": "team/shop"}, {"name": ""}, {"rate": 0}])
async def test_a_key_that_could_not_be_used_is_refused_with_a_sentence(admin: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await admin.post("/v1/keys", json={"name": "shop", "scope": "ingest", **wrong}, headers=BY)
    assert refused(answer) == (422, "invalid")
    assert answer.json()["error"]["message"].startswith(f"{next(iter(wrong))}: ")


async def test_a_read_key_is_shown_no_private_trait(admin: httpx.AsyncClient) -> None:
    class Patient(Traits):
        ill: Private[str]

    try:
        await admin.post("/v1/identify", json={"userId": "ada", "traits": {"ill": "Cancer", "plan": "pro"}})
        key = await made(admin, "dashboard", "read")
        assert refused(await admin.get("/v1/events", headers=key)) == (403, "forbidden")
        assert (await admin.get("/v1/users/ada", headers=key)).json()["traits"] == {"plan": "pro"}
        assert (await admin.get("/v1/users/ada")).json()["traits"] == {"ill": "Cancer", "plan": "pro"}
    finally:
        del TRAITS["ill"]


def test_tokens_come_back_at_the_keys_rate() -> None:
    now = 100.0
    ring, grant = Keyring(clock=lambda: now), Grant("shop", "ingest", 1, rate=2)
    assert [ring.wait(grant) for _ in range(3)] == [0, 0, 0.5]
    now = 100.5
    assert [ring.wait(grant) for _ in range(2)] == [0, 0.5]
    now = 1000.0
    assert [ring.wait(grant) for _ in range(3)] == [0, 0, 0.5]


async def test_another_process_hears_of_a_revocation_within_seconds(
    admin: httpx.AsyncClient, house: Store, settings: Settings
) -> None:
    now = 100.0
    other = Keyring(clock=lambda: now)
    await made(admin, "shop", "ingest")
    await other.refresh(house)
    assert len(other.grants) == 1
    await admin.delete("/v1/keys/shop", headers=BY)
    now += FRESH_SECONDS
    await other.refresh(house)
    assert other.grants == {}


@pytest.mark.parametrize("headers", [{}, {"X-Actor": "eve"}, {"X-Reason": "why"}, {"X-Actor": " ", "X-Reason": "why"}])
async def test_who_and_why_are_needed(admin: httpx.AsyncClient, headers: dict[str, str]) -> None:
    await admin.post("/v1/track", json=CALL)
    for method, path, body in (
        ("POST", "/v1/keys", {"name": "shop", "scope": "read"}),
        ("DELETE", "/v1/keys/shop", None),
        ("DELETE", "/v1/users/ada", None),
        ("GET", "/v1/users/ada/export", None),
    ):
        assert refused(await admin.request(method, path, json=body, headers=headers)) == (422, "invalid")
    assert (await admin.get("/v1/audit")).json() == {"entries": [], "next": None}


async def test_what_operators_do_is_in_the_audit_log(admin: httpx.AsyncClient) -> None:
    ops = await made(admin, "ops", "admin")
    run = (await admin.post("/v1/journeys/basket_help/runs", json={"user_id": "ada", "data": {"basket": "b"}})).json()["run_id"]
    await admin.post(f"/v1/runs/{run}/exit", headers={**ops, "X-Actor": "bob", "X-Reason": "wrong copy"})
    await admin.put("/v1/users/ada/consent", json={"topic": "t", "granted": False, "source": "phone"}, headers={**ops, **BY})
    await admin.get("/v1/users/ada/export", headers=BY)
    entries = (await admin.get("/v1/audit")).json()["entries"]
    assert [(each["action"], each["actor"], each["user_id"], each["key_name"]) for each in entries] == [
        ("export", "eve", "ada", "SOJOURN_ADMIN_KEY"),
        ("consent", "eve", "ada", "ops"),
        ("exit", "bob", "ada", "ops"),
        ("run", "SOJOURN_ADMIN_KEY", "ada", "SOJOURN_ADMIN_KEY"),
        ("add key", "eve", None, "SOJOURN_ADMIN_KEY"),
    ]
    assert (entries[0]["reason"], entries[2]["run_id"], entries[4]["subject"]) == ("a new shop", run, "ops")
    await admin.delete("/v1/users/ada", headers=BY)
    entries = (await admin.get("/v1/audit")).json()["entries"]
    assert [each["action"] for each in entries] == ["erase", "add key"]
    assert "ada" not in str(entries[0])


async def test_the_audit_log_is_read_page_by_page_to_its_end(admin: httpx.AsyncClient) -> None:
    for number in range(5):
        await made(admin, f"shop-{number}", "ingest")
    subjects: list[str] = []
    before: dict[str, Any] = {}
    for size in (2, 2, 1):
        page = (await admin.get("/v1/audit", params={"limit": 2, **before})).json()
        assert len(page["entries"]) == size
        subjects += [each["subject"] for each in page["entries"]]
        before = {"before": page["next"]}
    assert subjects == [f"shop-{number}" for number in (4, 3, 2, 1, 0)]
    assert before == {"before": None}


async def test_an_erasure_holds_at_once_with_temporal_down(admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/track", json=CALL)
    answer = await admin.delete("/v1/users/ada", headers=BY)
    assert (answer.status_code, answer.json()) == (202, {"erased": True, "histories_deleted": False})
    assert refused(await admin.get("/v1/users/ada")) == (404, "not_found")
    await admin.post("/v1/track", json=CALL)
    consent = {"topic": "t", "granted": True, "source": "s"}
    assert refused(await admin.put("/v1/users/ada/consent", json=consent)) == (404, "not_found")
    run = await admin.post("/v1/journeys/basket_help/runs", json={"user_id": "ada", "data": {"basket": "b"}})
    assert refused(run) == (409, "re_entry_refused")
    assert refused(await admin.delete("/v1/users/ada", headers=BY)) == (404, "not_found")
