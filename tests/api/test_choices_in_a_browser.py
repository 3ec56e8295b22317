"""The preference page as a reader uses it, in Chromium: on a phone, by the keyboard, without a script."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Literal

import httpx
import pytest
import uvicorn
from playwright.async_api import Browser, async_playwright

from api.app import create_app
from settings import Settings
from store.session import Store
from studio.scenario import under
from tests.api.conftest import ADMIN
from tests.api.test_consents import TOPICS
from tests.api.test_mailbox_in_a_browser import CHROMIUM, QUIETLY
from workflows.policy import Policy

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: install the package chromium")


@pytest.fixture(autouse=True)
def laid_down() -> Iterator[None]:
    with under(Policy(topics=TOPICS)):
        yield


@pytest.fixture
async def page(settings: Settings, house: Store, admin: httpx.AsyncClient) -> AsyncIterator[str]:
    """The address of somebody's preference page."""
    known = {"userId": "ada", "traits": {"email": "ada@example.org", "phone": "+4915112345678"}, "context": {"locale": "fr"}}
    await admin.post("/v1/identify", json=known, headers=ADMIN)
    link = httpx.URL((await admin.post("/v1/users/ada/preferences-link")).json()["url"]).path
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(settings, house), log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{link}"
        server.should_exit = True
        await serving


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIETLY)
        yield browser
        await browser.close()


async def test_a_reader_chooses_by_the_keyboard_and_is_told_what_holds(page: str, browser: Browser) -> None:
    tab = await browser.new_page(java_script_enabled=False)
    await tab.goto(page)
    await tab.keyboard.press("Tab")
    await tab.keyboard.press("Space")
    await tab.get_by_role("button", name="Enregistrer").press("Enter")
    assert await tab.get_by_role("status").inner_text() == "C’est enregistré. Voici ce qui vaut désormais."
    tips = tab.get_by_role("group", name="Tips")
    assert [await tips.get_by_label(name).is_checked() for name in ("E-mail", "SMS")] == [False, True]

    await tab.get_by_role("button", name="Se désabonner de tout").click()
    assert await tab.get_by_role("status").inner_text() == "Vous êtes désabonné de tout."
    assert await tab.get_by_role("checkbox", checked=True).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_phone_by_day_and_by_night(page: str, browser: Browser, scheme: Literal["light", "dark"]) -> None:
    tab = await browser.new_page(viewport={"width": 320, "height": 640}, color_scheme=scheme)
    await tab.goto(page)
    assert await tab.evaluate("document.documentElement.scrollWidth") == 320
    ground = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 247)", "dark": "rgb(16, 19, 23)"}[scheme]
