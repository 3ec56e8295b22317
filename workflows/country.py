"""In which country is a person, as far as they say themselves?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

ISO_LETTERS = 2


def country(traits: Mapping[str, Any], locale: str) -> str:
    """Return the country (ISO 3166) that their trait `country` names, else the one of their locale; '' if neither does."""
    stated = traits.get("country")
    if isinstance(stated, str) and len(stated.strip()) == ISO_LETTERS:
        return stated.strip().upper()
    return _region(locale)


@lru_cache(maxsize=1024)
def _region(locale: str) -> str:
    _, divided, region = locale.replace("_", "-").rpartition("-")
    return region.upper() if divided and len(region) == ISO_LETTERS else ""
