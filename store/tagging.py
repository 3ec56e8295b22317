"""What a message is called where a provider takes a name and gives it back: its key as a tag, or the name of its mail."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

MESSAGE = "sojourn_message"  # what the tag, or the name, is given back as
LONGEST = 256
MAIL_NAME = re.compile(r"<?(?P<name>(?P<run>[^.<>@\s]+)\.[0-9a-f]{16})(?:@[^<>@\s]*>?)?")


def tag_of(key: str) -> str:
    """Return the key as a tag, of letters, digits, `_` and `-`; '' if it is too long for one, which has at most 256."""
    tag = urlsafe_b64encode(key.encode()).rstrip(b"=").decode()
    return tag if len(tag) <= LONGEST else ""


def key_of(tag: str) -> str:
    """Return the key that a tag has; '' if it is none of ours."""
    try:
        return urlsafe_b64decode(tag.encode("ascii") + b"=" * (-len(tag) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def mail_name(key: str, run_id: str) -> str:
    """Return what stands before the `@` of the mail's Message-ID: always the same, and unlike any other's."""
    return f"{run_id}.{hashlib.sha256(key.encode()).hexdigest()[:16]}"
