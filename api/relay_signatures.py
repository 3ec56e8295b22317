"""Is a call really from the relay that it says it is from?"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from settings import sendgrid_key

# Relays go on trying for as long as a day, and none says whether it signs anew: what is older was not worth their trouble.
OLDEST, AHEAD = timedelta(days=1, minutes=5), timedelta(minutes=5)
SENDGRID = "x-twilio-email-event-webhook"


def is_sendgrids(body: bytes, headers: Mapping[str, str], keys: Sequence[str], now: datetime) -> bool:
    """Say whether one of the keys, each as SendGrid's settings show it, signed the body at the time that is told (ECDSA, P-256).

    https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
    """
    timestamp, signature = headers.get(f"{SENDGRID}-timestamp", ""), headers.get(f"{SENDGRID}-signature", "")
    if not is_recent(_seconds(timestamp), now):
        return False
    return any(_fits(key, signature, _bytes(timestamp) + body) for key in keys)


def is_mailguns(signature: Any, keys: Sequence[str], now: datetime) -> bool:
    """Say whether one of the keys made that `signature` object (HMAC-SHA256 of its time and token; the body it does not cover).

    https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
    """
    said = signature if isinstance(signature, dict) else {}
    timestamp, token, stated = (str(said.get(name, "")) for name in ("timestamp", "token", "signature"))
    if not token or not is_recent(_seconds(timestamp), now):
        return False
    made = (hmac.new(_bytes(key), _bytes(timestamp + token), hashlib.sha256).hexdigest() for key in keys)
    return any(hmac.compare_digest(_bytes(each), _bytes(stated)) for each in made)


def is_postmarks(authorization: str, passwords: Sequence[str]) -> bool:
    """Say whether one of `user:password` is in an `Authorization` header (RFC 7617): Postmark signs nothing."""
    scheme, _, told = authorization.partition(" ")
    try:
        given = b64decode(told, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return False
    return any(hmac.compare_digest(_bytes(each), given) for each in passwords)


def is_recent(at: datetime | None, now: datetime) -> bool:
    """Say whether something that was signed then may still be told."""
    return at is not None and -OLDEST <= at - now <= AHEAD


def _fits(key: str, signature: str, signed: bytes) -> bool:
    try:
        sendgrid_key(key).verify(b64decode(signature, validate=True), signed, ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def _seconds(stated: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(stated), UTC) if stated.isascii() and stated.isdigit() else None
    except (ValueError, OverflowError, OSError):
        return None


def _bytes(text: str) -> bytes:
    """Return a text in UTF-8, whatever somebody has written into their JSON."""
    return text.encode("utf-8", "replace")
