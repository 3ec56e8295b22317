"""What Resend tells of an e-mail: signed, acted on once, in whatever order it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import standardwebhooks.webhooks
from pydantic import SecretStr
from sqlmodel import col, select
from standardwebhooks.webhooks import Webhook

from api.app import create_app
from api.resend import signed_id
from events.erase import erase
from events.operators import Operator
from events.suppress import lift
from store.session import Store
from store.tables import AcceptedEvent, Identity, Suppression
from store.tagging import MESSAGE, tag_of
from studio.scenario import under
from tests.activities.house import EMAIL, JOURNEYS_HERE, NOON, House, Provider, write_templates
from tests.databases import Databases
from tests.stage import only
from workflows.policy import Policy

SECRET, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_dGhpcyBpcyBhbiBvbGRlciBzZWNyZXQgb2Ygb3Vycw=="
HTTP = {
    "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "svix-timestamp": "1614265330",
    "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
BODY = b'{"test": 2432232314}'
BOUNCE = {"message": "The address does not exist", "type": "Permanent", "subType": "General"}
CLICK = {
    "ipAddress": "122.115.53.11",
    "link": "https://shop.example/a?who=ada#x",
    "timestamp": "2026-11-24T05:00:57.163Z",
    "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
}


def standing_at(monkeypatch: pytest.MonkeyPatch, timestamp: float) -> None:
    """Let the library's clock stand still."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls.fromtimestamp(timestamp, tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Clock)


@pytest.mark.parametrize("prefix", ["svix", "webhook"])
def test_the_vendors_example_verifies(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    standing_at(monkeypatch, 1614265330)
    headers = {name.replace("svix", prefix): value for name, value in HTTP.items()}
    assert signed_id(BODY, headers, [OLD, SECRET]) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize("late", [301, -301])
def test_one_that_is_older_than_five_minutes_or_from_the_future_does_not(monkeypatch: pytest.MonkeyPatch, late: int) -> None:
    standing_at(monkeypatch, 1614265330 + late)
    assert signed_id(BODY, HTTP, [SECRET]) is None


@pytest.mark.parametrize("bit", range(0, len(BODY) * 8, 7))
def test_one_bit_that_is_flipped_in_the_body_does_not(monkeypatch: pytest.MonkeyPatch, bit: int) -> None:
    standing_at(monkeypatch, 1614265330)
    flipped = bytearray(BODY)
    flipped[bit // 8] ^= 1 << bit % 8
    assert signed_id(bytes(flipped), HTTP, [SECRET]) is None


@pytest.mark.parametrize(
    ("changed", "secrets"),
    [
        ({}, [OLD]),
        ({}, ["whsec_"]),
        ({}, ["no base64 at all é"]),
        ({"svix-id": "msg_other"}, [SECRET]),
        ({"svix-timestamp": "1614265331"}, [SECRET]),
        ({"svix-timestamp": "yesterday"}, [SECRET]),
        ({"svix-signature": "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, [SECRET]),
        ({"svix-signature": "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, [SECRET]),
        ({"svix-signature": "nonsense"}, [SECRET]),
        ({"svix-signature": "v1,%%%"}, [SECRET]),
        ({"svix-signature": ""}, [SECRET]),
    ],
)
def test_another_key_id_time_or_signature_does_not(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], secrets: list[str]
) -> None:
    standing_at(monkeypatch, 1614265330)
    assert signed_id(BODY, {**HTTP, **changed}, secrets) is None


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> str:
    return databases.migrated()


@pytest.fixture
async def house(opened: Store, tmp_path: Path) -> AsyncIterator[House]:
    """A house that has sent Ada an e-mail, which Resend calls `provider-1 …`."""
    write_templates(tmp_path)
    with only(JOURNEYS_HERE), under(Policy(quiet_hours={})):
        built = House(opened, tmp_path)
        await built.settle()
        built.configure(resend_webhook_secrets=[SecretStr(OLD), SecretStr(SECRET)])
        await built.add(Identity(name=built.user_id, person_id=built.person_id))
        await built.change_person(email=f"{built.user_id}@example.org")
        built.live(email=Named(built.user_id), sms=Provider())
        await built.send()
        yield built


class Named(Provider):
    """Gives ids that are no other test's."""

    def __init__(self, name: str) -> None:
        super().__init__(keyed=True)
        self.name = name

    async def deliver(self, parcel: Any) -> str:
        return f"{await super().deliver(parcel)} {self.name}"


@pytest.fixture
async def web(house: House) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


def said(house: House, kind: str, *, by_key: bool = False, **data: Any) -> dict[str, Any]:
    """Return the body of a webhook, as Resend documents it."""
    email = {
        "created_at": "2026-11-22T23:41:11.894719+00:00",
        "email_id": "another" if by_key else f"provider-1 {house.user_id}",
        "from": "Acme <onboarding@resend.dev>",
        "to": [f"{house.user_id}@example.org"],
        "subject": "Sending this example",
        "tags": {MESSAGE: tag_of(f"{house.run_id}:send:1")} if by_key else {"category": "confirm_email"},
    }
    return {"type": f"email.{kind}", "created_at": "2026-11-22T23:41:12.126Z", "data": email | data}


async def call(web: httpx.AsyncClient, body: dict[str, Any], id: str, secret: str = SECRET) -> int:
    raw, now = json.dumps(body), datetime.now(UTC)
    headers = {
        "svix-id": id,
        "svix-timestamp": str(int(now.timestamp())),
        "svix-signature": Webhook(secret).sign(id, now, raw),
    }
    return (await web.post("/webhooks/resend", content=raw, headers=headers)).status_code


async def events(house: House) -> list[AcceptedEvent]:
    theirs = select(AcceptedEvent).where(AcceptedEvent.person_id == house.person_id, col(AcceptedEvent.name).startswith("message_"))
    async with house.store.read() as session:
        return list((await session.exec(theirs.order_by(col(AcceptedEvent.id)))).all())


async def causes(house: House) -> list[str]:
    async with house.store.read() as session:
        return [each.cause for each in (await session.exec(select(Suppression))).all()]


@pytest.mark.parametrize("by_key", [False, True], ids=["by its id", "by our tag"])
async def test_what_became_of_a_mail_is_an_event_whose_message_is_known(house: House, web: httpx.AsyncClient, by_key: bool) -> None:
    for place, (kind, data) in enumerate([("delivered", {}), ("opened", {}), ("clicked", {"click": CLICK})]):
        assert await call(web, said(house, kind, by_key=by_key, **data), f"msg_{place} {house.user_id}") == 204

    told = [(each.name, each.data["message"]) for each in await events(house)]
    key = f"{house.run_id}:send:1"
    assert [name for name, _ in told] == ["message_delivered", "message_opened", "message_clicked"]
    assert {message for _, message in told} == {key}
    clicked = (await events(house))[-1].data
    assert (clicked["url"], clicked["machine"]) == ("https://shop.example/a", False)
    assert set((await house.row()).happened) == {"delivered", "opened", "clicked"}


async def test_tags_may_come_as_a_list(house: House, web: httpx.AsyncClient) -> None:
    tags = [{"name": MESSAGE, "value": tag_of(f"{house.run_id}:send:1")}]
    assert await call(web, said(house, "delivered", email_id=None, tags=tags), f"list {house.user_id}") == 204
    assert len(await events(house)) == 1


async def test_told_twice_and_in_another_order_it_is_known_once(house: House, web: httpx.AsyncClient) -> None:
    for kind, id in (("opened", "b"), ("delivered", "a"), ("opened", "b"), ("sent", "c"), ("delivered", "a")):
        assert await call(web, said(house, kind), f"{id} {house.user_id}") == 204
    assert [each.name for each in await events(house)] == ["message_opened", "message_delivered"]


async def test_an_answer_that_was_lost_is_made_up_for(house: House, web: httpx.AsyncClient) -> None:
    async with house.store.write() as session:
        session.add((await house.row()).sqlmodel_update({"status": "unknown", "provider_id": None}))
    await call(web, said(house, "delivered", by_key=True), f"late {house.user_id}")
    row = await house.row()
    assert (row.status, row.provider_id) == ("sent", "another")


@pytest.mark.parametrize(
    ("kind", "data", "cause"),
    [("bounced", {"bounce": BOUNCE}, "hard_bounce"), ("complained", {}, "complaint")],
)
async def test_a_hard_bounce_and_a_complaint_suppress_the_address_and_the_next_mail_does_not_go(
    house: House, web: httpx.AsyncClient, kind: str, data: dict[str, Any], cause: str
) -> None:
    await call(web, said(house, kind, **data), f"{kind} {house.user_id}")
    receipt = await house.send(step="send:2", transactional=True)
    assert (receipt.status, receipt.reason) == ("suppressed", "suppressed")
    assert (await house.row("send:2")).saw == {"cause": cause}
    assert (await house.send("sms", step="send:3")).status == "sent"
    (event,) = await events(house)
    assert event.data.get("hard", True) is True


async def test_a_soft_bounce_is_told_and_suppresses_nothing(house: House, web: httpx.AsyncClient) -> None:
    await call(web, said(house, "bounced", bounce={**BOUNCE, "type": "Transient"}), f"soft {house.user_id}")
    assert (await events(house))[0].data["hard"] is False
    assert (await house.send(step="send:2")).status == "sent"


async def test_a_hard_bounce_after_a_soft_one_suppresses_all_the_same(house: House, web: httpx.AsyncClient) -> None:
    for kind in ("Transient", "Permanent"):
        await call(web, said(house, "bounced", bounce={**BOUNCE, "type": kind}), f"{kind} {house.user_id}")
    assert (await house.send(step="send:2")).reason == "suppressed"


async def test_an_address_that_an_operator_has_let_go_is_not_suppressed_again_by_a_repetition(
    house: House, web: httpx.AsyncClient
) -> None:
    bounced = said(house, "bounced", bounce=BOUNCE)
    await call(web, bounced, f"again {house.user_id}")
    assert await lift(house.store, "email", f"{house.user_id}@example.org")
    await call(web, bounced, f"again {house.user_id}")
    assert (await house.send(step="send:2")).status == "sent"


async def test_what_is_not_signed_is_refused_and_nothing_is_kept(house: House, web: httpx.AsyncClient) -> None:
    before = await causes(house)
    bounced = said(house, "bounced", bounce=BOUNCE)
    assert await call(web, bounced, "x", "whsec_d3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmcgd3Jvbmc=") == 401
    assert (await web.post("/webhooks/resend", json=bounced)).status_code == 401
    assert await events(house) == []
    assert await causes(house) == before


async def test_while_a_secret_is_rotated_either_signs(house: House, web: httpx.AsyncClient) -> None:
    assert await call(web, said(house, "delivered"), f"old {house.user_id}", OLD) == 204
    assert len(await events(house)) == 1


async def test_without_a_secret_the_door_says_so(house: House) -> None:
    house.configure(resend_webhook_secrets=[])
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        answer = await client.post("/webhooks/resend", json=said(house, "delivered"))
    assert answer.status_code == 503
    assert "SOJOURN_RESEND_WEBHOOK_SECRETS" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "contact.created", "created_at": "2026-11-22T23:41:12.126Z", "data": {"email": EMAIL}},
        {"type": "email.delivered"},
        {"type": "email.clicked", "data": {"email_id": 7, "click": {"link": "http://[", "userAgent": None}, "tags": "x", "to": []}},
        {"type": "email.bounced", "created_at": "then", "data": {"email_id": "nobody's", "to": 7, "bounce": "hard"}},
        {"type": ["email.sent"]},
        {},
    ],
)
async def test_what_concerns_no_message_of_ours_does_no_harm(house: House, web: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert await call(web, body, f"stranger {house.user_id}") == 204
    assert await events(house) == []


async def test_what_happens_after_an_erasure_is_kept_nowhere(house: House, web: httpx.AsyncClient) -> None:
    await erase(house.store, house.user_id, Operator("eve", "asked", "key", NOON))
    for by_key in (False, True):
        assert await call(web, said(house, "opened", by_key=by_key), f"gone {by_key} {house.user_id}") == 204
    assert await events(house) == []
