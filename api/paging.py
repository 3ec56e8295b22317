"""How a list is asked for: so many at a time, and from where on."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

MOST_ID = 2**63 - 1

Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[int | None, Query(ge=0, le=MOST_ID, description="The `next` of the page before.")]
