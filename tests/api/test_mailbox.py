"""The mailbox and the landing page, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from store.session import Store
from store.tables import InboxCard, Stop
from tests.api.mailroom import NOON, app, item, mailroom, put, run


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with mailroom(tmp_path) as store:
        yield store


@pytest.fixture
async def client(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app(store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


async def _messages(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/mailbox", params={"format": "json", **query})
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()["messages"]
    return messages


async def test_messages_come_newest_first_by_their_own_time_not_by_when_they_were_stored(
    store: Store, client: httpx.AsyncClient
) -> None:
    await put(store, item(subject="later", at=NOON + timedelta(days=1)))
    await put(store, item(subject="earlier", at=NOON))
    assert [message["subject"] for message in await _messages(client)] == ["later", "earlier"]


async def test_a_message_tells_its_time_where_the_person_is(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item())
    [message] = await _messages(client)
    assert (message["local"], message["zone"]) == ("2024-03-29T17:30:00+05:30", "Asia/Kolkata")
    page = (await client.get("/mailbox")).text
    assert "<b>17:30</b> Fri 29 Mar 2024" in page


async def test_a_person_without_a_zone_is_shown_in_the_configured_one(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item(person_id=2, recipient="bob@example.org"))
    [message] = await _messages(client)
    assert (message["local"], message["zone"]) == ("2024-03-29T13:00:00+01:00", "Europe/Berlin")


async def test_a_message_links_to_its_run_in_the_temporal_ui(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item())
    address = "http://temporal.test/namespaces/default/workflows/onboarding%2Fada"
    [message] = await _messages(client)
    assert (message["run_id"], message["workflow_id"], message["ui_url"]) == ("r_1", "onboarding/ada", address)
    assert f'href="{address}"' in (await client.get("/mailbox")).text


async def test_a_message_of_a_run_that_is_gone_is_shown_without_a_link(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item(key="r_gone:send:email/welcome", subject="still here"))
    [message] = await _messages(client)
    assert message["ui_url"] is None
    assert "still here" in (await client.get("/mailbox")).text


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ({"person": "bob"}, {"b1"}),
        ({"person": "ada@example.org"}, {"a1", "a3"}),
        ({"channel": "push"}, {"a2"}),
        ({"journey": "advocacy"}, {"a3"}),
        ({"person": "ada", "channel": "email", "journey": "onboarding"}, {"a1"}),
        ({"person": "nobody"}, set()),
    ],
)
async def test_messages_are_filtered_by_person_channel_and_journey(
    store: Store, client: httpx.AsyncClient, query: dict[str, str], subjects: set[str]
) -> None:
    await put(
        store,
        item(subject="a1"),
        item(subject="a2", channel="push", recipient="token"),
        item(subject="a3", journey="advocacy"),
        item(subject="b1", person_id=2, recipient="bob@example.org"),
    )
    assert {message["subject"] for message in await _messages(client, **query)} == subjects


async def test_channels_are_counted_for_the_chosen_person_and_journey_whatever_the_channel(
    store: Store, client: httpx.AsyncClient
) -> None:
    await put(store, item(), item(), item(channel="sms"), item(journey="advocacy"), item(person_id=2))
    answer = await client.get("/mailbox", params={"format": "json", "person": "ada", "journey": "onboarding", "channel": "sms"})
    assert answer.json()["counts"] == {"email": 2, "sms": 1, "push": 0, "in_app": 0, "webhook": 0}


async def test_paging_back_and_forth_shows_each_message_once_even_those_of_one_moment(
    store: Store, client: httpx.AsyncClient
) -> None:
    await put(store, *(item(subject=str(number), at=NOON + timedelta(hours=number // 4)) for number in range(11)))
    pages, url = [], "/mailbox?format=json&limit=4&person=ada"
    while url:
        sheet = (await client.get(url)).json()
        pages.append([message["subject"] for message in sheet["messages"]])
        url, back = sheet["older"], sheet["newer"]
    assert [subject for page in pages for subject in page] == [str(number) for number in reversed(range(11))]
    assert [len(page) for page in pages] == [4, 4, 3]
    while back:
        sheet = (await client.get(back)).json()
        pages.pop()
        assert [message["subject"] for message in sheet["messages"]] == pages[-1]
        back = sheet["newer"]
    assert len(pages) == 1


async def test_a_message_that_arrives_while_somebody_pages_moves_nothing(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, *(item(subject=str(number), at=NOON + timedelta(hours=number)) for number in range(4)))
    first = (await client.get("/mailbox?format=json&limit=2")).json()
    await put(store, item(subject="new", at=NOON + timedelta(days=9)))
    second = (await client.get(first["older"])).json()
    assert [message["subject"] for message in second["messages"]] == ["1", "0"]


async def test_a_mail_is_shown_in_a_frame_that_may_run_nothing(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item(id=7, html="<html><head></head><body><script>alert(1)</script>Hello</body></html>"))
    assert '<iframe src="/mailbox/7/html" sandbox ' in (await client.get("/mailbox")).text
    answer = await client.get("/mailbox/7/html")
    assert answer.headers["content-type"].startswith("text/html")
    policy = [part.strip() for part in answer.headers["content-security-policy"].split(";")]
    assert "default-src 'none'" in policy
    assert not [part for part in policy if part.startswith("script-src") or "allow-scripts" in part or "allow-same-origin" in part]
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy


async def test_the_page_itself_allows_no_script_and_nothing_from_elsewhere(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item(html="<p>Hello</p>"))
    for path in ("/", "/mailbox", "/mailbox/1"):
        answer = await client.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "<script" not in answer.text


@pytest.mark.parametrize("channel", ["email", "sms", "push", "in_app", "webhook"])
async def test_what_people_wrote_is_shown_as_text(store: Store, client: httpx.AsyncClient, channel: str) -> None:
    await put(store, item(channel=channel, subject="<b>s</b>", text="<script>t</script>", recipient="<i>r</i>"))
    for path in ("/mailbox", "/mailbox/1"):
        page = (await client.get(path)).text
        assert "<script>t" not in page
        assert "<b>s" not in page
        assert "<i>r" not in page
        assert "&lt;script&gt;t" in page


async def test_an_in_app_card_shows_its_action_and_never_links_to_a_script(store: Store, client: httpx.AsyncClient) -> None:
    good: dict[str, Any] = {"key": "r_1:send:in_app/share", "action": "Share it", "action_url": "https://example.org/share"}
    bad: dict[str, Any] = {"key": "r_1:send:in_app/bad", "action": "Do not", "action_url": "javascript:alert(1)"}
    for card in (good, bad):
        await put(store, item(key=card["key"], channel="in_app"), InboxCard(person_id=1, title="t", body="b", at=NOON, **card))
    page = (await client.get("/mailbox")).text
    assert 'href="https://example.org/share"' in page
    assert "Do not" in page
    assert 'href="javascript' not in page


@pytest.mark.parametrize("path", ["/mailbox/99", "/mailbox/99/html", "/mailbox/1/html"])
async def test_a_message_or_part_that_does_not_exist_is_not_found(store: Store, client: httpx.AsyncClient, path: str) -> None:
    await put(store, item(channel="sms"))
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("query", ["before=0", f"before={2**63}", "after=x", "limit=0", "limit=501", "person=%00", "format=xml"])
async def test_a_malformed_question_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/mailbox?{query}")).status_code == 422


async def test_an_empty_mailbox_says_so(client: httpx.AsyncClient) -> None:
    assert "Nothing has been sent yet" in (await client.get("/mailbox")).text
    assert "No message fits" in (await client.get("/mailbox?person=nobody")).text


async def test_nothing_of_it_is_there_in_production(store: Store) -> None:
    await put(store, item(html="<p>Hello</p>"))
    served = app(store, environment="production", write_key="w" * 16, admin_key="a" * 16, erasure_key="e" * 16, link_key="l" * 16)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=served), base_url="http://sojourn.test") as client:
        for path in ("/", "/mailbox", "/mailbox?format=json", "/mailbox/1", "/mailbox/1/html", "/mailbox/x", "/pages.css"):
            assert (await client.get(path)).status_code == 404, path


async def test_the_landing_page_leads_to_everything_and_lists_open_runs(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, item(), run("r_2", 2, "winback/bob", ended_at=NOON), run("r_3", 2, "onboarding/bob"))
    page = (await client.get("/")).text
    for address in ("/docs", "/mailbox", "http://temporal.test"):
        assert f'href="{address}"' in page
    assert "1 message," in page
    assert "2 open" in page
    assert 'href="http://temporal.test/namespaces/default/workflows/onboarding%2Fbob"' in page
    assert "winback%2Fbob" not in page


async def test_what_is_stopped_is_said_first_on_the_landing_page(store: Store, client: httpx.AsyncClient) -> None:
    assert "stopped" not in (await client.get("/")).text
    why = "the <b>wrong</b> price"
    released = Stop(scope="channel", name="sms", actor="eve", reason=why, at=NOON, released_at=NOON)
    await put(store, Stop(scope="all", name="", actor="eve", reason=why, at=NOON), released)
    page = (await client.get("/")).text
    assert "Everything is stopped" in page
    assert "by eve: the &lt;b&gt;wrong&lt;/b&gt; price" in page
    assert "sojourn release all" in page
    assert "sms" not in page


async def test_a_journey_that_left_the_code_with_runs_open_says_what_to_do(store: Store, client: httpx.AsyncClient) -> None:
    await put(store, run("r_2", 2, "journey_that_left/bob"))
    page = (await client.get("/")).text
    assert "journey_that_left" in page
    assert "Bring it back, or end them" in page
