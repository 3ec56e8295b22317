"""How relays sign, by what they publish: their own examples verify; a flipped bit, another time or key do not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from api import sns
from api.relay_signatures import is_mailguns, is_postmarks, is_sendgrids
from settings import Settings
from tests.api.relays import CERTIFICATE_AT, TOPIC, Ses, known

# SendGrid's own example, of the tests of its libraries.
KEY = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA=="
BODY = b'{"category":"example_payload","event":"test_event","message_id":"message_id"}'
TIME, SENDGRID = 1588788367, "x-twilio-email-event-webhook"
HEADERS = {
    f"{SENDGRID}-timestamp": str(TIME),
    f"{SENDGRID}-signature": ("MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="),
}
THEN = datetime.fromtimestamp(TIME, UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def test_sendgrids_example_verifies() -> None:
    assert is_sendgrids(BODY, HEADERS, [*known()["sendgrid_webhook_keys"], KEY], THEN)


@pytest.mark.parametrize("bit", range(0, len(BODY) * 8, 7))
def test_with_one_bit_flipped_it_does_not(bit: int) -> None:
    flipped = bytearray(BODY)
    flipped[bit // 8] ^= 1 << bit % 8
    assert not is_sendgrids(bytes(flipped), HEADERS, [KEY], THEN)


@pytest.mark.parametrize("ago", [DAY + 6 * MINUTE, -6 * MINUTE])
def test_nor_does_an_old_one_or_one_from_the_future(ago: timedelta) -> None:
    assert not is_sendgrids(BODY, HEADERS, [KEY], THEN + ago)


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({}, known()["sendgrid_webhook_keys"]),
        ({}, []),
        ({"timestamp": str(TIME + 1)}, [KEY]),
        ({"timestamp": f"{TIME}.0"}, [KEY]),
        ({"timestamp": f"٠{TIME}"}, [KEY]),
        ({"timestamp": "9" * 400}, [KEY]),
        ({"timestamp": ""}, [KEY]),
        ({"signature": HEADERS[f"{SENDGRID}-signature"].replace("7RA", "7RB")}, [KEY]),
        ({"signature": "AAAA"}, [KEY]),
        ({"signature": "%é"}, [KEY]),
        ({"signature": ""}, [KEY]),
    ],
)
def test_nor_with_another_key_time_or_signature(changed: dict[str, str], keys: list[str]) -> None:
    headers = HEADERS | {f"{SENDGRID}-{name}": value for name, value in changed.items()}
    assert not is_sendgrids(BODY, headers, keys, THEN)


# Made with `printf '%s' 1588788367TOKEN | openssl dgst -sha256 -hmac key-1234567890abcdef`.
TOKEN = "c5d97d5c5ac6bd3e1a2b4a8a3c6d3d7f9a0b1c2d3e4f5a6b7c"
MAILGUN = {"timestamp": str(TIME), "token": TOKEN, "signature": "101b7ab7774a4b936de942c42728bc5b43b96ffc0e566acb4986063c0a1dd19f"}


def test_what_mailgun_signs_verifies_with_any_of_the_keys() -> None:
    assert is_mailguns(MAILGUN, ["key-1234567890abcdef"], THEN)
    assert is_mailguns(MAILGUN, ["another", "key-1234567890abcdef"], THEN + DAY)


@pytest.mark.parametrize(
    "stated",
    [
        {**MAILGUN, "signature": "0" + MAILGUN["signature"][1:]},
        {**MAILGUN, "signature": ""},
        {**MAILGUN, "signature": "é\ud800"},
        {**MAILGUN, "token": TOKEN[:-1]},
        {**MAILGUN, "token": ""},
        {**MAILGUN, "timestamp": str(TIME + 1)},
        {**MAILGUN, "timestamp": "then"},
        {},
        [],
        "text",
        None,
    ],
)
def test_what_it_did_not_sign_does_not(stated: Any) -> None:
    assert not is_mailguns(stated, ["key-1234567890abcdef"], THEN)


def test_nor_do_another_key_or_an_old_one_of_mailguns() -> None:
    assert not is_mailguns(MAILGUN, ["key-1234567890abcdeg", ""], THEN)
    assert not is_mailguns(MAILGUN, ["key-1234567890abcdef"], THEN + DAY + 6 * MINUTE)
    assert not is_mailguns(MAILGUN, ["key-1234567890abcdef"], THEN - 6 * MINUTE)


def test_postmark_gives_the_password_that_was_put_into_its_address() -> None:
    """RFC 7617 has this example, and one with letters beyond ASCII."""
    assert is_postmarks("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", ["x:y", "Aladdin:open sesame"])
    assert is_postmarks("basic dGVzdDoxMjPCow==", ["test:123£"])
    for told in ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZA==", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic", "Basic %é", ""):
        assert not is_postmarks(told, ["Aladdin:open sesame"])


def notified(version: str = "2", where: str = CERTIFICATE_AT, **more: Any) -> dict[str, Any]:
    raw, _ = Ses().signed(Ses().message('{"eventType": "Open"}', THEN, **more), THEN, version, where)
    read: dict[str, Any] = json.loads(raw)
    return read


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "Amazon SES Email Event Notification"}], ids=["no subject", "a subject"])
async def test_what_sns_signs_verifies_and_its_certificate_is_fetched_once(fetched: list[str], version: str, more: Any) -> None:
    for _ in range(3):
        assert await sns.is_ours(notified(version, **more), [TOPIC], THEN)
    assert fetched == [CERTIFICATE_AT]


@pytest.mark.parametrize(
    "name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Signature", "SignatureVersion"]
)
async def test_with_another_field_it_does_not(fetched: list[str], name: str) -> None:
    message = notified(Subject="Hello")
    changed = {"Timestamp": "2020-05-06T18:06:08.000Z", "SignatureVersion": "1", "Type": "SubscriptionConfirmation"}
    assert not await sns.is_ours(message | {name: changed.get(name, message[name][:-1] + "x")}, [TOPIC, TOPIC[:-1] + "x"], THEN)


@pytest.mark.parametrize(
    "where",
    [
        "https://sns.s3.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://sns.eu-west-1.amazonaws.com/../SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "https://127.0.0.1/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
        "",
    ],
)
async def test_a_certificate_that_lies_elsewhere_is_not_even_fetched(fetched: list[str], where: str) -> None:
    assert not await sns.is_ours(notified(where=where), [TOPIC], THEN)
    assert fetched == []


async def test_nor_is_that_of_a_topic_that_is_not_ours_or_of_what_is_old(fetched: list[str]) -> None:
    assert not await sns.is_ours(notified(), ["arn:aws:sns:eu-west-1:123456789012:other"], THEN)
    assert not await sns.is_ours(notified(), [TOPIC], THEN + DAY + 6 * MINUTE)
    assert fetched == []


async def test_a_certificate_that_is_none_verifies_nothing(monkeypatch: pytest.MonkeyPatch, fetched: list[str]) -> None:
    async def fetch(url: str) -> bytes:
        return b"<html>not found</html>"

    monkeypatch.setattr(sns, "fetch", fetch)
    assert not await sns.is_ours(notified(), [TOPIC], THEN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOJOURN_SENDGRID_WEBHOOK_KEYS", "MFkw"),
        ("SOJOURN_SENDGRID_WEBHOOK_KEYS", "-----BEGIN PUBLIC KEY-----"),
        ("SOJOURN_SES_TOPICS", "mail"),
        ("SOJOURN_POSTMARK_WEBHOOK_PASSWORDS", "secret"),
        ("SOJOURN_POSTMARK_WEBHOOK_PASSWORDS", "user:"),
    ],
)
def test_a_setting_that_can_verify_nothing_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, json.dumps([value]))
    with pytest.raises(ValidationError, match=name):
        Settings(_env_file=None)
