"""The way out of a topic: one click counts at once, and nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, select

from api.app import create_app
from events.accept import accept
from events.calls import Clock, understand
from events.erase import erase
from events.operators import Operator
from store.links import PREFERENCES, UNSUBSCRIBE, Ticket, read_token, token
from store.session import Store
from store.tables import Consent, Identity, Merge, Person
from studio.scenario import under
from tests.activities.house import JOURNEYS_HERE, NOON, House, write_templates
from tests.databases import Databases
from tests.stage import only
from workflows.policy import Policy, Topic
from workflows.run import Receipt

FORM = {"List-Unsubscribe": "One-Click"}
MULTIPART = b'--frontier\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--frontier--\r\n'
NEWS = Topic("greeting", title={"en": "Greetings <3", "de": "Grüße"})


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> str:
    return databases.migrated()


@pytest.fixture
async def house(opened: Store, tmp_path: Path) -> AsyncIterator[House]:
    write_templates(tmp_path)
    with only(JOURNEYS_HERE), under(Policy(quiet_hours={}, topics=(NEWS,))):
        built = House(opened, tmp_path)
        await built.settle()
        yield built


@pytest.fixture
async def web(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A mail provider, or a browser: it knows no key, and keeps no cookie."""
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


def path(house: House, topic: str = "greeting", person_id: int | None = None) -> str:
    ticket = Ticket(person_id or house.person_id, f"{house.run_id}:send:1", topic, "email")
    return f"/u/{token(house.settings.link_key.get_secret_value(), UNSUBSCRIBE, ticket)}"


async def words(house: House) -> Sequence[Consent]:
    async with house.store.read() as session:
        theirs = select(Consent).where(Consent.person_id == house.person_id)
        return (await session.exec(theirs.order_by(col(Consent.id)))).all()


@pytest.mark.parametrize(
    "form",
    [{"data": FORM}, {"content": MULTIPART, "headers": {"Content-Type": "multipart/form-data; boundary=frontier"}}],
    ids=["urlencoded", "multipart"],
)
async def test_one_click_is_a_no_that_holds_for_the_very_next_message(
    house: House, web: httpx.AsyncClient, form: dict[str, object]
) -> None:
    assert await house.send() == Receipt("sent", message=f"{house.run_id}:send:1")
    await web.get(path(house))
    answer = await web.post(path(house), **form)  # type: ignore[arg-type]

    assert (answer.status_code, "Set-Cookie" in answer.headers, answer.history) == (200, False, [])
    (no,) = await words(house)
    assert (no.topic, no.channel, no.granted, no.source) == ("greeting", "email", False, "one-click")
    assert no.evidence == {"message": f"{house.run_id}:send:1"}
    receipt = await house.send(step="send:2")
    assert (receipt.status, receipt.reason) == ("suppressed", "no_consent")
    assert (await house.send("sms", step="send:3")).status == "sent"
    assert (await house.send(step="send:4", topic="other")).status == "sent"


async def test_clicking_again_changes_nothing_until_they_have_said_yes_again(house: House, web: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await web.post(path(house), data=FORM)).status_code == 200
    assert len(await words(house)) == 1
    await house.say("greeting", granted=True)
    await web.post(path(house), data=FORM)
    assert [each.granted for each in await words(house)] == [False, True, False]


async def test_looking_unsubscribes_nobody(house: House, web: httpx.AsyncClient) -> None:
    await web.head(path(house), headers={"Purpose": "prefetch"})
    page = await web.get(path(house))

    assert page.status_code == 200
    assert "<button>Unsubscribe</button>" in page.text
    assert "Greetings &lt;3" in page.text
    (chosen,) = [each.split('"')[0] for each in page.text.split('href="http')[1:]]
    key = house.settings.link_key.get_secret_value()
    assert read_token(key, PREFERENCES, chosen.rpartition("/")[2]) == Ticket(house.person_id, f"{house.run_id}:send:1")
    assert await words(house) == []


@pytest.mark.parametrize("said", [{}, {"List-Unsubscribe": "No"}, {"something": "else"}])
async def test_a_post_that_does_not_say_so_unsubscribes_nobody(house: House, web: httpx.AsyncClient, said: dict[str, str]) -> None:
    answer = await web.post(path(house), data=said)
    assert (answer.status_code, "<button>" in answer.text) == (200, True)
    assert await words(house) == []


async def test_the_button_on_the_page_unsubscribes(house: House, web: httpx.AsyncClient) -> None:
    page = (await web.get(path(house))).text
    fields = dict(each.split('" value="') for each in (part.split('">')[0] for part in page.split('name="')[1:]) if "value" in each)
    await web.post(path(house), data=fields)
    assert [each.source for each in await words(house)] == ["unsubscribe page"]


async def test_a_made_up_link_is_answered_the_same_and_changes_nothing(house: House, web: httpx.AsyncClient) -> None:
    good = path(house)
    flipped = good[:-4] + ("A" if good[-4] != "A" else "B") + good[-3:]
    of_another_purpose = "/u/" + token(house.settings.link_key.get_secret_value(), PREFERENCES, Ticket(house.person_id, topic="x"))
    of_another_key = "/u/" + token("another key", UNSUBSCRIBE, Ticket(house.person_id, "m", "greeting", "email"))
    made_up = [await web.post(each, data=FORM) for each in (flipped, of_another_purpose, of_another_key, "/u/x", "/u/%00.%ff")]
    assert await words(house) == []

    real = await web.post(good, data=FORM)
    for answer in made_up:
        assert (answer.status_code, answer.text) == (real.status_code, real.text)
        assert set(answer.headers) == set(real.headers)
    assert (await web.get(flipped)).status_code == 200


async def test_whoever_was_merged_leaves_as_who_they_are_now(house: House, web: httpx.AsyncClient) -> None:
    clock, other = Clock(NOON + timedelta(hours=1)), f"new {house.user_id}"
    await house.add(Identity(name=house.user_id, person_id=house.person_id))
    await accept(house.store, [understand({"userId": other}, "identify", clock)], clock)
    async with house.store.read() as session:
        absorbed = (await session.exec(select(Person.id).where(Person.user_id == other))).one()
    link = path(house, person_id=absorbed)
    await accept(house.store, [understand({"userId": house.user_id, "previousId": other}, "alias", clock)], clock)
    async with house.store.read() as session:
        assert (await session.exec(select(Merge.into_id).where(Merge.absorbed_id == absorbed))).one() == house.person_id
    await web.post(link, data=FORM)

    assert [each.granted for each in await words(house)] == [False]


async def test_somebody_who_was_erased_is_answered_the_same(house: House, web: httpx.AsyncClient) -> None:
    link = path(house)
    await house.add(Identity(name=house.user_id, person_id=house.person_id))
    before = await web.post(path(house, "another"), data=FORM)
    await erase(house.store, house.user_id, Operator("eve", "asked", "key", NOON))
    after = await web.post(link, data=FORM)
    assert (after.status_code, after.text) == (before.status_code, before.text)
    assert await words(house) == []


@pytest.mark.parametrize(
    ("wanted", "words_"),
    [
        ("de-CH, en;q=0.8", "Abmelden"),
        ("nl, fr;q=0.5, en;q=0.4", "Se désabonner"),
        ("es-419", "Darse de baja"),
        ("pt-BR,pt;q=0.9", "Cancelar inscrição"),
        ("nl;q=much", "Unsubscribe"),
        ("", "Unsubscribe"),
    ],
)
async def test_the_page_is_in_the_readers_language(house: House, web: httpx.AsyncClient, wanted: str, words_: str) -> None:
    page = await web.get(path(house), headers={"Accept-Language": wanted})
    assert f"<button>{words_}</button>" in page.text
