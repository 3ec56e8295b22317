"""`python -m deploy.answering URL`: end with status 0 if it answers 200 within 3 seconds, else with 1. The API's health check."""

from __future__ import annotations

import sys

import httpx


def is_answering(url: str) -> bool:
    """Say whether `url` answers 200 within 3 seconds."""
    try:
        return httpx.get(url, timeout=3, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(not is_answering(sys.argv[1]))
