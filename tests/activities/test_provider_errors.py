"""What a provider's code means, by the table; and what the send path makes of it."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

import worker
from activities.outlets import outlets
from activities.provider_errors import BadProviderErrors, ProviderErrors, Rule, provider_errors
from activities.refusals import refusal
from activities.resend import Resend
from activities.sms import Sms
from activities.transport import OutOfReach, Throttled, Undeliverable
from api.app import create_app
from settings import Settings
from tests.activities.house import EMAIL, PHONE, House, Provider
from tests.activities.parcels import parcel
from tests.activities.test_sms import error
from tests.activities.test_smtp import MailServer, smtp
from tests.activities.test_smtp import serving as mailing
from tests.activities.webserver import Answer, serving
from workflows.run import Receipt


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("21211", Rule("suppress")),
        ("21614", Rule("suppress")),
        ("21612", Rule("suppress")),
        ("21610", Rule("opted_out")),
        ("30001", Rule("retry")),
        ("30002", Rule("stop_channel")),
        ("30003", Rule("retry", 2)),
        ("30004", Rule("permanent")),
        ("30005", Rule("suppress")),
        ("30006", Rule("permanent")),
        ("30007", Rule("permanent")),
        ("30008", Rule("retry", 2)),
        ("20429", Rule("retry")),
    ],
)
def test_twilios_codes_are_shipped(code: str, rule: Rule) -> None:
    assert provider_errors().rule("twilio", code) == rule


def test_a_code_that_nobody_knows_is_for_good_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert provider_errors().rule("twilio", "99999") == Rule("permanent")
    assert "twilio: code '99999' is unknown" in caplog.text


def own(folder: Path, text: str) -> ProviderErrors:
    file = folder / "own.toml"
    file.write_text(text)
    return provider_errors(file)


def test_a_teams_own_codes_go_before_the_shipped_ones_and_leave_the_rest(tmp_path: Path) -> None:
    table = own(tmp_path, '[twilio]\n30007 = {class = "retry", tries = 3}\n12345 = "suppress"\n')
    assert table.rule("twilio", "30007") == Rule("retry", 3)
    assert table.rule("twilio", "12345") == Rule("suppress")
    assert table.rule("twilio", "21610") == Rule("opted_out")
    assert table.rule("fcm", "UNREGISTERED") == Rule("remove_token")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[twilio]\n30007 = "stop"\n', r"\[twilio\] 30007: 'stop' is no class; there are retry, permanent"),
        ("[twilio]\n30007 = 5\n", r"\[twilio\] 30007: write a class"),
        ('[twilio]\n30007 = {class = "retry", trys = 2}\n', r"\[twilio\] 30007: write a class"),
        ('[twilio]\n30007 = {class = "retry", tries = 0}\n', r"\[twilio\] 30007: tries is a number from 1"),
        ('[twilio]\n30007 = {class = "permanent", tries = 2}\n', r"\[twilio\] 30007: tries is .* goes with retry"),
        ('[twilio]\n30007 = "remove_token"\n', r"\[twilio\] 30007: only fcm has tokens"),
        ('[fcm]\nINTERNAL = "suppress"\n', r"\[fcm\] INTERNAL: a token is no address"),
        ('[twillio]\n30007 = "retry"\n', r"\[twillio\] is no provider; there are twilio, fcm, resend, smtp"),
        ('twilio = "retry"\n', "twilio = … stands outside a section"),
        ("[twilio\n", "is not TOML"),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_file_and_key(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BadProviderErrors, match=rf"SOJOURN_PROVIDER_ERRORS=.*own\.toml.*{why}"):
        own(tmp_path, text)


def test_a_table_that_is_not_there_is_refused_when_the_worker_starts(house: House, tmp_path: Path) -> None:
    settings = house.settings.model_copy(update={"live": True, "provider_errors": tmp_path / "none.toml"})
    with pytest.raises(BadProviderErrors, match=r"none\.toml cannot be read: No such file"):
        outlets(settings, house.store)


async def test_a_table_that_cannot_be_stops_the_api_and_the_worker_at_their_start(house: House, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[smtp]\n550 = "ignore"\n')
    settings = house.settings.model_copy(update={"provider_errors": file})
    why = r"SOJOURN_PROVIDER_ERRORS=.*own\.toml: \[smtp\] 550: 'ignore' is no class"
    with pytest.raises(BadProviderErrors, match=why):
        create_app(settings)
    with pytest.raises(BadProviderErrors, match=why):
        await worker.run(settings, asyncio.Event())


def test_what_stops_the_channel_is_an_outage_and_is_reported_loudly(caplog: pytest.LogCaptureFixture) -> None:
    stopped = refusal(provider_errors(), "fcm", "THIRD_PARTY_AUTH_ERROR", "says so", "FCM 401", OutOfReach("401"))
    assert isinstance(stopped, OutOfReach)
    assert stopped.tries is None
    assert ("CRITICAL", "fcm refuses everything until somebody sees to our account there: FCM 401") in [
        (each.levelname, each.getMessage()) for each in caplog.records
    ]


def test_throttling_stays_throttling_where_the_table_has_that_it_may_be_tried_again() -> None:
    later = Throttled("later", timedelta(seconds=7))
    assert refusal(provider_errors(), "twilio", "20429", "", "", later) is later


async def texted(house: House, code: int, **settings: Any) -> Receipt:
    """Send a text that Twilio refuses with that code."""
    house.configure(**settings)
    with serving(lambda request: error(400, code, "no")) as twilio:
        house.live(sms=Sms("AC0123", "token", "+15005550006", twilio.url))
        return await house.send("sms")


async def suppressed(house: House, channel: str) -> str:
    """Return for what cause the gate sends her nothing on that channel, '' if it does."""
    house.configure(live=False)
    step = f"send:{channel} afterwards"
    receipt = await house.send(channel, step=step)
    return str((await house.row(step)).saw["cause"]) if receipt.reason == "suppressed" else ""


@pytest.mark.parametrize(("code", "cause"), [(21211, "hard_bounce"), (30005, "hard_bounce"), (21610, "stop")])
async def test_a_number_that_is_none_or_has_opted_out_is_suppressed_for_everybody(house: House, code: int, cause: str) -> None:
    phone = f"+49151{house.person_id:08}"
    await house.change_person(phone=phone)
    house.configure(environment="production")

    receipt = await texted(house, code)
    assert receipt.status == "failed"

    assert await suppressed(house, "sms") == cause
    assert await suppressed(house, "email") == ""


@pytest.mark.parametrize("code", [30007, 21408, 98765])
async def test_other_refusals_fail_the_message_and_leave_the_number(house: House, code: int) -> None:
    await house.change_person(phone=f"+49152{house.person_id:08}")
    house.configure(environment="production")
    assert (await texted(house, code)).status == "failed"
    assert await suppressed(house, "sms") == ""


async def test_a_code_with_so_many_tries_fails_after_the_last(house: House) -> None:
    house.configure(environment="production")
    with serving(lambda request: error(400, 30008, "unknown")) as twilio:
        house.live(sms=Sms("AC0123", "token", "+15005550006", twilio.url))
        with pytest.raises(ApplicationError):
            await house.send("sms")
        assert (await house.row()).status == "retrying"

        assert (await house.send("sms")).status == "failed"
        assert len(twilio.requests) == 2
    assert await house.send("sms") == Receipt("failed", (await house.row()).reason)


@pytest.mark.parametrize(
    ("refused", "cause"),
    [
        ({"rcpt": "550 5.1.1 no such user"}, "hard_bounce"),
        ({"data": "550 5.1.2 no such domain"}, "hard_bounce"),
        ({"rcpt": "556 5.1.10 it takes no mail"}, "hard_bounce"),
        ({"rcpt": "552 5.2.2 full"}, ""),
        ({"rcpt": "550 no such user"}, ""),
        ({"rcpt": "550 5.1.99 who knows"}, ""),
        ({"rcpt": "550 5.1.1.4 no code at all"}, ""),
        ({"mail": "550 5.1.1 no such sender"}, ""),
    ],
)
async def test_a_mail_server_that_blames_the_mailbox_has_it_suppressed(house: House, refused: dict[str, str], cause: str) -> None:
    await house.change_person(email=f"ada.{house.run_id}@example.org")
    house.configure(environment="production")
    async with mailing(MailServer(**refused)) as port, smtp(port) as transport:
        house.live(email=transport)
        assert (await house.send("email")).status == "failed"
    assert await suppressed(house, "email") == cause


async def test_a_mail_server_that_wants_a_login_is_an_outage_and_one_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with mailing(MailServer(mail="530 5.7.0 log in first")) as port, smtp(port) as transport:
        with pytest.raises(OutOfReach):
            await transport.deliver(parcel())
    assert "smtp refuses everything until somebody sees to our account there: SMTP 530 5.7.0" in caplog.text


async def test_a_teams_own_codes_hold_for_mail_too(tmp_path: Path) -> None:
    table = own(tmp_path, '[smtp]\n554 = "retry"\n"4.2.2" = "permanent"\n[resend]\nsecurity_error = "suppress"\n')
    for said, kind in (("554 5.7.9 later", OutOfReach), ("452 4.2.2 full", Undeliverable), ("451 4.3.0 busy", OutOfReach)):
        async with mailing(MailServer(rcpt=said)) as port, smtp(port, errors=table) as transport:
            with pytest.raises(kind):
                await transport.deliver(parcel())
    refusing = serving(lambda request: Answer(451, {"name": "security_error", "message": "no"}))
    with refusing as web, pytest.raises(Undeliverable) as raised:
        await Resend("re_123", "a@b.example", web.url, table).deliver(parcel())
    assert (raised.value.suppress, raised.value.source) == ("hard_bounce", "resend security_error")


async def test_an_address_that_mail_cannot_reach_is_suppressed_however_it_is_written(house: House) -> None:
    address = f"Ada.{house.person_id}@example.org"
    await house.change_person(email=address)
    house.live(email=Provider(Undeliverable("no such mailbox", suppress="hard_bounce", source="smtp 5.1.1")))
    assert (await house.send("email")).status == "failed"

    assert await suppressed(house, "email") == "hard_bounce"
    await house.change_person(email=EMAIL, phone=PHONE)
    assert await suppressed(house, "sms") == ""


def test_settings_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOJOURN_PROVIDER_ERRORS", str(tmp_path / "own.toml"))
    assert Settings(_env_file=None).provider_errors == tmp_path / "own.toml"
