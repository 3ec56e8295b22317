"""Amazon SNS: is a message from one of our topics, and how is a subscription confirmed?"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from api.relay_signatures import is_recent
from events.calls import moment

OF_SUBSCRIPTIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": OF_SUBSCRIPTIONS,
    "UnsubscribeConfirmation": OF_SUBSCRIPTIONS,
}
HASHES = {"1": SHA1, "2": SHA256}
# A region begins with letters: at `sns.s3.amazonaws.com` is whatever somebody has put into a bucket called sns.
HOST = r"https://sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?"
CERTIFICATE = re.compile(HOST + r"/SimpleNotificationService-[0-9a-f]{8,64}\.pem")
SUBSCRIBE = re.compile(HOST + r"/\?Action=ConfirmSubscription&[\x21-\x7e]{1,2000}")
SECONDS = 5.0
MOST = 64  # certificates that are remembered: there is one a region at a time

_keys: dict[str, RSAPublicKey] = {}


class Unreachable(Exception):
    """Amazon does not give what it takes to verify a message, or to confirm a subscription."""


async def is_ours(message: Mapping[str, Any], topics: list[str], now: datetime) -> bool:
    """Say whether SNS has signed the message, and it is of one of the topics. Raises Unreachable if that cannot be told now.

    https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
    """
    kind, version = str(message.get("Type")), str(message.get("SignatureVersion"))
    if message.get("TopicArn") not in topics or kind not in FIELDS or version not in HASHES:
        return False
    where = str(message.get("SigningCertURL"))
    if not CERTIFICATE.fullmatch(where) or not is_recent(moment(message.get("Timestamp")), now):
        return False
    try:
        signature = b64decode(str(message.get("Signature")), validate=True)
        (await _key(where)).verify(signature, signed(message), PKCS1v15(), HASHES[version]())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def signed(message: Mapping[str, Any]) -> bytes:
    """Return what SNS signs of a message: the names of its fields and what they say, a line each."""
    present = [(name, message[name]) for name in FIELDS[str(message["Type"])] if message.get(name) is not None]
    return "".join(f"{name}\n{value}\n" for name, value in present).encode("utf-8", "replace")


async def confirm(message: Mapping[str, Any]) -> None:
    """Confirm the subscription that a message of ours asks for. Raises Unreachable."""
    where = str(message.get("SubscribeURL"))
    if SUBSCRIBE.fullmatch(where):
        await fetch(where)


async def _key(where: str) -> RSAPublicKey:
    if where not in _keys:
        key = load_pem_x509_certificate(await fetch(where)).public_key()
        if not isinstance(key, RSAPublicKey):
            raise ValueError("the certificate's key is none that SNS signs with")
        if len(_keys) >= MOST:
            _keys.clear()
        _keys[where] = key
    return _keys[where]


async def fetch(url: str) -> bytes:
    """Return what Amazon answers at one of its own addresses. Raises Unreachable."""
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as http:
            answer = await http.get(url)
            answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unreachable(f"Amazon does not answer: {type(error).__name__}") from error
    return answer.content
