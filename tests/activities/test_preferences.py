"""What people wish counts for the very next decision of the gate, on both databases; and the mail that asks for a yes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from events.calls import Clock
from events.consents import Word, confirm, confirmable, say, who
from events.preferences import Wish, wish
from store.links import CONFIRM, read_token
from store.sending import lock_to_send
from store.tables import Person, Run
from tests.activities.house import NOON, House
from workflows.policy import Calendar, Cap, Topic
from workflows.run import Receipt
from workflows.transitions import ConsentRequested

SHIPPED = Path(__file__).parents[2] / "journeys" / "templates"
CLOCK = Clock(NOON)
SENT = Receipt("sent")
NO_CONSENT = Receipt("suppressed", "no_consent")
NEWS = Topic("news", title={"en": "News", "de": "Neues"}, opt_in=True, double_opt_in=True)


async def ada(house: House) -> Person:
    async with house.store.read() as session:
        return await session.get_one(Person, house.person_id)


async def wishes(house: House, wished: Wish) -> None:
    async with house.store.write() as session:
        person = await who(session, house.person_id, locked=True)
        assert person is not None
        await wish(session, person, wished, CLOCK)


async def says_yes(house: House, topic: str) -> bool:
    """Say yes to e-mails of a topic; return whether it has to be confirmed."""
    async with house.store.write() as session:
        person = await who(session, house.person_id, locked=True)
        assert person is not None
        [row] = await say(session, person, [Word(topic, True, "email", "form", "Yes, please.")], CLOCK)
    return row.pending


@pytest.mark.parametrize(
    ("wanted", "receipt"),
    [
        ({("greeting", "email"): False}, NO_CONSENT),
        ({("greeting", "*"): False}, NO_CONSENT),
        ({("*", "*"): False}, NO_CONSENT),
        ({("*", "email"): False}, NO_CONSENT),
        ({("greeting", "sms"): False}, SENT),
        ({("*", "*"): False, ("greeting", "email"): True}, SENT),
        ({("greeting", "email"): True, ("*", "*"): False}, SENT),
        ({("greeting", "sms"): True, ("*", "*"): False}, NO_CONSENT),
    ],
)
async def test_a_no_counts_for_the_next_message(house: House, wanted: Mapping[tuple[str, str], bool], receipt: Receipt) -> None:
    await wishes(house, Wish(wanted))

    assert await house.send() == receipt
    assert await house.send(step="send:2", transactional=True) == SENT


async def test_a_pause_counts_for_the_next_message_and_can_be_ended(house: House) -> None:
    await wishes(house, Wish(paused_until=NOON + timedelta(days=30)))
    assert await house.send() == Receipt("suppressed", "paused")

    await wishes(house, Wish(paused_until=None))
    assert await house.send(step="send:2") == SENT


async def test_who_wants_fewer_gets_no_more_than_the_policy_says(house: House) -> None:
    house.lay_down(fewer=Cap(1, Calendar.WEEK))
    await wishes(house, Wish(fewer=True))

    assert await house.send() == SENT
    assert (await house.send(step="send:2", waits=False)).reason == "frequency_cap"


async def test_a_wish_waits_for_a_message_that_is_just_beginning(house: House) -> None:
    async with house.store.write() as session:
        await lock_to_send(session, house.person_id)
        wishing = asyncio.create_task(wishes(house, Wish({("*", "*"): False})))
        done, _ = await asyncio.wait([wishing], timeout=0.2)
        assert not done
    await asyncio.wait_for(wishing, 10)


async def test_a_yes_holds_once_it_is_confirmed_and_not_before(house: House) -> None:
    house.lay_down(topics=(NEWS,))
    assert await says_yes(house, "news") is True
    assert await house.send(topic="news") == NO_CONSENT

    async with house.store.write() as session:
        person = await who(session, house.person_id, locked=True)
        assert person is not None
        assert await confirm(session, person, Word("news", True), CLOCK)
    assert await house.send(topic="news", step="send:2") == SENT
    assert await says_yes(house, "news") is False


async def test_the_mail_that_asks_has_the_topic_in_the_readers_language_and_a_link_that_is_theirs(house: House) -> None:
    house.lay_down(topics=(NEWS,))
    copy(house.folder, "email/confirm_subscription.de.mjml", "email/confirm_subscription.mjml", "email/_question.mjml")
    await house.change_person(locale="de")
    run_id = await asked(house, "news")
    assert (
        await house.send(template="confirm_subscription", topic="confirmation", transactional=True, run_id=run_id, data={}) == SENT
    )

    [mail] = await house.mailbox()
    assert mail.subject == "Bitte bestätigen: Neues"
    links = set(re.findall(r'href="(http://localhost:8000/p/confirm/[^"]+)"', mail.html))
    assert len(links) == 1
    key = house.settings.link_key.get_secret_value()
    ticket = read_token(key, CONFIRM, links.pop().rpartition("/")[2])
    assert ticket is not None
    assert (ticket.person, ticket.topic, ticket.message) == (house.person_id, "news", f"{run_id}:send:1")
    assert confirmable(await ada(house), ticket, key)
    await house.change_person(email="ada@elsewhere.example")
    assert not confirmable(await ada(house), ticket, key)


def copy(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "templates" / name).write_bytes((SHIPPED / name).read_bytes())


async def asked(house: House, topic: str) -> str:
    """Enter the run that a yes to confirm starts."""
    run_id = await house.enter("greeting", key="asked")
    trigger = await house.happen(ConsentRequested.name, topic=topic)
    changes: dict[str, Any] = {"trigger_id": trigger, "trigger": ConsentRequested.name}
    async with house.store.write() as session:
        run = await session.get_one(Run, run_id)
        run.sqlmodel_update(changes)
    return run_id
