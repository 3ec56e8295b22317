"""Webhooks to the team's own systems, to a server on this machine, and to nowhere that is not public."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

import activities.http
from activities.posting import NotPublic, is_public, post, retry_after
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
    return EndpointSetting(url=url, secret=SecretStr(SECRET))


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


@pytest.mark.parametrize(
    ("stated", "after"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        ("Mon, 06 Jan 2025 12:00:30 GMT", timedelta(seconds=30)),
        ("Mon, 06 Jan 2025 11:00:30 GMT", timedelta(0)),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(stated: str, after: timedelta | None) -> None:
    assert retry_after(stated, NOON) == after


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


# Where it does not go


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",  # carriers' own
        "100.100.100.200",  # Alibaba's metadata
        "169.254.169.254",  # everybody else's
        "168.63.129.16",  # Azure's
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "192.0.2.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",  # Amazon's metadata
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo, of 127.0.0.1
        "2001:db8::1",
    ],
)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "2002:101:101::"])
def test_an_address_that_is_public_is_known(address: str) -> None:
    assert is_public(address)


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """A server that nobody is to reach, as the addresses it is known by."""
    with serving(lambda request: Answer(200)) as server:
        port = httpx.URL(server.url).port
        yield [f"{scheme}://{host}:{port}/" for scheme in ("http", "https") for host in HOSTS]
        assert server.requests == []


HOSTS = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1", "0", "LOCALHOST.")


async def test_nothing_goes_to_this_machine_however_it_is_written(asked: list[str]) -> None:
    for url in asked:
        with pytest.raises((NotPublic, OSError)):
            await post(url, b"{}", {})


async def test_a_refusal_is_for_good(house: House) -> None:
    webhook = Webhook(house.store, {"crm": endpoint("https://127.0.0.1/")}, post)
    with pytest.raises(Undeliverable, match="not at a public address"):
        await webhook.deliver(PARCEL)


async def test_one_address_that_is_not_public_is_enough(asked: list[str]) -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(NotPublic):
        await post("https://hooks.example/", b"{}", {}, resolve=both)


async def test_without_tls_nothing_goes_anywhere_public() -> None:
    async def public(host: str, port: int) -> Sequence[str]:
        return ["192.0.9.1"]

    with pytest.raises(NotPublic, match="not https"):
        await post("http://hooks.example/", b"{}", {}, resolve=public)


class Wire(httpx.AsyncBaseTransport):
    """Remembers to which address, as which host, something would have gone. Addresses in `dead` do not answer."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.gone: list[tuple[str, str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.gone.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
        if request.url.host in self.dead:
            raise httpx.ConnectError("no route")
        return httpx.Response(204)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire("2606:4700::1")
    monkeypatch.setattr(httpx, "AsyncClient", partial(httpx.AsyncClient, transport=wire))
    return wire


async def test_the_connection_goes_to_the_address_that_was_looked_at_under_the_hosts_own_name(wire: Wire) -> None:
    """A name that is public when it is checked, and something else a moment later, is looked up once."""
    answers = iter((["2606:4700::1", "1.1.1.1"], ["127.0.0.1"]))

    async def rebinding(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("xn--hks-sna.example", 8443)
        return next(answers)

    assert (await post("https://höks.example:8443/a", b"{}", {}, resolve=rebinding))[0] == 204
    name = "xn--hks-sna.example"
    assert wire.gone == [("2606:4700::1", f"{name}:8443", name), ("1.1.1.1", f"{name}:8443", name)]


async def test_a_certificate_has_to_be_the_hosts_not_the_addresss(ground: Ground) -> None:
    """The server here has none at all, so no TLS comes about, and nothing is said."""

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    url = ground.server.url.replace("http://127.0.0.1", "https://hooks.example")
    with pytest.raises(httpx.ConnectError):
        await post(url, b"{}", {}, loopback=True, resolve=here)
    assert activities.http._tls_context().check_hostname
    assert activities.http._tls_context().verify_mode == ssl.CERT_REQUIRED


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
        ({"url": "ftp://hooks.example", "secret": SECRET}, "is like https://"),
        ({"url": "https://me:secret@hooks.example", "secret": SECRET}, "is like https://"),
        ({"url": "https://hooks.example", "secret": "hunter2"}, "`whsec_` and the base64 of at least 24"),
        ({"url": "https://hooks.example", "secret": "whsec_c2hvcnQ="}, "`whsec_` and the base64 of at least 24"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(setting: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(_env_file=None, endpoints={"crm": setting})


def test_webhooks_to_this_machine_are_for_development() -> None:
    keys: dict[str, Any] = dict.fromkeys(("write_key", "admin_key", "erasure_key", "link_key"), "a secret of some length")
    with pytest.raises(ValidationError, match="SOJOURN_ENDPOINTS_ON_LOOPBACK is for development"):
        Settings(_env_file=None, environment="production", endpoints_on_loopback=True, **keys)
