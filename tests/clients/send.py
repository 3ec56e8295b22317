"""Sends Segment's six calls for each of some people, with Segment's library for Python as it is: HOST WRITE_KEY PEOPLE [gzip]."""

from __future__ import annotations

import sys
from typing import Any

from segment.analytics.client import Client  # type: ignore[import-untyped]


def send(host: str, write_key: str, people: list[str], gzip: bool) -> list[Any]:
    """Return what the library has given up."""
    lost: list[Any] = []
    client = Client(write_key, host=host, gzip=gzip, on_error=lambda error, _: lost.append(error))
    for user in people:
        client.identify(user, {"plan": "pro"})
        client.track(user, "Order Placed", {"total": 12})
        client.page(user, name="Home")
        client.screen(user, name="Home")
        client.group(user, "acme", {"name": "Acme"})
        client.alias(f"{user}-before", user)
    client.shutdown()
    return lost


if __name__ == "__main__":
    host, write_key, people, *gzip = sys.argv[1:]
    sys.exit("\n".join(map(repr, send(host, write_key, people.split(","), gzip == ["gzip"]))) or None)
