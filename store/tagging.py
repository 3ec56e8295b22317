"""A message's key as a tag that a provider takes and gives back: letters, digits, `_` and `-`, at most 256."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

MESSAGE = "sojourn_message"  # the tag's name
LONGEST = 256


def tag_of(key: str) -> str:
    """Return the key as a tag; '' if it is too long for one."""
    tag = urlsafe_b64encode(key.encode()).rstrip(b"=").decode()
    return tag if len(tag) <= LONGEST else ""


def key_of(tag: str) -> str:
    """Return the key that a tag has; '' if it is none of ours."""
    try:
        return urlsafe_b64decode(tag.encode("ascii") + b"=" * (-len(tag) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
