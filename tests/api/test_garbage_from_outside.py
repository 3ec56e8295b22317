"""Whatever comes to the doors that need no key, none of them breaks, and nothing is done for who has no link or signature."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote_from_bytes

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlmodel import select

from api.app import create_app
from settings import Settings
from store.links import CLICKED, CONFIRM, OPENED, PREFERENCES, UNSUBSCRIBE, Ticket, token
from store.session import Store
from store.tables import AcceptedEvent, Consent, Suppression
from tests.api.relays import known

MULTIPART = "multipart/form-data; boundary=b"
RELAYS = ["webhooks/sendgrid", "webhooks/ses", "webhooks/mailgun", "webhooks/postmark"]
DOORS = ["u", "p", "p/confirm", "o", "c", "webhooks/resend", "webhooks/twilio/status", "webhooks/twilio/inbound", *RELAYS]
PURPOSES = {"u": UNSUBSCRIBE, "p": PREFERENCES, "p/confirm": CONFIRM, "o": OPENED, "c": CLICKED}


@pytest.fixture
async def web(settings: Settings, house: Store) -> AsyncIterator[httpx.AsyncClient]:
    """Anybody, to an API that has every provider's secrets."""
    secrets = [SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    whole = settings.model_copy(update={"resend_webhook_secrets": secrets, "twilio_auth_token": SecretStr("12345"), **known()})
    transport = httpx.ASGITransport(create_app(whole, house), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


def path(settings: Settings, door: str) -> str:
    """A link that is ours, to a person who is not there."""
    ticket = Ticket(4711, "r_1:send:1", "onboarding", "email", "https://shop.example/a")
    return f"/{door}/{token(settings.link_key.get_secret_value(), PURPOSES[door], ticket)}"


many_times = hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
header = st.binary(max_size=60).map(lambda each: each.translate(None, b"\r\n"))
NAMES = (
    *(b"Content-Type", b"Accept-Language", b"User-Agent", b"Purpose", b"Cookie", b"Host", b"Content-Encoding"),
    *(b"X-Twilio-Signature", b"svix-id", b"svix-timestamp", b"svix-signature"),
    *(b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"authorization"),
    *(b"X-Twilio-Email-Event-Webhook-Signature", b"X-Twilio-Email-Event-Webhook-Timestamp"),
)
LIKELY = (b"application/json", MULTIPART.encode(), b"multipart/form-data", b"gzip", b"identity", b"v1,", b"nan")
headers = st.dictionaries(st.sampled_from(NAMES), header | st.sampled_from(LIKELY))


@many_times
@given(
    door=st.sampled_from(DOORS),
    rest=st.binary(max_size=40),
    query=st.binary(max_size=20) | st.sampled_from([b"bodySHA256=", b"bodySHA256", b"key=%00"]),
    body=st.binary(max_size=200) | st.sampled_from([b"List-Unsubscribe=One-Click", b"do=save&shown=%00", b"{}", b"[1e999]"]),
    said=headers,
)
async def test_garbage_breaks_no_door(
    web: httpx.AsyncClient, door: str, rest: bytes, query: bytes, body: bytes, said: dict[bytes, bytes]
) -> None:
    where = f"/{door}" + ("" if door.startswith("webhooks") else f"/{quote_from_bytes(rest)}")
    asked = f"{where}?{quote_from_bytes(query, safe='=&%')}"
    for method in ("GET", "HEAD", "POST"):
        answer = await web.request(method, asked, content=body, headers=said)
        assert answer.status_code < 500, (method, answer.text)


@pytest.mark.parametrize("door", PURPOSES)
async def test_a_link_of_ours_takes_garbage_too(web: httpx.AsyncClient, settings: Settings, door: str) -> None:
    for body in (b"", b"\0\xff" * 9, b"do=save&shown=%00&yes=%ff", b"x" * 600_000):
        for kind in ("", "application/x-www-form-urlencoded", MULTIPART, "multipart/form-data", "text/\xff"):
            answer = await web.post(path(settings, door), content=body, headers={b"Content-Type": kind.encode("latin-1")})
            assert answer.status_code < 500, (kind, answer.text)


@pytest.mark.parametrize(
    "part",
    [
        b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (each, each + 1) for each in range(5000)),
        b"--b0\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 5000,
        b"--b0\r\nContent-Disposition: form-data; name*" + b"9" * 5000 + b"=x\r\n\r\nx\r\n--b0--",
        b"--b0\r\nContent-Disposition: form-data; name*0=x; name*=utf-8''%ff\r\n\r\nx\r\n--b0--",
    ],
    ids=["nested", "mail in mail", "a part of a name", "two kinds of a name"],
)
async def test_a_form_that_is_made_to_break_its_reader_does_not(web: httpx.AsyncClient, settings: Settings, part: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=b0"}
    assert (await web.post(path(settings, "u"), content=part, headers=kind)).status_code == 200


async def test_a_form_of_very_many_fields_is_not_read(web: httpx.AsyncClient, settings: Settings) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for where in (path(settings, "u"), "/webhooks/twilio/status", "/webhooks/twilio/inbound"):
        answer = await web.post(where, content="&".join(f"a{each}=b" for each in range(1001)), headers=form)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "too_large")


async def test_json_whose_address_has_an_empty_hash_is_not_twilios(web: httpx.AsyncClient) -> None:
    for hashes in ("bodySHA256=", "bodySHA256", "bodySHA256=x&bodySHA256="):
        for door in ("status", "inbound"):
            where = f"/webhooks/twilio/{door}?{hashes}"
            answer = await web.post(where, content=b'{"MessageSid": "SM1"}', headers={"Content-Type": "application/json"})
            assert answer.status_code == 403


@pytest.mark.parametrize("languages", ["a-" * 30_000, "en," * 20_000, "-".join("abcdefgh" * 4000)], ids=["long", "many", "deep"])
async def test_no_list_of_languages_breaks_a_page(web: httpx.AsyncClient, languages: str) -> None:
    for each in ("/u/x", "/p/x", "/p/confirm/x", "/c/x"):
        assert 'lang="en"' in (await web.get(each, headers={"Accept-Language": languages})).text


@pytest.mark.parametrize(
    ("languages", "read"),
    [("xx," * 19 + "de", "de"), ("xx," * 20 + "de", "en"), ("de" + "-a" * 16, "de"), ("de" + "-a" * 17, "en")],
    ids=["twenty", "twenty-one", "a long tag", "a longer one"],
)
async def test_of_the_languages_of_a_browser_as_many_and_as_long_ones_are_looked_at_as_people_have(
    web: httpx.AsyncClient, languages: str, read: str
) -> None:
    assert f'lang="{read}"' in (await web.get("/p/x", headers={"Accept-Language": languages})).text


async def test_nothing_has_been_done_for_any_of_them(web: httpx.AsyncClient, house: Store, settings: Settings) -> None:
    for door in PURPOSES:
        await web.get(path(settings, door))
        await web.post(path(settings, door), data={"List-Unsubscribe": "One-Click", "do": "none"})
    async with house.read() as session:
        for table in (Consent, Suppression, AcceptedEvent):
            assert (await session.exec(select(table))).all() == []
