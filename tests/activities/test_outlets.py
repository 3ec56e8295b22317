"""Where messages go: to the mailbox, always, unless it is meant and allowed that they leave."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from activities.render import Unanswered
from store.tables import Device
from tests.activities.house import EMAIL, NOON, PHONE, House, Provider, write_template
from workflows.run import Receipt


async def test_mail_lands_in_the_mailbox_as_its_reader_would_see_it(house: House) -> None:
    await house.send("email", offset=0.0)

    (item,) = await house.mailbox()
    assert (item.key, item.journey, item.template, item.channel) == (f"{house.run_id}:send:1", "greeting", "note", "email")
    assert (item.recipient, item.subject, item.at) == (EMAIL, "A note", NOON)
    assert item.text.startswith("hello\n")
    assert "hello" in item.html
    row = await house.row()
    assert (row.status, row.attempts) == ("sent", 1)


async def test_text_messages_and_notifications_land_there_too(house: House) -> None:
    await house.add(Device(token=f"{house.device} too", person_id=house.person_id, seen_at=NOON))
    await house.send("sms", step="1")
    await house.send("push", step="2")

    text, push = await house.mailbox()
    assert (text.recipient, text.subject, text.text) == (PHONE, "", "hello")
    assert (push.recipient, push.subject, push.text) == (f"{house.device}, {house.device} too", "A note", "hello")


async def test_an_in_app_message_is_a_card_in_the_inbox_and_is_in_the_mailbox(house: House) -> None:
    await house.send("in_app")
    await house.send("in_app")

    (card,) = await house.inbox()
    assert (card.title, card.body, card.action, card.action_url, card.at, card.read_at) == (
        "A note",
        "hello",
        "Look",
        "https://app.example/hello",
        NOON,
        None,
    )
    assert [(item.channel, item.recipient) for item in await house.mailbox()] == [("in_app", house.user_id)]


async def test_in_production_an_in_app_message_is_in_the_inbox_only(house: House) -> None:
    house.configure(live=True, environment="production")
    await house.send("in_app")

    assert len(await house.inbox()) == 1
    assert await house.mailbox() == []


async def test_the_mailbox_takes_a_message_in_the_transaction_that_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("activities.send.conclude", die)
        with pytest.raises(RuntimeError):
            await house.send()
    assert await house.mailbox() == []

    assert await house.send() == Receipt("sent")
    assert len(await house.mailbox()) == 1


async def test_credentials_alone_send_nothing(house: House) -> None:
    house.configure(smtp_url=SecretStr("smtp://127.0.0.1:1"), allow_recipients=[EMAIL, PHONE])
    house.configure(
        twilio_account_sid="AC1", twilio_auth_token=SecretStr("x"), twilio_from="+1", twilio_base_url="http://127.0.0.1:1"
    )

    assert [await house.send(channel, step=channel) for channel in ("email", "sms")] == [Receipt("sent")] * 2
    assert len(await house.mailbox()) == 2


@pytest.mark.parametrize(
    ("allowed", "leaves"),
    [([EMAIL], True), (["@example.org"], True), (["@example.com", "bob@example.org", "example.org", "@"], False), ([], False)],
)
async def test_outside_production_only_listed_recipients_are_really_sent_to(house: House, allowed: list[str], leaves: bool) -> None:
    provider = Provider()
    house.providers = {"email": provider}
    house.configure(live=True, allow_recipients=allowed)

    assert await house.send() == Receipt("sent")
    assert len(provider.calls) == leaves
    assert len(await house.mailbox()) == (not leaves)


async def test_a_notification_leaves_only_if_all_devices_are_listed(house: House) -> None:
    provider = Provider()
    house.live(push=provider)
    await house.add(Device(token=f"{house.device} too", person_id=house.person_id, seen_at=NOON))

    await house.send("push")
    assert provider.calls == []


async def test_in_production_messages_go_to_anybody(house: House) -> None:
    provider = Provider()
    house.providers = {"email": provider}
    house.configure(live=True, environment="production")

    await house.send()
    assert len(provider.calls) == 1


async def test_a_channel_without_settings_fails_and_names_them(house: House) -> None:
    house.configure(live=True, environment="production")
    needed = {"email": "SOJOURN_SMTP_URL", "sms": "SOJOURN_TWILIO_FROM", "push": "SOJOURN_FCM_CREDENTIALS"}
    house.providers = None
    for channel, name in needed.items():
        receipt = await house.send(channel, step=channel)
        assert receipt.status == "failed"
        assert name in receipt.reason


async def test_templates_count_what_the_person_did_and_nobody_else(house: House) -> None:
    write_template(house.folder, "sms/count.txt", "{{ did('Commit Pushed') }} {{ did('Commit Pushed', area='docs', files=2) }}")
    other = House(house.store, house.folder)
    await other.settle()
    await other.happen("Commit Pushed", area="docs", files=2)
    await house.happen("Commit Pushed", area="docs", files=2)
    await house.happen("Commit Pushed", area="src", files=2)
    await house.happen("Commit Pushed", status="unknown", area="docs", files=2)
    await house.happen("Commit Pushed", status="invalid", area="docs", files=2)

    await house.send("sms", "count")
    (item,) = await house.mailbox()
    assert item.text == "3 2"


async def test_a_store_that_does_not_answer_a_template_is_no_fault_of_the_template(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_template(house.folder, "push/asks.txt", "title: {{ did('Commit Pushed') }}\n---\n")

    async def no_answer(*_: object) -> int:
        raise ConnectionRefusedError("no database")

    with monkeypatch.context() as patched:
        patched.setattr("activities.occasion._count", no_answer)
        with pytest.raises(Unanswered):
            await house.send("push", "asks")

    assert await house.send("push", "asks") == Receipt("sent")


async def test_templates_see_the_profile_and_the_trigger_as_they_are_in_the_store(house: House) -> None:
    write_template(house.folder, "sms/all.txt", "{{ user.traits.name }} {{ event.gift }} {{ user.email }}")
    run_id = await house.enter("order_news", "7", order="7", gift="a private note")
    await house.change_person(traits={"name": "Ada"}, email="new@example.org")

    await house.send("sms", "all", run_id=run_id)
    (item,) = await house.mailbox()
    assert item.text == "Ada a private note new@example.org"
