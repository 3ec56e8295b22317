"""Notifications through google-auth and FCM HTTP v1, to a server that speaks both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from activities.push import Push
from activities.transport import Ambiguous, Content, OutOfReach, Throttled, Undeliverable
from store.tables import Device
from tests.activities.house import NOON, House
from tests.activities.parcels import parcel
from tests.activities.webserver import Answer, Request, WebServer, serving
from workflows.run import Receipt

SEND = "/v1/projects/engine-room/messages:send"
FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD = "type.googleapis.com/google.rpc.BadRequest"
ACTION = Content("It runs.", "About engine", action="See it", action_url="https://app.example/engine")


def error(http: int, status: str, *details: dict[str, Any], **headers: str) -> Answer:
    body = {"error": {"code": http, "message": f"says {status}", "status": status, "details": list(details)}}
    return Answer(http, body, {name.replace("_", "-"): value for name, value in headers.items()})


def fcm(code: str) -> dict[str, Any]:
    return {"@type": FCM, "errorCode": code}


def bad(field: str) -> dict[str, Any]:
    return {"@type": BAD, "fieldViolations": [{"field": field, "description": "invalid"}]}


UNREGISTERED = error(404, "NOT_FOUND", fcm("UNREGISTERED"))
NO_TOKEN = error(400, "INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"))
NO_TOKEN_WITH_FIELD = error(400, "INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), bad("message.token"))
OTHER_SENDER = error(403, "PERMISSION_DENIED", fcm("SENDER_ID_MISMATCH"))
BAD_PAYLOAD = error(400, "INVALID_ARGUMENT", bad("message.notification.title"))
BAD_PAYLOAD_WITH_CODE = error(400, "INVALID_ARGUMENT", fcm("INVALID_ARGUMENT"), bad("message.data[0].value"))
QUOTA = error(429, "RESOURCE_EXHAUSTED", fcm("QUOTA_EXCEEDED"), Retry_After="60")
UNAVAILABLE = error(503, "UNAVAILABLE", fcm("UNAVAILABLE"))
APNS_LOGIN = error(401, "UNAUTHENTICATED", fcm("THIRD_PARTY_AUTH_ERROR"))
INTERNAL = error(500, "INTERNAL", fcm("INTERNAL"))


ODD = [Answer(500, {"error": {"details": odd}}) for odd in (None, ["no object"], "no list", 5)]


class Firebase:
    """Answers by token; a token without an answer of its own is a device that gets the notification."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.login = Answer(200, {"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"})

    def answer(self, request: Request) -> Answer:
        if request.path == "/token":
            return self.login
        token = request.json["message"]["token"]
        return self.answers.get(token, Answer(200, {"name": f"projects/engine-room/messages/{token}"}))


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Ground:
    """A push transport, its provider, and a house whose devices it may forget."""

    def __init__(self, house: House, server: WebServer, firebase: Firebase, push: Push) -> None:
        self.house, self.server, self.firebase, self.push = house, server, firebase, push

    async def deliver(self, *tokens: str, **answers: Answer) -> str:
        self.firebase.answers = answers
        for token in tokens:
            await self.house.add(Device(token=token, person_id=self.house.person_id, seen_at=NOON))
        return await self.push.deliver(parcel(channel="push", recipients=tokens, content=ACTION))

    async def devices(self) -> set[str]:
        return set(await self.house.devices()) - {self.house.device}


@pytest.fixture
async def ground(house: House, key: rsa.RSAPrivateKey, tmp_path: Path) -> AsyncIterator[Ground]:
    firebase = Firebase()
    with serving(firebase.answer) as server:
        file = tmp_path / "service-account.json"
        file.write_text(json.dumps(service_account(key, server.url)))
        ground = Ground(house, server, firebase, Push(house.store, file, server.url))
        async with tidy(ground):
            yield ground


@asynccontextmanager
async def tidy(ground: Ground) -> AsyncIterator[None]:
    """Take this person's devices away: tests share a database, and their tokens."""
    yield
    await ground.push._forget(await ground.house.devices())


def service_account(key: rsa.RSAPrivateKey, url: str) -> dict[str, str]:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return {
        "type": "service_account",
        "project_id": "engine-room",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "push@engine-room.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }


async def test_a_notification_reaches_every_device_under_the_service_accounts_token(ground: Ground) -> None:
    assert await ground.deliver("one", "two") == "projects/engine-room/messages/one"

    first, second = sorted(ground.server.to(SEND), key=lambda request: str(request.json["message"]["token"]))
    assert first.headers["Authorization"] == second.headers["Authorization"] == "Bearer ya29.token"
    message = first.json["message"]
    assert message["notification"] == {"title": "About engine", "body": "It runs."}
    assert message["data"] == {"action": "See it", "link": "https://app.example/engine"}
    assert (message["token"], second.json["message"]["token"]) == ("one", "two")


async def test_what_is_sent_twice_replaces_itself_on_the_device(ground: Ground) -> None:
    await ground.deliver("one")
    await ground.push.deliver(parcel(channel="push", recipients=("one",), content=ACTION))
    await ground.push.deliver(parcel(key="r_1:other", channel="push", recipients=("one",), content=ACTION))

    tags = [request.json["message"]["android"]["notification"]["tag"] for request in ground.server.to(SEND)]
    collapse = [request.json["message"]["apns"]["headers"]["apns-collapse-id"] for request in ground.server.to(SEND)]
    assert tags[0] == tags[1] != tags[2]
    assert tags == collapse
    assert len(tags[0].encode()) <= 64


async def test_we_log_in_with_a_signed_assertion_once_for_many_notifications(ground: Ground, key: rsa.RSAPrivateKey) -> None:
    await ground.deliver("one")
    await ground.push.deliver(parcel(channel="push", recipients=("one",), content=ACTION))

    (login,) = ground.server.to("/token")
    audience = "https://oauth2.googleapis.com/token"
    claims = jwt.decode(login.form["assertion"], key.public_key(), algorithms=["RS256"], options={"verify_aud": False})
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert claims["aud"] in (audience, f"{ground.server.url}/token")


async def test_a_login_that_is_refused_is_an_outage(ground: Ground) -> None:
    ground.firebase.login = Answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
    with pytest.raises(OutOfReach, match="no access token"):
        await ground.deliver("one")


@pytest.mark.parametrize("answer", [UNREGISTERED, NO_TOKEN, NO_TOKEN_WITH_FIELD, OTHER_SENDER])
async def test_a_device_that_is_gone_is_forgotten(ground: Ground, answer: Answer) -> None:
    assert await ground.deliver("gone", "here", gone=answer) == "projects/engine-room/messages/here"
    assert await ground.devices() == {"here"}


async def test_without_a_device_left_the_message_fails(ground: Ground) -> None:
    with pytest.raises(Undeliverable, match="none of their devices"):
        await ground.deliver("gone", gone=UNREGISTERED)
    assert await ground.devices() == set()


@pytest.mark.parametrize("answer", [BAD_PAYLOAD, BAD_PAYLOAD_WITH_CODE])
async def test_a_payload_that_is_wrong_fails_the_message_and_keeps_the_device(ground: Ground, answer: Answer) -> None:
    with pytest.raises(Undeliverable, match="FCM says 400"):
        await ground.deliver("here", here=answer)
    assert await ground.devices() == {"here"}


async def test_throttling_waits_as_fcm_says(ground: Ground) -> None:
    with pytest.raises(Throttled) as throttled:
        await ground.deliver("here", here=QUOTA)
    assert throttled.value.retry_after == timedelta(seconds=60)

    with pytest.raises(Throttled):
        await ground.push.deliver(parcel(channel="push", recipients=("here",), content=ACTION))


async def test_an_fcm_that_is_not_available_is_asked_later(ground: Ground) -> None:
    with pytest.raises(Throttled) as throttled:
        await ground.deliver("here", here=UNAVAILABLE)
    assert throttled.value.retry_after is None


async def test_trouble_with_our_account_is_an_outage_and_keeps_the_device(ground: Ground) -> None:
    with pytest.raises(OutOfReach):
        await ground.deliver("here", here=APNS_LOGIN)
    assert await ground.devices() == {"here"}


@pytest.mark.parametrize("answer", [INTERNAL, Answer(0), Answer(502, b"bad gateway"), Answer(200, b"<html>"), *ODD])
async def test_no_clear_answer_leaves_it_open(ground: Ground, answer: Answer) -> None:
    with pytest.raises(Ambiguous):
        await ground.deliver("here", "gone", here=answer, gone=UNREGISTERED)
    assert await ground.devices() == {"here"}


async def test_one_device_that_took_it_is_enough(ground: Ground) -> None:
    answers = {"slow": QUOTA, "lost": Answer(0), "wrong": BAD_PAYLOAD}
    assert await ground.deliver("slow", "lost", "wrong", "here", **answers) == "projects/engine-room/messages/here"


async def test_fcm_out_of_reach_is_an_outage(ground: Ground) -> None:
    await ground.deliver("one")
    ground.push._base_url = "http://127.0.0.1:1"
    with pytest.raises(OutOfReach, match="cannot be reached"):
        await ground.push.deliver(parcel(channel="push", recipients=("one",), content=ACTION))


async def test_a_person_whose_only_device_is_gone_has_no_address_next_time(ground: Ground) -> None:
    house = ground.house
    house.live(push=ground.push)
    ground.firebase.answers = {house.device: UNREGISTERED}

    assert await house.send("push") == Receipt("failed", "none of their devices is registered any more")
    assert await house.send("push", step="send:2") == Receipt("suppressed", "no_address")
