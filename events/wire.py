"""JSON as it came, over the wire or in a file, made fit for both databases."""

from __future__ import annotations

import re
from math import isinf
from typing import Any

from pydantic_core import from_json

# What JSON allows and PostgreSQL's does not hold: the NUL character, and numbers beyond a double, which is one of at least
# three digits in its exponent or two hundred before it.
UNFIT = re.compile(rb"\\u0000|\d[eE]\+?\d{3}|\d{200}")
LONGEST = 1000  # digits of a number, beyond which it is looked at in any case
NUMBER, BEFORE_A_VALUE = b"0123456789.-", b"[:, \t\r\n"


def read_json(raw: bytes) -> Any:
    """Read JSON by RFC 8259, at most 200 levels deep; a NUL character becomes U+FFFD.

    Raises ValueError for what is none, and for a number that no double holds.
    """
    value = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    return fit(value) if any(_is_unfit(raw, found) for found in UNFIT.finditer(raw)) else value


def _is_unfit(raw: bytes, found: re.Match[bytes]) -> bool:
    """Ids are full of `3e123`: an exponent is a number's only if that begins where a value does."""
    if b"e" not in found[0].lower():
        return True
    before = raw[max(0, found.start() - LONGEST) : found.start()].rstrip(NUMBER)
    return not before or before[-1] in BEFORE_A_VALUE


def fit(value: Any) -> Any:
    """Return the value as both databases can hold it. Raises ValueError for a number that no double holds."""
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [fit(each) for each in value]
        case dict():
            return {fit(name): fit(each) for name, each in value.items()}
        case float() if isinf(value):
            raise ValueError("a number is out of range")
    return value
