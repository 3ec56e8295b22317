"""Webhooks to the team's own systems, to a server on this machine, and to nowhere that is not public."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from activities.posting import post
from activities.transport import Ambiguous, Content, OutOfReach, Throttled, Undeliverable
from activities.webhook import Webhook, webhook_id
from settings import EndpointSetting, Settings
from store.tables import Endpoint
from tests.activities.house import NOON, House
from tests.activities.parcels import parcel
from tests.activities.webserver import Answer, WebServer, serving
from workflows.run import Receipt

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DATA = {"person": "ada", "score": 7, "name": 'Ada "Countess" Lovelace'}
PARCEL = parcel(
    key="r_1:send:webhook/lead",
    channel="webhook",
    template="lead-qualified",
    recipients=("crm",),
    content=Content(json.dumps(DATA, indent=2)),
)


def endpoint(url: str) -> EndpointSetting:
    return EndpointSetting(url=url, secrets=[SecretStr(SECRET)])


@dataclass
class Ground:
    """A house, one endpoint's server, and what posts to it."""

    house: House
    server: WebServer
    webhook: Webhook

    async def deliver(self, *answers: Answer) -> str:
        given = iter(answers or [Answer(200)])
        self.server.answer = lambda request: next(given)
        return await self.webhook.deliver(PARCEL)


@pytest.fixture
async def ground(house: House) -> AsyncIterator[Ground]:
    with serving(lambda request: Answer(200)) as server:
        endpoints = {"crm": endpoint(f"{server.url}/hooks?a=1")}
        yield Ground(house, server, Webhook(house.store, endpoints, partial(post, loopback=True)))
    async with house.store.write() as session:
        if row := await session.get(Endpoint, "crm"):
            await session.delete(row)


# What is said, and how it is signed


def test_the_signature_is_that_of_standard_webhooks() -> None:
    headers = endpoint("https://hooks.example").signed(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


async def test_a_webhook_tells_its_kind_when_and_what(ground: Ground) -> None:
    assert await ground.deliver() == "r_1:send:webhook/lead"

    (request,) = ground.server.requests
    assert request.path == "/hooks?a=1"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {"type": "lead_qualified", "timestamp": "2025-01-06T12:00:00.000+00:00", "data": DATA}


async def test_the_receiver_can_verify_it_with_the_standards_own_library(ground: Ground) -> None:
    await ground.deliver()
    (request,) = ground.server.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert Verifier(SECRET).verify(request.body, headers)["data"] == DATA

    late = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 600)}
    other = headers | {"webhook-id": "r_2:send:webhook/lead"}
    for wrong, body in ((late, request.body), (other, request.body), (headers, request.body.replace(b"7", b"8"))):
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(body, wrong)


async def test_while_a_secret_is_rotated_the_receiver_may_know_either(ground: Ground) -> None:
    new = "whsec_dGhpcyBpcyBhIG5ld2VyIHNlY3JldCBvZiBvdXJz"
    ground.webhook.endpoints["crm"].secrets.insert(0, SecretStr(new))
    await ground.deliver()
    (request,) = ground.server.requests
    headers = {name.lower(): value for name, value in request.headers.items()}
    for secret in (new, SECRET):
        assert Verifier(secret).verify(request.body, headers)["data"] == DATA
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_YW5vdGhlciBzZWNyZXQgdGhhdCBub2JvZHkgaGFz").verify(request.body, headers)


async def test_every_attempt_has_the_same_id(ground: Ground) -> None:
    with pytest.raises(Ambiguous):
        await ground.deliver(Answer(500))
    await ground.deliver()
    assert [request.headers["webhook-id"] for request in ground.server.requests] == ["r_1:send:webhook/lead"] * 2


def test_an_id_has_no_full_stop_which_divides_what_is_signed_and_fits_a_header() -> None:
    assert webhook_id("r_1:send:webhook/größe.v2\n") == "r_1:send:webhook/gr%C3%B6%C3%9Fe%2Ev2%0A"


# What the endpoint answers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_is_success(ground: Ground, status: int) -> None:
    await ground.deliver(Answer(status))


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404])
async def test_anything_else_is_tried_again_and_no_redirect_is_followed(ground: Ground, status: int) -> None:
    with pytest.raises(OutOfReach, match=f"answered {status}"):
        await ground.deliver(Answer(status, headers={"Location": f"{ground.server.url}/elsewhere"}))
    assert len(ground.server.requests) == 1


@pytest.mark.parametrize("answer", [Answer(500), Answer(0)])
async def test_what_may_have_been_taken_is_tried_again_under_the_same_id(ground: Ground, answer: Answer) -> None:
    with pytest.raises(Ambiguous):
        await ground.deliver(answer)
    assert ground.webhook.keyed


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_an_endpoint_that_is_busy_says_when_to_come_again(ground: Ground, status: int) -> None:
    with pytest.raises(Throttled) as throttled:
        await ground.deliver(Answer(status, headers={"Retry-After": "90"}))
    assert throttled.value.retry_after == timedelta(seconds=90)

    with pytest.raises(Throttled) as throttled:
        await ground.deliver(Answer(status, headers={"Retry-After": "999999"}))
    assert throttled.value.retry_after == timedelta(hours=1)

    with pytest.raises(Throttled) as throttled:
        await ground.deliver(Answer(status))
    assert throttled.value.retry_after is None


async def test_an_endpoint_that_is_gone_is_disabled_and_is_not_called_again(ground: Ground) -> None:
    with pytest.raises(Undeliverable, match="answered 410, and is disabled"):
        await ground.deliver(Answer(410))
    with pytest.raises(Undeliverable, match="endpoint crm is disabled: it answered 410"):
        await ground.deliver()
    assert len(ground.server.requests) == 1

    async with ground.house.store.write() as session:
        row = await session.get_one(Endpoint, "crm")
        assert row.disabled_at is not None
        row.disabled_at = None
    await ground.deliver()


async def test_an_endpoint_that_nobody_named_is_a_mistake_of_ours(ground: Ground) -> None:
    with pytest.raises(Undeliverable, match="there is no endpoint 'erp' in SOJOURN_ENDPOINTS"):
        await ground.webhook.deliver(replace(PARCEL, recipients=("erp",)))


async def test_an_endpoint_out_of_reach_is_an_outage(ground: Ground) -> None:
    nobody = replace(ground.webhook, endpoints={"crm": endpoint("http://127.0.0.1:1")})
    with pytest.raises(OutOfReach, match="cannot be reached"):
        await nobody.deliver(PARCEL)
    nameless = replace(ground.webhook, endpoints={"crm": endpoint("https://nobody.invalid")})
    with pytest.raises(OutOfReach, match="name is not found"):
        await nameless.deliver(PARCEL)


async def test_a_refusal_is_for_good(house: House) -> None:
    webhook = Webhook(house.store, {"crm": endpoint("https://127.0.0.1/")}, post)
    with pytest.raises(Undeliverable, match="not at a public address"):
        await webhook.deliver(PARCEL)


# In the send path


async def test_a_webhook_is_sent_through_the_gate_and_the_ledger(ground: Ground) -> None:
    house = ground.house
    house.live(webhook=ground.webhook)
    house.configure(allow_recipients=["crm"])

    receipt = await house.send("webhook", endpoint="crm", data={"text": 'said "yes"'})
    assert (receipt.status, receipt.message) == ("sent", f"{house.run_id}:send:1")
    (request,) = ground.server.requests
    assert request.json["data"] == {
        "who": house.user_id,
        "said": 'said "yes"',
        "at": "2025-01-06T12:00:00+00:00",
        "all": {"text": 1},
    }
    assert (await house.row()).provider_id == request.headers["webhook-id"]


async def test_what_is_in_doubt_is_sent_again_for_the_receiver_can_tell(ground: Ground) -> None:
    house = ground.house
    house.live(webhook=ground.webhook)
    house.configure(allow_recipients=["crm"])
    ground.server.answer = lambda request: Answer(0)
    with pytest.raises(Exception, match="did not confirm"):
        await house.send("webhook", endpoint="crm")

    ground.server.answer = lambda request: Answer(200)
    assert (await house.send("webhook", endpoint="crm")).status == "sent"
    first, second = ground.server.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_nobody_is_asked_for_consent_to_what_tells_the_teams_own_systems(house: House) -> None:
    await house.say("greeting", granted=False)
    await house.change_person(email=None, phone=None, paused_until=NOON + timedelta(days=1))
    assert (await house.send("webhook", endpoint="crm")).status == "sent"
    assert (await house.send("in_app", step="send:2")).reason == "no_consent"


async def test_without_live_a_webhook_is_in_the_mailbox(house: House) -> None:
    await house.send("webhook", endpoint="crm")
    [letter] = await house.mailbox()
    assert (letter.channel, letter.recipient) == ("webhook", "crm")
    assert json.loads(letter.text)["who"] == house.user_id


async def test_a_webhook_whose_endpoints_are_not_set_fails_and_says_so(house: House) -> None:
    house.configure(live=True, environment="production")
    house.providers = None
    unset = "the channel is not configured: set SOJOURN_ENDPOINTS"
    assert await house.send("webhook", endpoint="crm") == Receipt("failed", unset, message=f"{house.run_id}:send:1")


# Settings


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"url": "ftp://hooks.example", "secrets": [SECRET]}, "is like https://"),
        ({"url": "https://me:secret@hooks.example", "secrets": [SECRET]}, "is like https://"),
        ({"url": "https://hooks.example:99999", "secrets": [SECRET]}, "is like https://"),
        ({"url": "https://hooks.example", "secrets": ["hunter2"]}, "`whsec_` and the base64 of at least 24"),
        ({"url": "https://hooks.example", "secrets": [SECRET, "whsec_c2hvcnQ="]}, "`whsec_` and the base64 of at least 24"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(setting: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why) as raised:
        Settings(_env_file=None, endpoints={"crm": setting})
    for secret in ("hunter2", "c2hvcnQ", "me:secret"):
        assert secret not in str(raised.value)


def test_webhooks_to_this_machine_are_for_development() -> None:
    keys: dict[str, Any] = dict.fromkeys(("write_key", "admin_key", "erasure_key", "link_key"), "a secret of some length")
    with pytest.raises(ValidationError, match="SOJOURN_ENDPOINTS_ON_LOOPBACK is for development"):
        Settings(_env_file=None, environment="production", endpoints_on_loopback=True, **keys)
