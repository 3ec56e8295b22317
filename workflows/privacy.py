"""Blacking out who somebody is in a text that is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable

SHORTEST = 3  # shorter names are blacked out as whole words only: they are part of too many others


def without(text: str, names: Iterable[str]) -> str:
    """Return the text with each of the names blacked out, in whatever case it is written."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        found = re.escape(name) if len(name) >= SHORTEST else rf"(?<!\w){re.escape(name)}(?!\w)"
        text = re.sub(found, "…", text, flags=re.IGNORECASE)
    return text
