"""The mailbox and the landing page, as Chromium shows them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest
import uvicorn
from playwright.async_api import Browser, async_playwright

from store.session import Store
from store.tables import Stop
from tests.api.mailroom import NOON, app, item, mailroom, put

CHROMIUM = Path("/usr/bin/chromium")
QUIETLY = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: install the package chromium")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with mailroom(tmp_path) as store:
        yield store


@pytest.fixture
async def address(store: Store) -> AsyncIterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        server = uvicorn.Server(uvicorn.Config(app(store), log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIETLY)
        yield browser
        await browser.close()


async def test_a_mail_is_seen_styled_and_its_scripts_stay_dead(store: Store, address: str, browser: Browser) -> None:
    hostile = (
        '<!doctype html><html><head><style>p { color: rgb(1, 2, 3) }</style></head><body><p onclick="top.x=1">Hello</p>'
        "<script>document.querySelector('p').textContent = 'ran'</script>"
        "<img src=x onerror=\"document.querySelector('p').textContent = 'ran'\"></body></html>"
    )
    await put(store, item(html=hostile, subject="A mail"))
    page = await browser.new_page()
    await page.goto(f"{address}/mailbox")
    await page.get_by_role("link", name="A mail").click()
    await page.wait_for_url("**/mailbox/1")
    shown = page.frame_locator("iframe.whole").locator("p")
    assert await shown.text_content() == "Hello"
    assert await shown.evaluate("element => getComputedStyle(element).color") == "rgb(1, 2, 3)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_a_phone(store: Store, address: str, browser: Browser, scheme: Literal["light", "dark"]) -> None:
    long = "x" * 200
    channels = ("email", "sms", "push", "in_app")
    await put(store, *(item(channel=channel, recipient=long, subject=long, text=long, template=long) for channel in channels))
    await put(store, Stop(scope="journey", name=long, actor="eve", reason=long, at=NOON))
    context = await browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text))
    for path in ("/", "/mailbox", *(f"/mailbox/{number}" for number in (1, 2, 3, 4))):
        await page.goto(address + path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
    assert complaints == []
    await context.close()
