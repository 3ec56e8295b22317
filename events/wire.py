"""JSON as it came, over the wire or in a file, made fit for both databases."""

from __future__ import annotations

import re
from math import isinf
from typing import Any

from pydantic_core import from_json

# What JSON allows and PostgreSQL's does not hold: the NUL character, and numbers beyond a double, which is one of at least
# three digits in its exponent or two hundred before it. Ids are full of `3e123`; a number stands where a value begins.
UNFIT = re.compile(rb"\\u0000|(?:^|[\s\[:,])-?[\d.]+[eE]\+?\d{3}|\d{200}")


def read_json(raw: bytes) -> Any:
    """Read JSON by RFC 8259, at most 200 levels deep; a NUL character becomes U+FFFD.

    Raises ValueError for what is none, and for a number that no double holds.
    """
    value = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    return fit(value) if UNFIT.search(raw) else value


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
