"""E-mail over SMTP (RFC 5321)."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPResponseException

from activities.transport import Ambiguous, OutOfReach, Parcel, Undeliverable

TIMEOUT_SECONDS = 15
GOODBYE_SECONDS = 1
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Email:
    """Hands mail to the server at `smtp://` (TLS if it offers it, always before a password) or `smtps://` (TLS from the start).

    SMTP takes no key. The Message-ID is the same for every attempt, so what arrives twice can be told, and some
    servers drop the second.
    """

    url: str
    sender: str

    @property
    def keyed(self) -> bool:
        return False

    async def deliver(self, parcel: Parcel) -> str:
        """Return the Message-ID."""
        message = compose(parcel, self.sender)
        try:
            async with _connection(urlsplit(self.url)) as server:
                await _envelope(server, parseaddr(self.sender)[1], parcel.recipients[0])
                await _data(server, message.as_bytes())
        except SMTPAuthenticationError as error:
            raise OutOfReach(f"the mail server refuses our login: {error.code}", f"SMTP {error.code}") from error
        except (SMTPException, OSError) as error:
            raise OutOfReach(f"the mail server does not answer: {error}", type(error).__name__) from error
        return str(message["Message-ID"])


def compose(parcel: Parcel, sender: str) -> EmailMessage:
    """Return the mail (RFC 5322), text first and HTML as its alternative. Raises Undeliverable for an impossible address."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"], message["To"] = sender, parcel.recipients[0]
    except ValueError as error:
        raise Undeliverable("the address is not one", "address") from error
    message["Subject"] = parcel.content.subject
    message["Date"] = format_datetime(parcel.at)
    message["Message-ID"] = message_id(parcel.key, parcel.run_id, sender)
    message.set_content(parcel.content.text)
    message.add_alternative(parcel.content.html, subtype="html")
    return message


def message_id(key: str, run_id: str, sender: str) -> str:
    """Return the Message-ID of the message with that key: always the same, and unlike any other's."""
    domain = parseaddr(sender)[1].partition("@")[2] or "localhost"
    return f"<{run_id}.{hashlib.sha256(key.encode()).hexdigest()[:16]}@{domain}>"


@asynccontextmanager
async def _connection(url: SplitResult) -> AsyncIterator[aiosmtplib.SMTP]:
    server = _client(url)
    await server.connect()
    try:
        yield server
    finally:
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


async def _envelope(server: aiosmtplib.SMTP, sender: str, recipient: str) -> None:
    try:
        await server.mail(sender)
        await server.rcpt(recipient)
    except SMTPResponseException as error:
        raise _refusal(error) from error
    except UnicodeEncodeError as error:
        raise Undeliverable("the address has letters that the mail server does not take", "address") from error


async def _data(server: aiosmtplib.SMTP, message: bytes) -> None:
    """Send the mail itself. From here on, silence means that it may have been taken."""
    try:
        await server.data(message)
    except SMTPResponseException as error:
        raise _refusal(error) from error
    except (SMTPException, OSError) as error:
        raise Ambiguous(f"the mail server did not confirm: {type(error).__name__}", type(error).__name__) from error


def _refusal(error: SMTPResponseException) -> Exception:
    """5yz is for good, 4yz for now (RFC 5321, 4.2.1)."""
    said, code = f"the mail server says {error.code} {error.message}", f"SMTP {error.code}"
    return Undeliverable(said, code) if 500 <= error.code < 600 else OutOfReach(said, code)
