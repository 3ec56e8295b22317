"""What came over the wire, read safely: bounded, unzipped, strictly JSON, and fit for both databases."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from api.errors import Problem
from events.wire import read_json

KB = 1024
CALL_BYTES = 32 * KB  # Segment's limits
BODY_BYTES = 500 * KB
FORM_FIELDS = 1000  # more than any form of ours or a provider's has: reading them takes time
UPLOAD_SECONDS = 30.0  # in which a body has come, or is waited for no more
GZIP = 16 + zlib.MAX_WBITS


class BoundedRequest(Request):
    """A request whose body is read up to a limit, unzipped too, and whose JSON is strict."""

    limit = BODY_BYTES

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            self._body = unpacked(await self._read(), self.headers.get("content-encoding", "identity"), self.limit)
        return self._body

    async def json(self) -> Any:
        try:
            return read_json(await self.body())
        except ValueError as error:
            raise Problem(400, "malformed_json", f"the body is not JSON that we can keep: {error}") from None

    async def _read(self) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                async for chunk in self.stream():
                    body += chunk
                    refuse_larger(len(body), self.limit)
        except TimeoutError:
            raise Problem(408, "too_slow", f"the body did not come within {UPLOAD_SECONDS:g} seconds") from None
        except ClientDisconnect:
            raise Problem(400, "disconnected", "the connection was closed before the body was complete") from None
        return bytes(body)


class BoundedRoute(APIRoute):
    """A route whose requests are bounded ones."""

    limit = BODY_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_bounded(request: Request) -> Response:
            bounded = BoundedRequest(request.scope, request.receive)
            bounded.limit = self.limit
            return await handle(bounded)

        return handle_bounded


def read_form(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form that was sent as `application/x-www-form-urlencoded`, empty ones too. Refuses too many."""
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError:
        raise Problem(400, "too_large", f"the form has more than {FORM_FIELDS} fields") from None


def refuse_larger(size: int, limit: int, what: str = "the body") -> None:
    """Refuse what has more bytes than it may."""
    if size > limit:
        raise Problem(400, "too_large", f"{what} is larger than {limit // KB} KB")


def unpacked(body: bytes, encoding: str, limit: int = BODY_BYTES) -> bytes:
    """Undo the content encoding, none or gzip, without ever holding more than the limit."""
    coding = encoding.strip().lower()
    if coding == "identity":
        return body
    if coding != "gzip":
        raise Problem(400, "unknown_encoding", f"Content-Encoding {encoding!r} is not known here; send gzip, or none")
    unzip = zlib.decompressobj(GZIP)
    try:
        plain = unzip.decompress(body, limit + 1)
    except zlib.error:
        raise Problem(400, "malformed_gzip", "the body is not gzip, as its Content-Encoding says") from None
    refuse_larger(len(plain), limit, "the unzipped body")
    if not unzip.eof or unzip.unused_data:
        raise Problem(400, "malformed_gzip", "the body is not one whole gzip member")
    return plain
