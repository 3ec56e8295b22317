"""Mail through aiosmtplib, to a server that speaks SMTP."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from activities import email as channel
from activities.email import Email, message_id
from activities.transport import Ambiguous, OutOfReach, Undeliverable
from tests.activities.parcels import parcel

SENDER = "Engine Room <hello@mail.example.com>"


class MailServer:
    """Takes mail, or answers as it is told: `says` maps a command to its answer, None for hanging up without one."""

    def __init__(self, **says: str | None) -> None:
        self.says = says
        self.taken: list[Envelope] = []
        self.secure: list[bool] = []
        self.logins: list[str] = []

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        return self._answer(server, "mail")

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        return self._answer(server, "rcpt")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        self.secure.append(session.ssl is not None)
        return self._answer(server, "data")

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append(f"{data.login.decode()}:{data.password.decode()}")
        return AuthResult(success=data.password == b"p@ss", handled=False)

    def _answer(self, server: SMTP, command: str) -> str:
        answer = self.says.get(command, "250 OK")
        if answer is None:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            return "250 OK"
        return answer

    def mail(self) -> EmailMessage:
        (envelope,) = self.taken
        assert isinstance(envelope.original_content, bytes)
        message = message_from_bytes(envelope.original_content, policy=default)
        assert isinstance(message, EmailMessage)
        return message


@asynccontextmanager
async def serving(handler: MailServer, *, tls: ssl.SSLContext | None = None, from_start: bool = False) -> AsyncIterator[int]:
    """Serve SMTP on a port of its own, on this loop."""
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        start_tls = None if from_start else tls
        return SMTP(handler, authenticator=handler.authenticate, auth_require_tls=False, tls_context=start_tls, loop=loop)

    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls if from_start else None)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, with its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(file), "-out", str(file)]
    subprocess.run([*command[:-1], f"{file}.crt", *subject], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS, which our side trusts."""
    monkeypatch.setattr(channel, "_tls_context", lambda: ssl.create_default_context(cafile=certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_mail_has_both_parts_and_the_addresses() -> None:
    server = MailServer()
    async with serving(server) as port:
        given = await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())

    mail = server.mail()
    assert (mail["From"], mail["To"], mail["Subject"]) == (SENDER, "ada@example.org", "A note for Zoë")
    assert mail["Date"].datetime == parcel().at
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["Hello Ada ✉", "<p>Hello <b>Ada</b> ✉</p>"]
    assert given == mail["Message-ID"]
    (envelope,) = server.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("hello@mail.example.com", ["ada@example.org"])


async def test_every_attempt_has_the_same_message_id_and_every_message_its_own() -> None:
    server = MailServer()
    async with serving(server) as port:
        email = Email(f"smtp://127.0.0.1:{port}", SENDER)
        first, again = await email.deliver(parcel()), await email.deliver(parcel())
        other = await email.deliver(parcel(key="r_1:send:email/note#2"))

    assert first == again == message_id("r_1:send:email/note", "r_1", SENDER)
    assert first != other
    assert first.endswith("@mail.example.com>")


async def test_a_password_goes_over_tls_only(tls: ssl.SSLContext) -> None:
    server = MailServer()
    async with serving(server, tls=tls) as port:
        await Email(f"smtp://user:p%40ss@localhost:{port}", SENDER).deliver(parcel())
    assert (server.logins, server.secure) == (["user:p@ss"], [True])

    assert channel._start_tls(urlsplit("smtp://user:p@mail.example.com")) is True


async def test_smtps_is_tls_from_the_start(tls: ssl.SSLContext) -> None:
    server = MailServer()
    async with serving(server, tls=tls, from_start=True) as port:
        await Email(f"smtps://localhost:{port}", SENDER).deliver(parcel())

    assert len(server.taken) == 1


async def test_a_server_whose_certificate_is_not_trusted_gets_nothing(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = MailServer()
    async with serving(server, tls=context, from_start=True) as port:
        with pytest.raises(Exception, match="certificate") as error:
            await Email(f"smtps://localhost:{port}", SENDER).deliver(parcel())

    assert not isinstance(error.value, Ambiguous | Undeliverable)
    assert server.taken == []


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
async def test_a_lasting_refusal_is_final(command: str) -> None:
    async with serving(MailServer(**{command: "550 5.1.1 no such user"})) as port:
        with pytest.raises(Undeliverable, match=r"550 5\.1\.1 no such user"):
            await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
async def test_a_passing_refusal_is_tried_again(command: str) -> None:
    async with serving(MailServer(**{command: "451 4.3.0 greylisted"})) as port:
        with pytest.raises(OutOfReach, match="451"):
            await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


@pytest.mark.parametrize("command", ["mail", "rcpt"])
async def test_a_connection_lost_before_the_mail_was_handed_over_is_an_outage(command: str) -> None:
    async with serving(MailServer(**{command: None})) as port:
        with pytest.raises(OutOfReach):
            await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


async def test_a_connection_lost_after_the_mail_was_handed_over_leaves_it_open() -> None:
    server = MailServer(data=None)
    async with serving(server) as port:
        with pytest.raises(Ambiguous):
            await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())

    assert len(server.taken) == 1


async def test_a_server_that_falls_silent_with_the_mail_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "TIMEOUT_SECONDS", 0.2)
    server, silence = MailServer(), asyncio.Event()

    async def say_nothing(*_: object) -> str:
        await silence.wait()
        return "250 OK"

    monkeypatch.setattr(server, "handle_DATA", say_nothing)
    async with serving(server) as port:
        with pytest.raises(Ambiguous):
            await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())
        silence.set()


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    async with serving(MailServer()) as port:
        pass
    with pytest.raises(OutOfReach):
        await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


async def test_a_login_that_is_refused_is_an_outage_for_operators_can_help(tls: ssl.SSLContext) -> None:
    async with serving(MailServer(), tls=tls) as port:
        with pytest.raises(OutOfReach, match="refuses our login"):
            await Email(f"smtp://user:wrong@localhost:{port}", SENDER).deliver(parcel())


@pytest.mark.parametrize("address", ["ada@example.org\r\nBcc: all@example.org", "zoë@example.org"])
async def test_an_impossible_address_is_final_and_smuggles_nothing(address: str) -> None:
    server = MailServer()
    async with serving(server) as port:
        with pytest.raises(Undeliverable):
            await Email(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel(recipients=(address,)))

    assert server.taken == []
