"""A bad line to an HTTP server: it refuses, cuts and loses as it is told, and writes down what it has delivered."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

from engine.process import LOOPBACK


class Fault(Enum):
    """What happens to a request. All but `LOST` happen before the server knows of it; with `LOST` it has answered."""

    FAILED = "500 Internal Server Error"
    BUSY = "429 Too Many Requests\r\nRetry-After: 1"
    CUT = "the connection ends"
    LOST = "the answer is lost"


CONNECTION = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ENCODING = re.compile(rb"\r\ncontent-encoding: *gzip", re.IGNORECASE)


@dataclass
class Line:
    """Faults happen in their order, one to a request; then all is well. A `nameless` one takes the message ids off the calls."""

    server_port: int
    faults: list[Fault]
    nameless: bool
    port: int = 0
    happened: list[Fault] = field(default_factory=list)
    delivered: Counter[str] = field(default_factory=Counter)
    zipped: set[bool] = field(default_factory=set)

    async def carry(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Carry one request, and end the connection."""
        try:
            head = await client.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            assert length, f"a request without a length: {head!r}"
            back.write(await self._answer(head, await client.readexactly(int(length[1]))))
            await back.drain()
        except asyncio.IncompleteReadError:
            pass  # a client that opens a connection ahead, and never asks
        finally:
            back.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            self.happened.append(fault)
        if fault is Fault.CUT:
            return b""
        if fault in (Fault.FAILED, Fault.BUSY):
            return f"HTTP/1.1 {fault.value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        answer = await self._deliver(head, body)
        return b"" if fault is Fault.LOST else answer

    async def _deliver(self, head: bytes, body: bytes) -> bytes:
        zipped = bool(ENCODING.search(head))
        batch = json.loads(gzip.decompress(body) if zipped else body)
        named = [call["messageId"] for call in batch["batch"]]
        if self.nameless:
            batch["batch"] = [{key: value for key, value in call.items() if key != "messageId"} for call in batch["batch"]]
            body = json.dumps(batch).encode()
            head = LENGTH.sub(b"\r\ncontent-length: %d" % len(body), ENCODING.sub(b"", head))
        answer = await self._ask(CONNECTION.sub(b"", head)[:-2] + b"Connection: close\r\n\r\n" + body)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        self.zipped.add(zipped)
        self.delivered.update(named)
        return answer

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.server_port)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def bad_line(server_port: int, faults: Sequence[Fault] = (), *, nameless: bool = False) -> AsyncIterator[Line]:
    """Open a line to the server at that port. It ends with the block."""
    line = Line(server_port, list(faults), nameless)
    async with await asyncio.start_server(line.carry, LOOPBACK, 0) as listening:
        line.port = listening.sockets[0].getsockname()[1]
        yield line
