"""A mail server that takes everything and remembers it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from engine.process import LOOPBACK


class Sink:
    """What has arrived. `slowness` is how long it takes to answer for a mail that it has already taken, in seconds."""

    def __init__(self, slowness: float) -> None:
        self.slowness, self.address = slowness, ""
        self.subjects: dict[str, tuple[str, str]] = {}  # by Message-ID: recipient and subject
        self.times: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content)
        self.subjects[mail["Message-ID"]] = (envelope.rcpt_tos[0], mail["Subject"])
        self.times[mail["Message-ID"]] += 1
        await asyncio.sleep(self.slowness)
        return "250 taken"

    @property
    def mails(self) -> list[tuple[str, str]]:
        """Each different mail's recipient and subject, in order."""
        return sorted(self.subjects.values())

    @property
    def repeated(self) -> set[str]:
        """The Message-IDs that came more than once."""
        return {message for message, times in self.times.items() if times > 1}


@asynccontextmanager
async def sink(slowness: float = 0) -> AsyncIterator[Sink]:
    """Listen on a free port, at `address`, until the block ends."""
    taking = Sink(slowness)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(taking, hostname="sink.example"), LOOPBACK, 0)
    async with server:
        taking.address = f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        yield taking
