"""How many parts a text message is sent in, and billed as: GSM 03.38, or UCS-2 where that lacks a character."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")  # each is written as an escape and a septet
GSM_ALONE, GSM_PART = 160, 153  # septets: six bytes of each of several parts say which it is
UCS_ALONE, UCS_PART = 70, 67  # units of 16 bits
PLANE = 0xFFFF  # above which a character is a pair of units


@dataclass(frozen=True)
class Segments:
    """So many parts, in that encoding."""

    encoding: str
    segments: int


def segments(text: str) -> Segments:
    """Return how a text goes out."""
    if all(each in BASIC or each in EXTENSION for each in text):
        return Segments("GSM-7", _parts([2 if each in EXTENSION else 1 for each in text], GSM_ALONE, GSM_PART))
    return Segments("UCS-2", _parts([2 if ord(each) > PLANE else 1 for each in text], UCS_ALONE, UCS_PART))


def _parts(widths: Iterable[int], alone: int, part: int) -> int:
    """Fill the parts in turn: neither an escape nor a pair is cut in two."""
    widths = list(widths)
    if sum(widths) <= alone:
        return 1
    count, room = 0, 0
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    return count
