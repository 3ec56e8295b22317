"""Opens and clicks: told once, by whom they were more likely made, and by links that lead nowhere else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from api.app import create_app
from events.erase import erase
from events.opened import bare, is_machine
from events.operators import Operator
from store.links import CLICKED, OPENED, UNSUBSCRIBE, Ticket, token
from store.session import Store
from store.tables import AcceptedEvent, Identity
from studio.scenario import under
from tests.activities.house import JOURNEYS_HERE, MJML, NOON, House, Provider, write_template, write_templates
from tests.databases import Databases
from tests.stage import only
from workflows.policy import Policy

READER = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"}
GMAIL_READER = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
GMAIL_AHEAD = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
)
SHOP = "https://shop.example/a;v=1/%C3%A9?x=1&who=ada%40example.org#part"


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> str:
    return databases.migrated()


@pytest.fixture
async def house(opened: Store, tmp_path: Path) -> AsyncIterator[House]:
    """A house that has sent Ada an e-mail with two links."""
    write_templates(tmp_path)
    body = f'<a href="{SHOP.replace("&", "&amp;")}">a</a> <a href="https://shop.example/b">b</a>'
    write_template(tmp_path, "email/links.mjml", f"subject: Links\n---\n{MJML.format(body)}")
    with only(JOURNEYS_HERE), under(Policy(quiet_hours={})):
        built = House(opened, tmp_path)
        await built.settle()
        await built.add(Identity(name=built.user_id, person_id=built.person_id))
        await built.send("email", "links", data={})
        yield built


@pytest.fixture
async def web(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """A reader's mail program, or browser."""
    async with browser(house) as client:
        yield client


def browser(house: House, store: Store | None = None) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(house.settings, store or house.store))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000", headers=READER)


async def links(house: House) -> tuple[str, str, str]:
    """Return where the two links and the picture of the mail lead."""
    html = (await house.mailbox())[0].html
    first, second = (unescape(each) for each in re.findall(r'<a [^>]*?href="([^"]*/c/[^"]*)"', html))
    (picture,) = re.findall(r'<img src="([^"]*/o/[^"]*)"', html)
    return first, second, picture


async def events(house: House) -> list[dict[str, Any]]:
    theirs = select(AcceptedEvent).where(AcceptedEvent.person_id == house.person_id, col(AcceptedEvent.name).startswith("message_"))
    async with house.store.read() as session:
        found = (await session.exec(theirs.order_by(col(AcceptedEvent.id)))).all()
    return [{"name": each.name, "machine": each.data["machine"], "url": each.data.get("url")} for each in found]


async def test_a_click_leads_where_the_link_was_meant_to_and_is_told_once(house: House, web: httpx.AsyncClient) -> None:
    first, second, _ = await links(house)
    for link, place in ((first, SHOP), (first, SHOP), (second, "https://shop.example/b")):
        answer = await web.get(link)
        assert (answer.status_code, answer.headers["Location"]) == (302, place)

    assert await events(house) == [
        {"name": "message_clicked", "machine": False, "url": "https://shop.example/a;v=1/%C3%A9"},
        {"name": "message_clicked", "machine": False, "url": "https://shop.example/b"},
    ]
    assert set((await house.row()).happened) == {"clicked"}


async def test_the_picture_tells_of_opening_once(house: House, web: httpx.AsyncClient) -> None:
    _, _, picture = await links(house)
    for _ in range(2):
        answer = await web.get(picture)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
        assert "no-store" in answer.headers["Cache-Control"]
        assert answer.content.startswith(b"GIF89a\x01\x00\x01\x00")
    assert await events(house) == [{"name": "message_opened", "machine": False, "url": None}]


async def test_a_machine_that_comes_first_is_marked_and_hides_no_reader(house: House, web: httpx.AsyncClient) -> None:
    _, _, picture = await links(house)
    await web.get(picture, headers={"User-Agent": "Mozilla/5.0"})
    await web.get(picture, headers={"User-Agent": GMAIL_READER})
    assert [each["machine"] for each in await events(house)] == [True, False]


async def test_what_a_machine_did_is_not_in_the_ledger_as_the_readers(house: House, web: httpx.AsyncClient) -> None:
    first, _, picture = await links(house)
    for link in (picture, first):
        await web.get(link, headers={"User-Agent": "Mozilla/5.0"})
    assert set((await house.row()).happened) == {"machine_opened", "machine_clicked"}
    await web.get(picture)
    assert set((await house.row()).happened) == {"machine_opened", "machine_clicked", "opened"}


async def test_who_is_there_within_seconds_of_the_sending_is_a_machine(house: House, web: httpx.AsyncClient) -> None:
    house.live(email=Provider())
    await house.send("email", "links", step="send:2", data={})
    key = house.settings.link_key.get_secret_value()
    link = f"/o/{token(key, OPENED, Ticket(house.person_id, f'{house.run_id}:send:2'))}"
    await web.get(link)
    async with house.store.write() as session:
        session.add((await house.row("send:2")).sqlmodel_update({"begun_at": datetime.now(UTC) - timedelta(seconds=10)}))
    await web.get(link)
    assert [each["machine"] for each in await events(house)] == [True, False]


@pytest.mark.parametrize(
    ("headers", "machine"),
    [
        ({"user-agent": "Mozilla/5.0"}, True),
        ({"user-agent": GMAIL_AHEAD}, True),
        ({"user-agent": GMAIL_READER}, False),
        ({"user-agent": "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"}, False),
        ({"user-agent": READER["User-Agent"]}, False),
        ({"user-agent": READER["User-Agent"], "purpose": "prefetch"}, True),
        ({"user-agent": READER["User-Agent"], "sec-purpose": "prefetch;prerender"}, True),
        ({"user-agent": READER["User-Agent"], "x-moz": "prefetch"}, True),
        ({"user-agent": READER["User-Agent"], "sec-fetch-dest": "image"}, False),
        ({"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, True),
        ({"user-agent": "python-requests/2.32"}, True),
        ({"user-agent": ""}, True),
        ({}, True),
    ],
)
def test_machines_are_known_by_what_they_say_of_themselves(headers: dict[str, str], machine: bool) -> None:
    assert is_machine(headers) is machine


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://x.example/a/b?email=ada#x", "https://x.example/a/b"),
        ("https://ada:secret@x.example:8443/", "https://x.example:8443/"),
        ("http://[", ""),
        ("", ""),
    ],
)
def test_an_event_tells_no_query_and_no_password(url: str, told: str) -> None:
    assert bare(url) == told


async def test_a_head_leads_on_and_tells_nothing(house: House, web: httpx.AsyncClient) -> None:
    first, _, picture = await links(house)
    assert (await web.head(first)).headers["Location"] == SHOP
    assert (await web.head(picture)).status_code == 200
    assert await events(house) == []


async def test_a_link_that_was_made_up_leads_nowhere(house: House, web: httpx.AsyncClient) -> None:
    key, evil = (
        house.settings.link_key.get_secret_value(),
        Ticket(house.person_id, f"{house.run_id}:send:1", url="https://evil.example"),
    )
    first, _, picture = await links(house)
    flipped = first[:-4] + ("A" if first[-4] != "A" else "B") + first[-3:]
    made_up = [
        flipped,
        f"/c/{token('another key', CLICKED, evil)}",
        f"/c/{token(key, OPENED, evil)}",
        f"/c/{token(key, UNSUBSCRIBE, evil)}",
        f"/c/{token(key, CLICKED, Ticket(house.person_id, url='javascript:alert(1)'))}",
        f"/c/{token(key, CLICKED, Ticket(house.person_id))}",
        "/c/x?url=https://evil.example",
    ]
    for each in made_up:
        answer = await web.get(each)
        assert (answer.status_code, "Location" in answer.headers) == (404, False)
        assert "evil" not in answer.text
    assert (await web.get(picture[:-1])).content.startswith(b"GIF89a")
    assert await events(house) == []


async def test_an_address_smuggles_no_header(house: House, web: httpx.AsyncClient) -> None:
    key = house.settings.link_key.get_secret_value()
    ticket = Ticket(house.person_id, url="https://x.example/é a\r\nSet-Cookie: a=b")
    answer = await web.get(f"/c/{token(key, CLICKED, ticket)}")
    assert answer.headers["Location"] == "https://x.example/%C3%A9%20a%0D%0ASet-Cookie:%20a=b"
    assert "Set-Cookie" not in answer.headers


async def test_who_says_no_to_it_later_is_not_looked_at_any_more_and_the_link_still_leads_on(
    house: House, web: httpx.AsyncClient
) -> None:
    await house.say("tracking", granted=False)
    first, _, picture = await links(house)
    await web.get(picture)
    assert (await web.get(first)).headers["Location"] == SHOP
    assert await events(house) == []


async def test_a_house_that_has_stopped_tracking_only_leads_on(house: House) -> None:
    first, _, picture = await links(house)
    house.configure(tracking=False)
    async with browser(house) as web:
        await web.get(picture)
        assert (await web.get(first)).headers["Location"] == SHOP
    assert await events(house) == []


async def test_somebody_who_was_erased_is_led_on_and_nothing_is_kept(house: House, web: httpx.AsyncClient) -> None:
    first, _, picture = await links(house)
    await erase(house.store, house.user_id, Operator("eve", "asked", "key", NOON))
    await web.get(picture)
    assert (await web.get(first)).headers["Location"] == SHOP
    assert await events(house) == []


async def test_while_the_database_is_away_links_lead_on(house: House, tmp_path: Path) -> None:
    first, _, picture = await links(house)
    away = Store(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'folder' / 'sojourn.db'}", erasure_key="x")
    async with browser(house, away) as web:
        assert (await web.get(first)).headers["Location"] == SHOP
        assert (await web.get(picture)).status_code == 200
    await away.close()
