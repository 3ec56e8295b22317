"""What the team says of itself in every message, and how that differs by region: legal lines, senders, units."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import Any

REGION = re.compile(r"[A-Z]{2}|[0-9]{3}")


@dataclass(frozen=True)
class Brand:
    """Values that every template finds under `brand`; those of a region (ISO 3166) stand in place of the common ones.

    `sender` is what e-mails come from there, in place of SOJOURN_EMAIL_FROM: `Orion <hallo@orion.example>`.
    """

    common: Mapping[str, Any] = field(default_factory=dict)
    regions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def in_region(self, region: str) -> Mapping[str, Any]:
        """Return what holds in a region; '' if it is not known where the reader is."""
        return {**self.common, **self.regions.get(region, {})}


BRAND: list[Brand] = []
NONE = Brand()


def brand(*, regions: Mapping[str, Mapping[str, Any]] | None = None, **common: Any) -> Brand:
    """Say what holds in every message; a team's folder does so once. Raises ValueError for what cannot be said."""
    said = Brand(common, regions or {})
    for fault in _faults(said):
        raise ValueError(f"brand: {fault}")
    if BRAND and BRAND[0] != said:
        raise ValueError("brand: it is said twice; call brand(...) once, in journeys/brand.py")
    BRAND[:] = [said]
    return said


def in_use() -> Brand:
    """Return what was said; nothing where nobody did."""
    return BRAND[0] if BRAND else NONE


def _faults(said: Brand) -> list[str]:
    found = [
        f"{region!r} is no region; name it by two capital letters of ISO 3166, such as 'DE'"
        for region in said.regions
        if not REGION.fullmatch(region)
    ]
    for values in (said.common, *said.regions.values()):
        try:
            json.dumps(values, allow_nan=False)
        except (TypeError, ValueError) as error:
            found.append(f"its values are what JSON can hold: {error}")
        sender = values.get("sender", "x@x")
        if not (isinstance(sender, str) and "@" in parseaddr(sender)[1]) or "\n" in sender or "\r" in sender:
            found.append(f"sender {sender!r} is no address; write it as `Name <name@domain>`")
    for region, values in said.regions.items():
        if lacking := sorted(values.keys() - said.common.keys() - {"sender"}):
            found.append(f"{region} has {', '.join(lacking)}, which has no value anywhere else; give a common one, if an empty one")
    return found
