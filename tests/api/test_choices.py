"""The preference page and the confirmation of a yes, as a reader uses them: by the link, without a key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from api.choices import WORDS
from events.erase import erase
from events.operators import Operator
from settings import Settings
from store.links import PREFERENCES, UNSUBSCRIBE, Ticket, confirm_url, preferences_url, token
from store.session import Store
from store.tables import Consent, Person
from studio.scenario import under
from tests.api.conftest import ADMIN
from tests.api.test_consents import NOON, TOPICS, YES
from workflows.policy import Policy

AGENT = {"User-Agent": "a browser"}


@pytest.fixture(autouse=True)
def laid_down() -> Iterator[None]:
    with under(Policy(topics=TOPICS)):
        yield


@pytest.fixture
async def ada(api: httpx.AsyncClient, house: Store) -> Person:
    """Somebody who reads German, with an address and no number."""
    known = {"userId": "ada", "traits": {"email": "ada@example.org"}, "context": {"locale": "de-AT", "timezone": "Europe/Vienna"}}
    await api.post("/v1/identify", json=known, headers=ADMIN)
    async with house.read() as session:
        return (await session.exec(select(Person))).one()


@pytest.fixture
def page(settings: Settings, ada: Person) -> str:
    return httpx.URL(preferences_url(settings, ada.id or 0)).path


@pytest.fixture
def confirmation(settings: Settings, ada: Person) -> str:
    return httpx.URL(confirm_url(settings, ada.id or 0, "ada@example.org", "news", "r_1:send")).path


async def consents(house: Store) -> list[Consent]:
    async with house.read() as session:
        return list((await session.exec(select(Consent).order_by(col(Consent.id)))).all())


async def preferences(api: httpx.AsyncClient) -> Any:
    return (await api.get("/v1/users/ada/preferences", headers=ADMIN)).json()


def ticked(html: str) -> list[str]:
    return re.findall(r'name="yes" value="([^"]+)" checked', html)


def shown(html: str) -> list[str]:
    return re.findall(r'type="checkbox" name="yes" value="([^"]+)"', html)


def saving(html: str, *yes: str) -> dict[str, Any]:
    """Return the form of that page with these boxes ticked, and no others."""
    return {"do": "save", "was": re.findall(r'name="was" value="([^"]+)"', html), "yes": yes}


async def test_the_page_is_in_the_readers_language_and_shows_what_holds(api: httpx.AsyncClient, page: str) -> None:
    answer = await api.get(page, headers={"Accept-Language": "fr"})
    assert answer.status_code == 200
    assert '<html lang="de">' in answer.text
    for said in ("Deine Nachrichten", "Tipps", "Wie andere es machen", "E-Mail", "In der App", "Einen Monat pausieren"):
        assert said in answer.text
    assert shown(answer.text) == [
        f"{channel} {topic}" for topic in ("tips", "offers", "news") for channel in ("email", "in_app")
    ] + ["fewer"]
    assert ticked(answer.text) == ["email tips", "in_app tips"]


@pytest.mark.parametrize(
    ("accepted", "language"), [("fr-CH, fr;q=0.9, en;q=0.8", "fr"), ("ja;q=0.9, es-MX;q=0.5", "es"), ("pt-BR", "pt"), ("", "en")]
)
async def test_without_a_language_that_we_have_the_browsers_is_taken(
    api: httpx.AsyncClient, page: str, accepted: str, language: str
) -> None:
    await api.post("/v1/identify", json={"userId": "ada", "context": {"locale": "hi"}}, headers=ADMIN)
    answer = await api.get(page, headers={"Accept-Language": accepted})
    assert f'<html lang="{language}">' in answer.text
    assert WORDS[language]["none_about"].replace("'", "&#39;") in answer.text


def test_every_language_says_everything() -> None:
    assert WORDS.keys() >= {"en", "de", "fr", "es", "pt"}
    for language, words in WORDS.items():
        assert words.keys() == WORDS["en"].keys(), language
        for name, text in words.items():
            assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", WORDS["en"][name]), (language, name)


async def test_looking_changes_nothing(api: httpx.AsyncClient, house: Store, page: str, confirmation: str) -> None:
    await api.put("/v1/users/ada/consent", json=YES, headers=ADMIN)
    for link in (page, confirmation):
        assert (await api.get(link)).status_code == 200
    assert [(each.granted, each.pending) for each in await consents(house)] == [(True, True)]


async def test_what_is_saved_holds_and_is_kept_with_its_evidence(api: httpx.AsyncClient, house: Store, page: str) -> None:
    form = saving((await api.get(page)).text, "in_app tips", "email offers", "fewer")
    answer = await api.post(page, data=form, headers=AGENT)
    assert (answer.status_code, ticked(answer.text)) == (200, ["in_app tips", "email offers", "fewer"])
    assert "Gespeichert" in answer.text

    said = {(each.topic, each.channel): each for each in await consents(house)}
    assert {place: each.granted for place, each in said.items()} == {("tips", "email"): False, ("offers", "email"): True}
    no = said["tips", "email"]
    assert (no.source, no.actor, no.wording) == ("preference page", "the person", "Tipps: Wie andere es machen")
    assert no.evidence["user_agent"] == "a browser"
    assert no.evidence["at"]
    held = await preferences(api)
    assert held["fewer"] is True
    assert [place["granted"] for place in held["topics"][0]["channels"].values()] == [False, True]


async def test_saved_once_more_nothing_is_said_again(api: httpx.AsyncClient, house: Store, page: str) -> None:
    form = saving((await api.get(page)).text, "in_app tips")
    await api.post(page, data=form)
    await api.post(page, data=form)
    assert len(await consents(house)) == 1


async def test_a_place_that_was_not_shown_stays_as_it_is(api: httpx.AsyncClient, house: Store, page: str) -> None:
    form = {"do": "save", "was": ["sms tips"], "yes": ["email tips", "email made-up", "* *"]}
    assert (await api.post(page, data=form)).status_code == 200
    assert await consents(house) == []


async def test_a_page_that_is_out_of_date_takes_nothing_back_that_was_said_since(
    api: httpx.AsyncClient, house: Store, settings: Settings, ada: Person, page: str
) -> None:
    old = (await api.get(page)).text
    link = token(settings.link_key.get_secret_value(), UNSUBSCRIBE, Ticket(ada.id or 0, "r_1:send", "tips", "email"))
    await api.post(f"/u/{link}", data={"List-Unsubscribe": "One-Click"})
    await api.put("/v1/users/ada/preferences", json={"fewer": True, "source": "settings"}, headers=ADMIN)

    answer = await api.post(page, data=saving(old, *ticked(old), "email offers"))
    assert ticked(answer.text) == ["in_app tips", "email offers", "fewer"]
    assert [(each.topic, each.granted) for each in await consents(house)] == [("tips", False), ("offers", True)]

    await api.post(page, data=saving(answer.text, "in_app tips"))
    assert ticked((await api.get(page)).text) == ["in_app tips"]
    assert (await preferences(api))["fewer"] is False


async def test_a_pause_is_for_a_month_and_can_be_ended(api: httpx.AsyncClient, house: Store, page: str) -> None:
    answer = await api.post(page, data={"do": "pause"})
    assert re.search(r"Pause bis zum \d+\. \w+ \d{4}\.", answer.text)
    assert "Pause beenden" in answer.text
    assert (await preferences(api))["paused_until"] is not None

    assert "Die Pause ist vorbei." in (await api.post(page, data={"do": "resume"})).text
    assert (await preferences(api))["paused_until"] is None


async def test_unsubscribed_from_everything_is_so_for_every_topic(api: httpx.AsyncClient, house: Store, page: str) -> None:
    answer = await api.post(page, data={"do": "none"})
    assert ("Du hast alles abbestellt." in answer.text, ticked(answer.text)) == (True, [])
    assert [(each.topic, each.channel, each.granted) for each in await consents(house)] == [("*", "*", False)]


async def test_a_yes_to_confirm_is_pending_on_the_page_and_holds_by_the_button_in_its_mail(
    api: httpx.AsyncClient, house: Store, page: str, confirmation: str
) -> None:
    form = {"do": "save", "yes": ["email news"]}
    assert "Noch von dir zu bestätigen" in (await api.post(page, data=form)).text

    assert "Stimmt das so?" in (await api.get(confirmation)).text
    answer = await api.post(confirmation, headers=AGENT)
    assert "Du bekommst ab jetzt E-Mails zu „News“." in answer.text
    yes = (await consents(house))[-1]
    assert (yes.topic, yes.channel, yes.granted, yes.pending, yes.source) == ("news", "email", True, False, "confirmation")
    assert (yes.wording, yes.evidence["user_agent"], yes.evidence["message"]) == ("News", "a browser", "r_1:send")

    assert "Du bekommst ab jetzt" in (await api.post(confirmation)).text
    assert len(await consents(house)) == 2


async def test_who_has_confirmed_is_not_asked_again_until_they_say_no(
    api: httpx.AsyncClient, house: Store, page: str, confirmation: str
) -> None:
    async def say(*, granted: bool) -> bool:
        body = {**YES, "granted": granted}
        pending: bool = (await api.put("/v1/users/ada/consent", json=body, headers=ADMIN)).json()["pending"]
        return pending

    assert await say(granted=True) is True
    await api.post(confirmation)
    assert await say(granted=True) is False
    await say(granted=False)
    assert await say(granted=True) is True


async def test_a_yes_that_was_taken_back_is_not_confirmed_any_more(api: httpx.AsyncClient, house: Store, confirmation: str) -> None:
    await api.put("/v1/users/ada/consent", json=YES, headers=ADMIN)
    await api.put("/v1/users/ada/consent", json={**YES, "granted": False}, headers=ADMIN)
    answer = await api.post(confirmation)
    assert (answer.status_code, "Du bekommst" in answer.text) == (404, False)
    assert len(await consents(house)) == 2


async def test_a_link_to_an_address_that_is_theirs_no_more_confirms_nothing(
    api: httpx.AsyncClient, house: Store, confirmation: str
) -> None:
    await api.put("/v1/users/ada/consent", json=YES, headers=ADMIN)
    await api.post("/v1/identify", json={"userId": "ada", "traits": {"email": "ada@elsewhere.example"}}, headers=ADMIN)
    assert (await api.post(confirmation)).status_code == 404
    assert [each.pending for each in await consents(house)] == [True]


async def test_a_forged_link_and_one_of_the_erased_get_the_same_answer(
    api: httpx.AsyncClient, house: Store, settings: Settings, ada: Person, page: str, confirmation: str
) -> None:
    forged = (
        f"{page[:-2]}xx",
        "/p/nothing",
        f"/p/{token('another key', PREFERENCES, Ticket(ada.id or 0))}",
        confirmation.replace("/confirm", ""),
        page.replace("/p/", "/p/confirm/"),
    )
    answers = [await api.request(method, link, data={"do": "none"}) for method in ("GET", "POST") for link in forged]
    assert await consents(house) == []

    await erase(house, "ada", Operator("eve", "asked by letter", "ops", NOON))
    answers += [await api.get(page), await api.post(page, data={"do": "none"}), await api.post(confirmation)]
    assert {(each.status_code, each.text) for each in answers} == {(404, answers[0].text)}
    assert "This link leads nowhere" in answers[0].text
    assert await consents(house) == []


async def test_the_link_of_somebody_who_was_merged_is_that_of_who_they_are_now(
    api: httpx.AsyncClient, house: Store, settings: Settings, ada: Person
) -> None:
    await api.post("/v1/identify", json={"userId": "bo"}, headers=ADMIN)
    async with house.read() as session:
        bo = (await session.exec(select(Person).where(Person.user_id == "bo"))).one()
    link = httpx.URL(preferences_url(settings, bo.id or 0)).path
    await api.post("/v1/alias", json={"userId": "ada", "previousId": "bo"}, headers=ADMIN)

    await api.post(link, data={"do": "none"})
    assert [each.person_id for each in await consents(house)] == [ada.id]


async def test_the_pages_run_no_script_ask_nobody_else_and_are_not_kept(api: httpx.AsyncClient, page: str) -> None:
    for answer in (await api.get(page), await api.get("/p/nothing")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert "script" not in answer.text
        assert re.findall(r'(?:src|href|action)="([^"]+)"', answer.text) == ["data:,", "/p/reader.css"]
    assert (await api.get("/p/reader.css")).headers["content-type"].startswith("text/css")


async def test_leaving_by_the_link_in_a_mail_takes_back_a_yes_that_waits(
    api: httpx.AsyncClient, settings: Settings, ada: Person, confirmation: str
) -> None:
    for said in ({**YES, "granted": False}, YES):
        await api.put("/v1/users/ada/consent", json=said, headers=ADMIN)
    assert (await api.get(confirmation)).status_code == 200

    link = token(settings.link_key.get_secret_value(), UNSUBSCRIBE, Ticket(ada.id or 0, "r_1:send", "news", "email"))
    await api.post(f"/u/{link}", data={"List-Unsubscribe": "One-Click"})
    assert (await api.post(confirmation)).status_code == 404
    assert (await preferences(api))["topics"][2]["channels"]["email"] == {"granted": False, "pending": False}
