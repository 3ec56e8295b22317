"""Mail through aiosmtplib, to a server that speaks SMTP."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from activities import smtp as channel
from activities.email import message_id
from activities.smtp import Smtp
from activities.transport import Ambiguous, OutOfReach, Undeliverable
from tests.activities.parcels import parcel

SENDER = "Engine Room <hello@mail.example.com>"


class MailServer:
    """Takes mail, or answers as it is told: `says` maps a command to its answer, None for hanging up without one."""

    def __init__(self, **says: str | None) -> None:
        self.says = says
        self.taken: list[Envelope] = []
        self.secure: list[bool] = []
        self.connections: list[asyncio.Transport] = []
        self.goodbyes = 0
        self.logins: list[str] = []

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        assert isinstance(server.transport, asyncio.Transport)
        if server.transport not in self.connections:
            self.connections.append(server.transport)
        return responses

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.goodbyes += 1
        return "221 Bye"

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


@asynccontextmanager
async def smtp(port: int, **how: Any) -> AsyncIterator[Smtp]:
    """A transport to that server, closed in the end."""
    transport = Smtp(f"smtp://127.0.0.1:{port}", SENDER, **how)
    try:
        yield transport
    finally:
        await transport.close()


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
        given = await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())

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
        email = Smtp(f"smtp://127.0.0.1:{port}", SENDER)
        first, again = await email.deliver(parcel()), await email.deliver(parcel())
        other = await email.deliver(parcel(key="r_1:send:email/note#2"))

    assert first == again == message_id("r_1:send:email/note", "r_1", SENDER)
    assert first != other
    assert first.endswith("@mail.example.com>")


async def test_a_password_goes_over_tls_only(tls: ssl.SSLContext) -> None:
    server = MailServer()
    async with serving(server, tls=tls) as port:
        await Smtp(f"smtp://user:p%40ss@localhost:{port}", SENDER).deliver(parcel())
    assert (server.logins, server.secure) == (["user:p@ss"], [True])

    assert channel._start_tls(urlsplit("smtp://user:p@mail.example.com")) is True


async def test_smtps_is_tls_from_the_start(tls: ssl.SSLContext) -> None:
    server = MailServer()
    async with serving(server, tls=tls, from_start=True) as port:
        await Smtp(f"smtps://localhost:{port}", SENDER).deliver(parcel())

    assert len(server.taken) == 1


async def test_a_server_whose_certificate_is_not_trusted_gets_nothing(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = MailServer()
    async with serving(server, tls=context, from_start=True) as port:
        with pytest.raises(Exception, match="certificate") as error:
            await Smtp(f"smtps://localhost:{port}", SENDER).deliver(parcel())

    assert not isinstance(error.value, Ambiguous | Undeliverable)
    assert server.taken == []


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
async def test_a_lasting_refusal_is_final(command: str) -> None:
    async with serving(MailServer(**{command: "550 5.1.1 no such user"})) as port:
        with pytest.raises(Undeliverable, match=r"550 5\.1\.1 no such user"):
            await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


@pytest.mark.parametrize("command", ["mail", "rcpt", "data"])
async def test_a_passing_refusal_is_tried_again(command: str) -> None:
    async with serving(MailServer(**{command: "451 4.3.0 greylisted"})) as port:
        with pytest.raises(OutOfReach, match="451"):
            await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


@pytest.mark.parametrize("command", ["mail", "rcpt"])
async def test_a_connection_lost_before_the_mail_was_handed_over_is_an_outage(command: str) -> None:
    async with serving(MailServer(**{command: None})) as port:
        with pytest.raises(OutOfReach):
            await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


async def test_a_connection_lost_after_the_mail_was_handed_over_leaves_it_open() -> None:
    server = MailServer(data=None)
    async with serving(server) as port:
        with pytest.raises(Ambiguous):
            await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())

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
            await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())
        silence.set()


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    async with serving(MailServer()) as port:
        pass
    with pytest.raises(OutOfReach):
        await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel())


async def test_a_login_that_is_refused_is_an_outage_for_operators_can_help(tls: ssl.SSLContext) -> None:
    async with serving(MailServer(), tls=tls) as port:
        with pytest.raises(OutOfReach, match="refuses our login"):
            await Smtp(f"smtp://user:wrong@localhost:{port}", SENDER).deliver(parcel())


@pytest.mark.parametrize("address", ["ada@example.org\r\nBcc: all@example.org", "zoë@example.org"])
async def test_an_impossible_address_is_final_and_smuggles_nothing(address: str) -> None:
    server = MailServer()
    async with serving(server) as port:
        with pytest.raises(Undeliverable):
            await Smtp(f"smtp://127.0.0.1:{port}", SENDER).deliver(parcel(recipients=(address,)))

    assert server.taken == []


async def test_mails_share_a_connection_that_is_ended_with_a_goodbye() -> None:
    server = MailServer()
    async with serving(server) as port:
        async with smtp(port) as mail:
            for number in range(3):
                await mail.deliver(parcel(key=f"r_1:{number}"))
            assert server.goodbyes == 0
        assert (len(server.taken), len(server.connections), server.goodbyes) == (3, 1, 1)


async def test_a_refusal_leaves_the_connection_fit_for_the_next_mail() -> None:
    server = MailServer(rcpt="550 5.1.1 no such user")
    async with serving(server) as port, smtp(port) as mail:
        with pytest.raises(Undeliverable):
            await mail.deliver(parcel())
        server.says.clear()
        await mail.deliver(parcel())
    assert (len(server.taken), len(server.connections)) == (1, 1)
    assert server.taken[0].rcpt_tos == ["ada@example.org"]


async def test_no_more_connections_are_open_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    server, go_on = MailServer(), asyncio.Event()
    async with serving(server) as port, smtp(port, most=2) as mail:
        both = asyncio.Event()
        handle = server.handle_DATA

        async def wait(*given: Any) -> str:
            if len(server.connections) == 2:
                both.set()
            await go_on.wait()
            return await handle(*given)

        monkeypatch.setattr(server, "handle_DATA", wait)
        sending = [asyncio.create_task(mail.deliver(parcel(key=f"r_1:{number}"))) for number in range(5)]
        await both.wait()
        go_on.set()
        await asyncio.gather(*sending)
    assert (len(server.taken), len(server.connections)) == (5, 2)


async def test_a_mail_that_gets_no_turn_is_not_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "BEFORE_SECONDS", 0.2)
    server, go_on, begun = MailServer(), asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> str:
        begun.set()
        await go_on.wait()
        return "250 OK"

    monkeypatch.setattr(server, "handle_DATA", wait)
    async with serving(server) as port, smtp(port, most=1) as mail:
        first = asyncio.create_task(mail.deliver(parcel()))
        await begun.wait()
        with pytest.raises(OutOfReach):
            await mail.deliver(parcel(key="r_1:2"))
        go_on.set()
        assert await first == message_id("r_1:send:email/note", "r_1", SENDER)


@pytest.mark.parametrize("dies", ["unheard", "by hanging up", "by a 421"])
async def test_a_kept_connection_that_has_died_is_replaced_and_nothing_is_in_doubt(
    dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = MailServer()
    async with serving(server) as port, smtp(port) as mail:
        await mail.deliver(parcel())
        (kept,) = server.connections
        if dies == "unheard":
            kept.abort()
        else:
            told = iter([None if dies == "by hanging up" else "421 4.4.2 idle for too long"])
            answer = server._answer

            def once(smtp_server: SMTP, command: str) -> str:
                server.says = {"mail": next(told)} if command == "mail" and smtp_server.transport is kept else {}
                return answer(smtp_server, command)

            monkeypatch.setattr(server, "_answer", once)
        await mail.deliver(parcel(key="r_1:2"))
    assert (len(server.taken), len(server.connections)) == (2, 2)


async def test_a_connection_that_rests_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    server, ended = MailServer(), asyncio.Event()

    async def bye(*_: Any) -> str:
        ended.set()
        return "221 Bye"

    monkeypatch.setattr(server, "handle_QUIT", bye)
    async with serving(server) as port, smtp(port, idle=0.05) as mail:
        await mail.deliver(parcel())
        async with asyncio.timeout(60):
            await ended.wait()
        await mail.deliver(parcel(key="r_1:2"))
    assert len(server.connections) == 2


async def test_a_connection_is_not_used_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MOST_MAILS", 2)
    server = MailServer()
    async with serving(server) as port, smtp(port) as mail:
        for number in range(4):
            await mail.deliver(parcel(key=f"r_1:{number}"))
    assert (len(server.taken), len(server.connections), server.goodbyes) == (4, 2, 2)


async def test_an_attempt_that_is_cut_off_leaves_no_connection_in_the_middle_of_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, begun, silence = MailServer(), asyncio.Event(), asyncio.Event()
    handle = server.handle_DATA

    async def say_nothing(*_: Any) -> str:
        begun.set()
        await silence.wait()
        return "250 OK"

    monkeypatch.setattr(server, "handle_DATA", say_nothing)
    async with serving(server) as port, smtp(port) as mail:
        cut_off = asyncio.create_task(mail.deliver(parcel()))
        await begun.wait()
        cut_off.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cut_off
        monkeypatch.setattr(server, "handle_DATA", handle)
        await mail.deliver(parcel(key="r_1:2"))
        silence.set()
    assert (len(server.taken), len(server.connections)) == (1, 2)


async def test_further_headers_are_on_the_mail_as_they_are_and_their_links_whole() -> None:
    server, url = MailServer(), f"https://messages.example.org/u/{'a-_.' * 60}"
    headers = {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    async with serving(server) as port, smtp(port) as mail:
        await mail.deliver(parcel(content=replace(parcel().content, headers=headers)))
    (envelope,) = server.taken
    assert isinstance(envelope.original_content, bytes)
    head = envelope.original_content.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert f"List-Unsubscribe: <{url}>".encode() in head
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head
