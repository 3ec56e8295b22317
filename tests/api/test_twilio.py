"""What Twilio calls, signed as Twilio signs it: https://www.twilio.com/docs/usage/security"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlmodel import col, select
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from api.app import create_app
from store.tables import AcceptedEvent, Identity, Person
from tests.activities.conftest import database_url
from tests.activities.conftest import house as _house
from tests.activities.house import NOON, House, Provider
from workflows.message_events import MessageBounced, MessageDelivered, MessageReplied
from workflows.run import Receipt

__all__ = ["_house", "database_url"]

TOKEN, OURS = "12345", "https://hooks.example/sojourn"
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
DELIVERED, BOUNCED, REPLIED = MessageDelivered.name, MessageBounced.name, MessageReplied.name
FORM = "application/x-www-form-urlencoded"


@dataclass
class Twilio:
    """Calls our API as Twilio does, about one person's texts."""

    house: House
    api: httpx.AsyncClient
    phone: str

    async def call(self, path: str, query: str = "", *, token: str = TOKEN, **said: str) -> httpx.Response:
        signature = RequestValidator(token).compute_signature(f"{OURS}{path}{query}", said)
        return await self.post(path + query, urlencode(said), signature)

    async def post(self, path: str, body: str, signature: str, kind: str = FORM) -> httpx.Response:
        headers = {"Content-Type": f"{kind}; charset=UTF-8", "X-Twilio-Signature": signature}
        return await self.api.post(path, content=body, headers=headers)

    async def status(self, state: str, code: str = "", *, sid: str = "", key: str = "") -> httpx.Response:
        said = {
            "MessageSid": sid or self.sid,
            "MessageStatus": state,
            "To": self.phone,
            "From": "+15005550006",
            "AccountSid": "AC0",
        }
        query = f"?{urlencode({'key': key or f'{self.house.run_id}:send:1'})}"
        return await self.call("/webhooks/twilio/status", query, **said, **({"ErrorCode": code} if code else {}))

    async def write(self, body: str, *, sid: str = "", **more: str) -> str:
        """Write back, and return what is answered."""
        said = {"MessageSid": sid or f"SM{uuid4().hex}", "From": self.phone, "To": "+15005550006", "Body": body, "NumMedia": "0"}
        answer = await self.call("/webhooks/twilio/inbound", **said, **more)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
        return answer.text

    @property
    def sid(self) -> str:
        return f"SM{self.house.run_id}"

    async def text(self, step: str = "send:1", at: datetime = NOON) -> Receipt:
        """Have a text sent to her."""
        self.house.configure(environment="production")
        self.house.live(sms=Taking(self.sid if step == "send:1" else f"{self.sid}{step}"))
        return await self.house.send("sms", step=step, at=at)

    async def events(self, name: str, person_id: int = 0) -> list[dict[str, Any]]:
        mine = select(AcceptedEvent.data).where(
            AcceptedEvent.person_id == (person_id or self.house.person_id), AcceptedEvent.name == name
        )
        async with self.house.store.read() as session:
            return [dict(each) for each in (await session.exec(mine.order_by(col(AcceptedEvent.id)))).all()]


class Taking(Provider):
    """Takes every text under that sid."""

    def __init__(self, sid: str) -> None:
        super().__init__()
        self.sid = sid

    async def deliver(self, parcel: Any) -> str:
        await super().deliver(parcel)
        return self.sid


@pytest.fixture
async def twilio(_house: House) -> AsyncIterator[Twilio]:
    phone = f"+4915{_house.person_id:09}"
    await _house.change_person(phone=phone)
    await _house.add(Identity(name=_house.user_id, person_id=_house.person_id))
    settings = _house.settings.model_copy(
        update={"public_url": OURS, "twilio_auth_token": SecretStr(TOKEN), "twilio_help": "Write to help@shop.example & wait"}
    )
    transport = httpx.ASGITransport(create_app(settings, _house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://behind.a.proxy") as api:
        yield Twilio(_house, api, phone)


# Who may call


def test_twilios_own_example_is_signed_as_it_says() -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    said = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    assert RequestValidator("12345").compute_signature(url, said) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


async def test_twilios_own_example_is_let_in_and_nothing_like_it(twilio: Twilio) -> None:
    """Its parameters, at an address of ours: what they say is no status, so nothing happens."""
    said = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    path = "/webhooks/twilio/status?foo=1&bar=2"
    signature = RequestValidator(TOKEN).compute_signature(OURS + path, said)
    assert (await twilio.post(path, urlencode(said), signature)).text == EMPTY

    flipped = signature.replace(signature[3], "A" if signature[3] != "A" else "B", 1)
    other = RequestValidator("12346").compute_signature(OURS + path, said)
    elsewhere = RequestValidator(TOKEN).compute_signature("http://behind.a.proxy" + path, said)
    for wrong in (flipped, other, elsewhere, "", "not base64"):
        assert (await twilio.post(path, urlencode(said), wrong)).status_code == 403
    for changed in ({**said, "Digits": "1235"}, {**said, "More": "x"}, {k: v for k, v in said.items() if k != "To"}):
        assert (await twilio.post(path, urlencode(changed), signature)).status_code == 403
    assert (await twilio.post(path.replace("bar=2", "bar=3"), urlencode(said), signature)).status_code == 403
    assert (await twilio.post(path, "\xff", signature)).status_code == 403


async def test_a_field_that_comes_several_times_is_signed_with_each_value(twilio: Twilio) -> None:
    path = "/webhooks/twilio/inbound"
    body = urlencode([("MediaUrl", "b"), ("MediaUrl", "a"), ("MessageSid", "SM1")])
    signature = RequestValidator(TOKEN).compute_signature(f"{OURS}{path}MediaUrlaMediaUrlbMessageSidSM1", {})
    assert (await twilio.post(path, body, signature)).status_code == 200


async def test_json_is_signed_by_its_hash_in_the_address(twilio: Twilio) -> None:
    await twilio.text()
    body = json.dumps({"MessageSid": twilio.sid, "MessageStatus": "delivered", "To": twilio.phone})
    path = f"/webhooks/twilio/status?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(OURS + path, {})

    changed = body.replace("delivered", "undelivered")
    assert (await twilio.post(path, changed, signature, "application/json")).status_code == 403
    without = RequestValidator(TOKEN).compute_signature(f"{OURS}/webhooks/twilio/status", {})
    assert (await twilio.post("/webhooks/twilio/status", body, without, "application/json")).status_code == 403
    assert await twilio.events(DELIVERED) == []

    assert (await twilio.post(path, body, signature, "application/json")).status_code == 200
    assert list((await twilio.house.row()).happened) == ["delivered"]


async def test_without_a_token_there_is_nothing_to_call(house: House) -> None:
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as api:
        for door in ("status", "inbound"):
            assert (await api.post(f"/webhooks/twilio/{door}")).status_code == 404


@pytest.fixture
def house(_house: House) -> House:
    return _house


# What became of a text


async def test_what_became_of_a_text_is_in_the_ledger_and_among_its_persons_events(twilio: Twilio) -> None:
    await twilio.text()
    for state in ("queued", "sent", "delivered"):
        assert (await twilio.status(state)).text == EMPTY

    assert sorted((await twilio.house.row()).happened) == ["delivered", "sent"]
    [event] = await twilio.events(DELIVERED)
    assert (event["message"], event["channel"]) == (f"{twilio.house.run_id}:send:1", "sms")


async def test_what_is_told_twice_or_out_of_order_does_no_harm(twilio: Twilio) -> None:
    await twilio.text()
    for state in ("delivered", "sent", "delivered", "queued", "sent"):
        await twilio.status(state)

    row = await twilio.house.row()
    assert (row.status, sorted(row.happened)) == ("sent", ["delivered", "sent"])
    assert len(await twilio.events(DELIVERED)) == 1


async def test_our_key_tells_whose_an_answer_was_that_never_came(twilio: Twilio) -> None:
    """The provider took it, and its answer was lost: the callback brings the sid."""
    twilio.house.configure(environment="production", on_ambiguous={"sms": "drop"})
    twilio.house.live(sms=Provider(TimeoutError()))
    assert (await twilio.house.send("sms")).status == "failed"
    assert (await twilio.house.row()).status == "unknown"

    await twilio.status("sent")
    row = await twilio.house.row()
    assert (row.status, row.provider_id) == ("sent", twilio.sid)
    assert await twilio.house.send("sms") == Receipt("sent", message=row.key)


@pytest.mark.parametrize(
    ("code", "hard", "cause"),
    [
        ("30005", True, "hard_bounce"),
        ("21610", True, "stop"),
        ("30007", True, ""),
        ("30003", False, ""),
        ("98765", True, ""),
        ("", False, ""),
    ],
)
async def test_a_text_that_did_not_arrive_bounced_and_its_number_is_judged_by_the_table(
    twilio: Twilio, code: str, hard: bool, cause: str
) -> None:
    await twilio.text()
    await twilio.status("undelivered", code)

    [event] = await twilio.events(BOUNCED)
    assert (event["hard"], event["code"]) == (hard, code)
    receipt = await twilio.text("send:2")
    assert (receipt.status, receipt.reason) == (("suppressed", "suppressed") if cause else ("sent", ""))
    assert (await twilio.house.row("send:2")).saw.get("cause", "") == cause


async def test_a_bounce_that_is_told_again_after_a_start_suppresses_nothing_anew(twilio: Twilio) -> None:
    await twilio.text()
    await twilio.status("failed", "21610")
    await twilio.write("START")
    await twilio.status("failed", "21610")
    assert (await twilio.text("send:2")).status == "sent"


async def test_a_message_of_somebody_else_is_none_of_our_business(twilio: Twilio) -> None:
    answer = await twilio.status("undelivered", "30005", sid="SMother", key="r_nobody:send:1")
    assert (answer.status_code, answer.text) == (200, EMPTY)
    assert (await twilio.text()).status == "sent"


# What people write back


async def test_a_stop_holds_for_everybody_who_has_the_number_until_a_start(twilio: Twilio) -> None:
    other = Person(user_id=f"bob-{uuid4().hex}", phone=twilio.phone, created_at=NOON)
    await twilio.house.add(other)
    await twilio.house.add(Identity(name=other.user_id, person_id=other.id or 0))
    await twilio.text()
    assert await twilio.write("Please stop texting me") == EMPTY

    assert (await twilio.text("send:2")).reason == "suppressed"
    assert (await twilio.house.row("send:2")).saw == {"cause": "stop"}
    assert len(await twilio.events("Texts Stopped")) == len(await twilio.events("Texts Stopped", other.id or 0)) == 1
    assert await twilio.events(REPLIED) == []

    await twilio.write("start")
    assert (await twilio.text("send:3")).status == "sent"


async def test_a_start_lifts_nothing_but_a_stop(twilio: Twilio) -> None:
    await twilio.text()
    await twilio.status("undelivered", "30005")
    await twilio.write("STOP")
    await twilio.write("START")
    assert (await twilio.text("send:2")).reason == "suppressed"


async def test_an_old_start_that_is_told_again_lifts_no_later_stop(twilio: Twilio) -> None:
    await twilio.write("START", sid="SMold")
    await twilio.write("STOP", sid="SMnew")
    await twilio.write("START", sid="SMold")
    assert (await twilio.text()).reason == "suppressed"

    await twilio.write("START", sid="SMnewer")
    await twilio.write("STOP", sid="SMnew")
    assert (await twilio.text("send:2")).status == "sent"


async def test_what_twilio_took_for_a_stop_in_another_language_is_one(twilio: Twilio) -> None:
    await twilio.write("ARRÊT", OptOutType="STOP")
    assert (await twilio.text()).reason == "suppressed"


async def test_help_is_answered_with_what_the_team_has_set(twilio: Twilio) -> None:
    await twilio.text()
    assert "<Response><Message>Write to help@shop.example &amp; wait</Message></Response>" in await twilio.write("Help")
    assert await twilio.events(REPLIED) == []


async def test_anything_else_is_a_reply_to_the_last_text_and_its_event_does_not_say_what(twilio: Twilio) -> None:
    await twilio.text("send:2", NOON + timedelta(minutes=1))
    await twilio.text("send:1", NOON)
    assert await twilio.write("Is this a robot?", sid="SM-reply") == EMPTY
    await twilio.write("Is this a robot?", sid="SM-reply")

    assert [event["message"] for event in await twilio.events(REPLIED)] == [f"{twilio.house.run_id}:send:2"]
    assert "robot" not in str(await twilio.events(REPLIED))


async def test_a_yes_is_a_reply_where_there_is_nothing_to_start_again(twilio: Twilio) -> None:
    await twilio.text()
    await twilio.write("Yes")
    assert len(await twilio.events(REPLIED)) == 1

    await twilio.write("STOP")
    await twilio.write("YES")
    assert len(await twilio.events(REPLIED)) == 1
    assert (await twilio.text("send:2")).status == "sent"


@pytest.mark.parametrize("sender", ["+4915999999999", "whatsapp:+4915112345678", "SHOP", ""])
async def test_a_number_that_nobody_has_is_answered_and_that_is_all(twilio: Twilio, sender: str) -> None:
    for body in ("hello", "STOP", "START", "HELP"):
        said: Mapping[str, str] = {"MessageSid": f"SM{uuid4().hex}", "From": sender, "Body": body}
        assert (await twilio.call("/webhooks/twilio/inbound", **said)).status_code == 200
    assert (await twilio.text()).status == "sent"


async def test_a_stop_from_a_number_that_nobody_has_yet_holds_for_who_gets_it(twilio: Twilio) -> None:
    phone = twilio.phone
    await twilio.house.change_person(phone=None)
    await twilio.write("STOP")
    await twilio.house.change_person(phone=phone)
    assert (await twilio.text()).reason == "suppressed"
