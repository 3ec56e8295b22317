"""E-mail over SMTP (RFC 5321), by connections that are kept for the next mail."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from email.utils import parseaddr
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPResponseException, SMTPSenderRefused

from activities.email import compose, written
from activities.provider_errors import ProviderErrors, provider_errors
from activities.refusals import refusal
from activities.transport import Ambiguous, Failure, OutOfReach, Parcel, Undeliverable

# Together less than an attempt may take: one that is cut off before the mail itself went over is not in doubt.
BEFORE_SECONDS = 8  # for a connection, and the envelope
TIMEOUT_SECONDS = 10  # for the mail
GOODBYE_SECONDS = 1
MOST = 10  # connections at once
MOST_MAILS = 100  # over one: many servers take no more
IDLE_SECONDS = 30.0  # sooner than servers hang up
CLOSING = 421
ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")  # RFC 3463, before the text of an answer (RFC 2034)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Gone(OutOfReach):
    """The connection was lost before the mail itself was sent."""


class Line:
    """A connection, and how many mails it has been used for."""

    def __init__(self, server: aiosmtplib.SMTP) -> None:
        self.server, self.mails, self.rests_since = server, 0, 0.0


class Smtp:
    """Hands mail to the server at `smtp://` (TLS if it offers it, always before a password) or `smtps://` (TLS from the start).

    SMTP takes no key. The Message-ID is the same for every attempt, so what arrives twice can be told, and some
    servers drop the second. At most `most` connections are open, and none for longer than `idle` seconds without a mail.
    """

    keyed = False

    def __init__(
        self,
        url: str,
        sender: str,
        errors: ProviderErrors | None = None,
        relays: Collection[str] = (),
        *,
        most: int = MOST,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self.url, self.sender, self.relays, self.idle = urlsplit(url), sender, relays, idle
        self._errors = errors or provider_errors()
        self._turns = asyncio.Semaphore(most)
        self._resting: list[Line] = []
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def deliver(self, parcel: Parcel) -> str:
        """Return the Message-ID."""
        message = compose(parcel, self.sender, self.relays)
        sender = parseaddr(parcel.content.sender or self.sender)[1]
        try:
            async with asyncio.timeout(BEFORE_SECONDS) as before, self._turns:
                await self._hand_over(sender, parcel.recipients[0], written(message), before)
        except TimeoutError as error:
            raise OutOfReach("the mail server does not get as far as the mail", "TimeoutError") from error
        return str(message["Message-ID"])

    async def close(self) -> None:
        """End the connections that are kept."""
        while self._resting:
            self._end(self._resting.pop())
        await asyncio.gather(*self._goodbyes)

    async def _hand_over(self, sender: str, recipient: str, message: bytes, before: asyncio.Timeout) -> None:
        """Send the mail over a connection that was kept, or a new one. One that turns out to have died is nobody's fault."""
        while True:
            line = self._kept() or Line(await _connected(self.url, self._errors))
            try:
                async with self._keeping(line):
                    await _envelope(line.server, sender, recipient, self._errors)
                    before.reschedule(None)
                    return await _data(line.server, message, self._errors)
            except Gone:
                if line.mails == 0:
                    raise

    def _kept(self) -> Line | None:
        while self._resting:
            if (line := self._resting.pop()).server.is_connected:
                return line
        return None

    @asynccontextmanager
    async def _keeping(self, line: Line) -> AsyncIterator[None]:
        """Keep a connection for the next mail, unless it is lost, or nobody knows what it was in the middle of."""
        try:
            yield
        except (Undeliverable, OutOfReach) as error:
            if isinstance(error, Gone):
                line.server.close()
                raise
            with suppress(SMTPException, OSError):
                await line.server.rset(timeout=GOODBYE_SECONDS)
            self._keep(line)
            raise
        except BaseException:
            line.server.close()
            raise
        self._keep(line)

    def _keep(self, line: Line) -> None:
        line.mails += 1
        if not line.server.is_connected or line.mails >= MOST_MAILS:
            self._end(line)
            return
        loop = asyncio.get_running_loop()
        line.rests_since = loop.time()
        self._resting.append(line)
        loop.call_later(self.idle, self._end_idle)

    def _end_idle(self) -> None:
        """End what has rested too long; whatever came to rest later has a call of its own."""
        now = asyncio.get_running_loop().time()
        idle = [line for line in self._resting if now - line.rests_since >= self.idle]
        for line in idle:
            self._resting.remove(line)
            self._end(line)

    def _end(self, line: Line) -> None:
        goodbye = asyncio.create_task(_goodbye(line.server))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)


async def _connected(url: SplitResult, errors: ProviderErrors) -> aiosmtplib.SMTP:
    server = _client(url)
    try:
        await server.connect()
    except SMTPAuthenticationError as error:
        said, told = f"the mail server refuses our login: {error.code}", f"SMTP {error.code}"
        raise refusal(errors, "smtp", str(error.code), said, told, OutOfReach(said, told)) from error
    except (SMTPException, OSError) as error:
        raise OutOfReach(f"the mail server does not answer: {error}", type(error).__name__) from error
    except BaseException:
        server.close()
        raise
    return server


async def _goodbye(server: aiosmtplib.SMTP) -> None:
    with suppress(SMTPException, OSError):
        await server.quit(timeout=GOODBYE_SECONDS)
    server.close()


def _client(url: SplitResult) -> aiosmtplib.SMTP:
    secure = url.scheme == "smtps"
    return aiosmtplib.SMTP(
        hostname=url.hostname,
        port=url.port or (465 if secure else 587 if url.username else 25),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        use_tls=secure,
        start_tls=_start_tls(url),
        tls_context=_tls_context(),
        timeout=TIMEOUT_SECONDS,
    )


def _start_tls(url: SplitResult) -> bool | None:
    """A password goes over TLS or not at all, but to this machine; without one, TLS is used where it is offered (None)."""
    if url.scheme == "smtps":
        return False
    return True if url.username and url.hostname not in LOOPBACK else None


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _envelope(server: aiosmtplib.SMTP, sender: str, recipient: str, errors: ProviderErrors) -> None:
    try:
        await server.mail(sender)
        await server.rcpt(recipient)
    except SMTPResponseException as error:
        if error.code == CLOSING:
            raise Gone(f"the mail server says {error.code} {error.message}", f"SMTP {error.code}") from error
        raise _refusal(error, errors) from error
    except UnicodeEncodeError as error:
        raise Undeliverable("the address has letters that the mail server does not take", "address") from error
    except (SMTPException, OSError) as error:
        raise Gone(f"the mail server does not answer: {error}", type(error).__name__) from error


async def _data(server: aiosmtplib.SMTP, message: bytes, errors: ProviderErrors) -> None:
    """Send the mail itself. From here on, silence means that it may have been taken."""
    try:
        await server.data(message)
    except SMTPResponseException as error:
        raise _refusal(error, errors) from error
    except (SMTPException, OSError) as error:
        raise Ambiguous(f"the mail server did not confirm: {type(error).__name__}", type(error).__name__) from error


def _refusal(error: SMTPResponseException, errors: ProviderErrors) -> Failure:
    """Say what a refusal means, by the table: 5yz is for good and 4yz for now where it does not know better (RFC 5321, 4.2.1)."""
    basic, stated = str(error.code), ENHANCED.match(error.message)
    enhanced = stated[0] if stated else ""
    said, told = f"the mail server says {error.code} {error.message}", f"SMTP {basic} {enhanced}".strip()
    code = next((each for each in (enhanced, basic) if errors.known("smtp", each)), enhanced or basic)
    meant = refusal(errors, "smtp", code, said, told, None if 500 <= error.code < 600 else OutOfReach(said, told))
    if isinstance(error, SMTPSenderRefused) and isinstance(meant, Undeliverable):
        return Undeliverable(said, told)  # whatever is wrong with our own address says nothing of theirs
    return meant
