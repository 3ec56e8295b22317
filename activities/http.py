"""How providers are spoken to over HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import httpx

from activities.transport import Ambiguous, OutOfReach

TIMEOUT_SECONDS = 15


def client(headers: Mapping[str, str] | None = None, *, direct: bool = False) -> httpx.AsyncClient:
    """Return a client for one message; what is slow to make is shared among them. A `direct` one uses no proxy."""
    return httpx.AsyncClient(verify=_tls_context(), timeout=TIMEOUT_SECONDS, headers=headers, trust_env=not direct)


@contextmanager
def speaking_to(provider: str) -> Iterator[None]:
    """Raise OutOfReach where the provider was not reached, and Ambiguous where it was and did not answer."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise OutOfReach(f"{provider} cannot be reached", type(error).__name__) from error
    except httpx.HTTPError as error:
        raise Ambiguous(f"{provider} did not confirm: {type(error).__name__}", type(error).__name__) from error


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
