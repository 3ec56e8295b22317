"""An HTTP POST to an endpoint of the team's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from activities.http import client


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, timedelta | None]:
    """Return the status of the answer, and after how long it wants to be asked again. Raises httpx.HTTPError without an answer."""
    async with client(headers) as http:
        answer = await http.post(url, content=body, follow_redirects=False)
    after = answer.headers.get("Retry-After", "")
    return answer.status_code, timedelta(seconds=int(after)) if after.isdecimal() and len(after) < 7 else None
