"""The page that tells a reader why they got a message, by the link in it."""

from __future__ import annotations

import httpx
from sqlmodel import select

from activities.links import Links
from events.erase import erase
from events.operators import Operator
from settings import Settings
from store.links import PREFERENCES, Ticket, token
from store.session import Store
from store.tables import Delivery, Person, Run
from studio.scenario import under
from tests.api.conftest import ADMIN
from tests.api.test_consents import NOON, TOPICS
from workflows.policy import Policy


async def message(api: httpx.AsyncClient, house: Store, why: str, *, transactional: bool = False) -> tuple[Person, str]:
    """Let Ada have got a message that told her that; returns her and its key."""
    known = {"userId": "ada", "traits": {"email": "ada@example.org"}, "context": {"locale": "de", "timezone": "Europe/Vienna"}}
    await api.post("/v1/identify", json=known, headers=ADMIN)
    async with house.write() as session:
        ada = (await session.exec(select(Person).where(Person.user_id == "ada"))).one()
        assert ada.id is not None
        run = Run(
            id="r_1", person_id=ada.id, journey="x", version=1, workflow_id="x", trigger="t", started_at=NOON, requested_at=NOON
        )
        session.add(run)
        await session.flush()
        session.add(
            Delivery(
                key="r_1:send",
                run_id="r_1",
                person_id=ada.id,
                journey="x",
                step="send",
                channel="email",
                template="x",
                topic="news",
                status="sent",
                at=NOON,
                why=why,
                transactional=transactional,
            )
        )
    return ada, "r_1:send"


def path(settings: Settings, ada: Person, key: str) -> str:
    return httpx.URL(Links(settings, Ticket(ada.id or 0, key, "news", "email")).why_url).path


async def test_a_reader_is_told_why_in_the_messages_own_words(api: httpx.AsyncClient, house: Store, settings: Settings) -> None:
    ada, key = await message(api, house, "Weil du <b>Orion</b> benutzt.")

    with under(Policy(topics=TOPICS)):
        page = await api.get(path(settings, ada, key))

    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "Warum du diese Nachricht bekommen hast" in page.text
    assert "Weil du &lt;b&gt;Orion&lt;/b&gt; benutzt." in page.text
    assert "2. März 2026" in page.text
    assert "/p/" in page.text


async def test_what_had_to_be_known_is_on_no_topic(api: httpx.AsyncClient, house: Store, settings: Settings) -> None:
    ada, key = await message(api, house, "", transactional=True)

    page = await api.get(path(settings, ada, key))

    assert "worum du gebeten hast" in page.text


async def test_nobody_is_told_of_anothers_message(api: httpx.AsyncClient, house: Store, settings: Settings) -> None:
    ada, key = await message(api, house, "secret")
    await api.post("/v1/identify", json={"userId": "bob"}, headers=ADMIN)
    async with house.read() as session:
        bob = (await session.exec(select(Person).where(Person.user_id == "bob"))).one()
    forged = token(settings.link_key.get_secret_value(), PREFERENCES, Ticket(ada.id or 0, key))

    for other in (path(settings, bob, key), path(settings, ada, "r_2:send"), f"/p/why/{forged}", "/p/why/x"):
        page = await api.get(other)
        assert (page.status_code, "secret" in page.text) == (404, False), other


async def test_who_was_erased_leaves_no_such_page(api: httpx.AsyncClient, house: Store, settings: Settings) -> None:
    ada, key = await message(api, house, "secret")

    await erase(house, "ada", Operator("eve", "asked by letter", "ops", NOON))

    assert (await api.get(path(settings, ada, key))).status_code == 404
