"""What a mail's subject says is in its subject, whatever it repeats of what somebody calls themselves."""

from __future__ import annotations

from dataclasses import replace
from email.message import EmailMessage

import pytest

from activities.transport import Undeliverable
from tests.activities.parcels import MAIL, parcel
from tests.activities.test_smtp import MailServer, serving, smtp


async def received(subject: str) -> EmailMessage:
    """Return the mail with that subject, as a server gets it."""
    server = MailServer()
    async with serving(server) as port, smtp(port) as transport:
        await transport.deliver(parcel(content=replace(MAIL, subject=subject)))
    return server.mail()


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?q?Ada=0d=0aBcc=3A_all=40example.org?=",
        "=?UTF-8?B?QWRhDQpCY2M6IGFsbEBleGFtcGxlLm9yZw0KDQpCdXkh?=",
        "=?us ascii*en?Q?a=0d=0aBcc:x?= =?utf-8?q?=0d=0a=0d=0ahi?=",
        "==??utf-8?q?=0d=0aBcc:x?=",
    ],
)
async def test_a_subject_that_repeats_what_somebody_is_called_writes_no_further_headers(name: str) -> None:
    mail = await received(f"{name} has invited you")
    assert mail.keys() == ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
    assert "has invited you" in mail["Subject"]
    assert [part.get_content().strip() for part in mail.iter_parts()] == ["Hello Ada ✉", "<p>Hello <b>Ada</b> ✉</p>"]


async def test_a_subject_may_have_an_equals_sign_before_a_question_mark() -> None:
    assert (await received("2 + 2 =? Zoë knows. Really?"))["Subject"] == "2 + 2 =? Zoë knows. Really?"


async def test_an_address_that_would_be_read_as_another_is_none() -> None:
    server = MailServer()
    async with serving(server) as port, smtp(port) as transport:
        with pytest.raises(Undeliverable):
            await transport.deliver(parcel(recipients=("=?utf-8?q?all=40example.org=2C?=@example.org",)))
    assert server.taken == []
