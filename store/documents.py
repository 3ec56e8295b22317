"""JSON as it is stored, read so that what nobody can read any more stops nothing but itself."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json
from sqlalchemy import Cast, Text, cast


def as_stored(column: Any) -> Cast[str]:
    """Select a document's own text, which a database gives whatever it says."""
    return cast(column, Text)


def fields(stored: str | None) -> dict[str, Any] | None:
    """Return what a stored object says; None if it is none."""
    try:
        read = from_json(stored or "")
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
