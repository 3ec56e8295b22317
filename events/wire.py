"""JSON as it came, over the wire or in a file, made fit for both databases."""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf
from typing import Any

from pydantic_core import from_json

# What JSON allows and PostgreSQL's does not hold: the NUL character, and numbers beyond a double, which is one of at least
# three digits in its exponent or two hundred before it. Looked for with all digits alike: a regular expression is slower than
# reading the JSON.
NUL = b"\\u0000"
ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
LONG = b"0" * 200
EXPONENTS = (b"0e000", b"0e+000")
LONGEST = 1000  # digits of a number, beyond which it is looked at in any case
NUMBER, BEFORE_A_VALUE = b"0123456789.-", b"[:, \t\r\n"


def read_json(raw: bytes) -> Any:
    """Read JSON by RFC 8259, at most 200 levels deep; a NUL character becomes U+FFFD.

    Raises ValueError for what is none, and for a number that no double holds.
    """
    value = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    return fit(value) if NUL in raw or _may_be_out_of_range(raw) else value


def _may_be_out_of_range(raw: bytes) -> bool:
    alike = raw.translate(ALIKE)
    return LONG in alike or any(_is_a_number(raw, at) for each in EXPONENTS for at in _places(alike, each))


def _is_a_number(raw: bytes, at: int) -> bool:
    """Ids are full of `3e123`: an exponent is a number's only if that begins where a value does."""
    before = raw[max(0, at - LONGEST) : at].rstrip(NUMBER)
    return not before or before[-1] in BEFORE_A_VALUE


def _places(text: bytes, part: bytes) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


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
