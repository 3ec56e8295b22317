"""What SendGrid, Amazon SES, Mailgun and Postmark tell of a mail: verified, acted on once, in whatever order it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from api import sns
from api.app import create_app
from events.erase import erase
from events.operators import Operator
from events.suppress import lift
from store.session import Store
from store.tables import Consent, Identity
from store.tagging import mail_name
from studio.scenario import under
from tests.activities.house import JOURNEYS_HERE, NOON, House, Provider, write_templates
from tests.api.relays import RELAYS, Mailgun, Postmark, Relay, SendGrid, Ses, known
from tests.api.test_resend import events
from tests.databases import SqliteDatabases
from tests.stage import only
from workflows.policy import Policy

each_relay = pytest.mark.parametrize("relay", RELAYS, ids=lambda each: each.name)


@pytest.fixture(scope="module")
def database_url(sqlite: SqliteDatabases) -> str:
    return sqlite.migrated()


@pytest.fixture
async def house(opened: Store, tmp_path: Path) -> AsyncIterator[House]:
    """A house that has sent Ada a mail, over SMTP."""
    write_templates(tmp_path)
    with only(JOURNEYS_HERE), under(Policy(quiet_hours={})):
        built = House(opened, tmp_path)
        await built.settle()
        built.configure(**known())
        await built.add(Identity(name=built.user_id, person_id=built.person_id))
        await built.change_person(email=address(built))
        built.live(email=Provider(), sms=Provider())
        await built.send()
        yield built


@pytest.fixture
async def web(house: House, fetched: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


def address(house: House) -> str:
    return f"{house.user_id}@example.org"


def mail(house: House, step: str = "send:1") -> str:
    return mail_name(f"{house.run_id}:{step}", house.run_id)


async def post(web: httpx.AsyncClient, relay: Relay, body: Any, at: datetime | None = None) -> int:
    raw, headers = relay.signed(body, at or datetime.now(UTC))
    return (await web.post(f"/webhooks/{relay.name}", content=raw, headers=dict(headers))).status_code


async def tell(web: httpx.AsyncClient, relay: Relay, house: House, kind: str, **more: Any) -> None:
    at = more.pop("at", datetime.now(UTC))
    assert await post(web, relay, relay.tells(kind, mail(house), address(house), at, **more)) == 200


async def put_in_doubt(house: House) -> None:
    async with house.store.write() as session:
        session.add((await house.row()).sqlmodel_update({"status": "unknown", "provider_id": None}))


async def words(house: House) -> list[Consent]:
    async with house.store.read() as session:
        return list((await session.exec(select(Consent).where(Consent.person_id == house.person_id))).all())


@each_relay
async def test_what_became_of_a_mail_is_an_event_whose_message_is_known(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    for kind in ("delivered", "opened", "clicked"):
        await tell(web, relay, house, kind)

    told = await events(house)
    assert [each.name for each in told] == ["message_delivered", "message_opened", "message_clicked"]
    assert {each.data["message"] for each in told} == {f"{house.run_id}:send:1"}
    assert (told[1].data["machine"], told[2].data["machine"]) == (False, False)
    assert told[2].data["url"] == "https://shop.example/a"
    assert set((await house.row()).happened) == {"delivered", "opened", "clicked"}


@each_relay
async def test_it_happened_when_the_relay_says_and_never_later_than_now(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    await tell(web, relay, house, "opened", at=at - timedelta(hours=2), id="early")
    await tell(web, relay, house, "opened", at=at + timedelta(minutes=4), id="ahead")
    first, second = await events(house)
    assert abs(first.occurred_at - (at - timedelta(hours=2))) < timedelta(seconds=1)
    assert second.occurred_at <= datetime.now(UTC)


@each_relay
async def test_told_twice_and_in_another_order_it_is_known_once(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    at = datetime.now(UTC)
    for kind in ("opened", "delivered", "opened", "delivered"):
        await tell(web, relay, house, kind, at=at)
    assert [each.name for each in await events(house)] == ["message_opened", "message_delivered"]


@each_relay
async def test_two_events_of_one_kind_are_two(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    at = datetime.now(UTC)
    await tell(web, relay, house, "opened", at=at, id="one")
    await tell(web, relay, house, "opened", at=at - timedelta(minutes=5), id="two")
    assert len(await events(house)) == 2


@each_relay
async def test_a_mail_that_was_in_doubt_has_been_sent_if_it_was_delivered(
    house: House, web: httpx.AsyncClient, relay: Relay
) -> None:
    await put_in_doubt(house)
    await tell(web, relay, house, "delivered")
    assert (await house.row()).status == "sent"


@pytest.mark.parametrize("relay", RELAYS[:3], ids=lambda each: each.name)  # Postmark has no webhook for that
async def test_so_it_has_if_the_relay_has_taken_it(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    await put_in_doubt(house)
    await tell(web, relay, house, "sent")
    assert ((await house.row()).status, await events(house)) == ("sent", [])


@each_relay
@pytest.mark.parametrize(("kind", "cause"), [("hard", "hard_bounce"), ("complained", "complaint")])
async def test_a_hard_bounce_and_a_complaint_suppress_the_address_and_the_next_mail_does_not_go(
    house: House, web: httpx.AsyncClient, relay: Relay, kind: str, cause: str
) -> None:
    await tell(web, relay, house, kind)
    receipt = await house.send(step="send:2", transactional=True)
    assert (receipt.status, receipt.reason) == ("suppressed", "suppressed")
    assert (await house.row("send:2")).saw == {"cause": cause}
    assert (await house.send("sms", step="send:3")).status == "sent"
    (event,) = await events(house)
    assert event.name == ("message_bounced" if kind == "hard" else "message_complained")
    assert event.data.get("hard", True) is True


@each_relay
async def test_a_soft_bounce_is_told_and_suppresses_nothing(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    await tell(web, relay, house, "soft")
    assert [(each.name, each.data["hard"]) for each in await events(house)] == [("message_bounced", False)]
    assert (await house.send(step="send:2")).status == "sent"


@each_relay
async def test_a_repetition_does_not_suppress_again_what_an_operator_has_let_go(
    house: House, web: httpx.AsyncClient, relay: Relay
) -> None:
    at = datetime.now(UTC)
    await tell(web, relay, house, "hard", at=at)
    assert await lift(house.store, "email", address(house))
    await tell(web, relay, house, "hard", at=at)
    assert (await house.send(step="send:2")).status == "sent"


@each_relay
async def test_an_open_by_a_machine_is_marked(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    await tell(web, relay, house, "by a machine")
    assert [(each.name, each.data["machine"]) for each in await events(house)] == [("message_opened", True)]


@each_relay
async def test_whoever_leaves_by_the_relays_own_link_has_left_the_topic(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    await put_in_doubt(house)
    await tell(web, relay, house, "left")
    assert (await house.row()).status == "sent"
    (no,) = await words(house)
    assert (no.topic, no.channel, no.granted, no.source) == ("greeting", "email", False, relay.name)
    assert no.evidence == {"message": f"{house.run_id}:send:1"}
    assert (await house.send(step="send:2")).reason == "no_consent"
    assert (await house.send(step="send:3", topic="other")).status == "sent"


@each_relay
async def test_a_leave_that_is_told_late_takes_back_no_later_yes(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    await house.add(
        Consent(person_id=house.person_id, topic="greeting", channel="email", granted=True, at=at + timedelta(minutes=1))
    )
    await tell(web, relay, house, "left", at=at)
    assert len(await words(house)) == 1
    assert (await house.send(step="send:2")).status == "sent"


@pytest.mark.parametrize(
    ("relay", "kind", "cause"),
    [
        (SendGrid(), "dropped", "hard_bounce"),
        (Mailgun(), "once bounced", "hard_bounce"),
        (Mailgun(), "once complained", "complaint"),
    ],
)
async def test_what_a_relay_does_not_carry_for_what_was_before_suppresses_the_address(
    house: House, web: httpx.AsyncClient, relay: Relay, kind: str, cause: str
) -> None:
    await tell(web, relay, house, kind)
    assert (await house.send(step="send:2")).reason == "suppressed"
    assert (await house.row("send:2")).saw == {"cause": cause}


async def test_gmails_proxy_opens_for_a_reader(house: House, web: httpx.AsyncClient) -> None:
    await tell(web, Mailgun(), house, "by Gmail")
    assert [each.data["machine"] for each in await events(house)] == [False]


async def test_a_parent_account_of_mailguns_signs_for_its_subaccounts(house: House, web: httpx.AsyncClient) -> None:
    raw, _ = Mailgun().signed(Mailgun().tells("delivered", mail(house), address(house), datetime.now(UTC)), datetime.now(UTC))
    body = json.loads(raw)
    body["parent-signature"], body["signature"] = body["signature"], {**body["signature"], "signature": "of the subaccount's key"}
    assert (await web.post("/webhooks/mailgun", json=body)).status_code == 200
    assert len(await events(house)) == 1


async def test_postmark_may_tell_our_name_for_a_mail_in_another_case(house: House, web: httpx.AsyncClient) -> None:
    await tell(web, Postmark(), house, "delivered", Metadata={"Other": "x", "Sojourn_Message": mail(house)})
    assert len(await events(house)) == 1


@pytest.mark.parametrize("relay", [SendGrid(), Mailgun()], ids=lambda each: each.name)
async def test_what_a_relay_does_not_carry_because_its_reader_left_is_a_no_and_has_failed(
    house: House, web: httpx.AsyncClient, relay: Relay
) -> None:
    await put_in_doubt(house)
    await tell(web, relay, house, "once left")
    assert [each.granted for each in await words(house)] == [False]
    assert (await house.row()).status == "failed"


@pytest.mark.parametrize(
    ("relay", "kind"),
    [
        (SendGrid(), "other"),
        (Ses(), "other"),
        (Ses(), "not spam"),
        (Mailgun(), "other"),
        (Postmark(), "other"),
        (Postmark(), "by the team"),
    ],
)
async def test_what_is_not_the_end_of_it_changes_nothing(house: House, web: httpx.AsyncClient, relay: Relay, kind: str) -> None:
    await tell(web, relay, house, kind)
    assert (await events(house), await words(house), (await house.row()).happened) == ([], [], {})


async def test_a_mail_that_ses_refuses_has_failed(house: House, web: httpx.AsyncClient) -> None:
    await put_in_doubt(house)
    await tell(web, Ses(), house, "failed")
    assert (await house.row()).status == "failed"


async def test_a_notification_of_ses_without_an_event_type_is_read_as_well(house: House, web: httpx.AsyncClient) -> None:
    await tell(web, Ses(), house, "delivered", type="notificationType")
    assert [each.name for each in await events(house)] == ["message_delivered"]


async def test_sendgrid_tells_of_many_mails_at_once_and_one_that_cannot_be_read_loses_no_other(
    house: House, web: httpx.AsyncClient
) -> None:
    relay, at = SendGrid(), datetime.now(UTC)
    await house.send(step="send:2")
    one, other = (relay.tells("delivered", mail(house, step), address(house), at)[0] for step in ("send:1", "send:2"))
    bad = [
        None,
        7,
        {},
        {"event": ["open"]},
        {"event": "open", "timestamp": "1e999", "useragent": 7},
        {"event": "bounce", "email": {}},
    ]
    filling = [{"event": "deferred", "response": "x" * 700}] * 1000  # together some 700 KB
    assert await post(web, relay, [one, *bad, *filling, other]) == 200
    assert [each.data["message"][-1] for each in await events(house)] == ["1", "2"]


NOTHING: list[Any] = [[], {}, [[]], "text", 7, None, {"event-data": 7, "Metadata": "x"}, {"RecordType": ["Open"]}]


@each_relay
async def test_what_tells_nothing_of_a_mail_does_no_harm(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    for body in NOTHING:
        if isinstance(relay, Mailgun) and not isinstance(body, dict):
            body = {"event-data": body}  # its signature is in an object
        sealed = relay.message(str(body), datetime.now(UTC)) if isinstance(relay, Ses) else body
        assert await post(web, relay, sealed) == 200
    assert await events(house) == []


@each_relay
async def test_of_a_mail_that_is_not_ours_no_message_learns(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    strangers = ("14c5d75ce93.dfd", f"{house.run_id}.0123456789abcdef", "r_0.0123456789abcdef", "")
    for stranger, kind in product(strangers, ("hard", "left", "opened")):
        assert await post(web, relay, relay.tells(kind, stranger, "stranger@example.org", datetime.now(UTC))) == 200
    assert (await events(house), await words(house)) == ([], [])


@each_relay
async def test_what_happens_after_an_erasure_is_kept_nowhere(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    await erase(house.store, house.user_id, Operator("eve", "asked", "key", NOON))
    for kind in ("opened", "left"):
        await tell(web, relay, house, kind)
    assert (await events(house), await words(house)) == ([], [])


@each_relay
async def test_what_is_not_verified_is_refused_and_nothing_is_kept(house: House, web: httpx.AsyncClient, relay: Relay) -> None:
    raw, headers = relay.signed(relay.tells("hard", mail(house), address(house), datetime.now(UTC)), datetime.now(UTC))
    if isinstance(relay, Mailgun):
        raw = raw.replace(b'"token": "6', b'"token": "7')
    elif isinstance(relay, Postmark):
        headers = {"Authorization": headers["Authorization"][:-4] + "AAA="}
    else:
        raw = raw.replace(house.user_id[-4:].encode(), b"....")
    answer = await web.post(f"/webhooks/{relay.name}", content=raw, headers=dict(headers))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert (await web.post(f"/webhooks/{relay.name}", content=b"{}")).status_code == 401
    assert await events(house) == []
    assert (await house.send(step="send:2")).status == "sent"


@pytest.mark.parametrize("relay", RELAYS[:3], ids=lambda each: each.name)  # Postmark signs no time
async def test_what_was_signed_more_than_a_day_ago_or_ahead_of_now_is_refused(
    house: House, web: httpx.AsyncClient, relay: Relay
) -> None:
    for ago, status in ((timedelta(hours=23), 200), (timedelta(hours=25), 401), (-timedelta(minutes=6), 401)):
        at = datetime.now(UTC) - ago
        assert await post(web, relay, relay.tells("delivered", mail(house), address(house), at), at) == status


@pytest.mark.parametrize("relay", RELAYS[1:], ids=lambda each: each.name)  # SendGrid signs every byte
async def test_a_body_that_is_no_json_is_a_400(web: httpx.AsyncClient, relay: Relay) -> None:
    raw, headers = relay.signed(Ses().message("x", datetime.now(UTC)), datetime.now(UTC))
    answer = await web.post(f"/webhooks/{relay.name}", content=raw[:-1], headers=dict(headers))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")


@each_relay
async def test_without_its_setting_the_door_says_so(house: House, relay: Relay) -> None:
    names = {"sendgrid": "sendgrid_webhook_keys", "ses": "ses_topics"}
    names |= {"mailgun": "mailgun_webhook_keys", "postmark": "postmark_webhook_passwords"}
    house.configure(**{names[relay.name]: []})
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        answer = await client.post(f"/webhooks/{relay.name}", content=b"[]")
    assert answer.status_code == 503
    assert f"SOJOURN_{names[relay.name].upper()}" in answer.json()["error"]["message"]


async def test_while_amazon_does_not_answer_sns_is_to_try_again(
    house: House, web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(url: str) -> bytes:
        raise sns.Unreachable("Amazon does not answer: ConnectTimeout")

    monkeypatch.setattr(sns, "fetch", fetch)
    delivered = Ses().tells("delivered", mail(house), address(house), datetime.now(UTC))
    assert await post(web, Ses(), delivered) == 503
    assert await events(house) == []
