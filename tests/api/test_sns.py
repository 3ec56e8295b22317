"""Topics of SNS that ask to be confirmed: ours are, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from api.app import create_app
from settings import Settings
from store.session import Store
from tests.api.relays import TOPIC, Ses, known

SUBSCRIBE = (
    "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:123456789012:mail&Token=2336"
)


@pytest.fixture
async def web(settings: Settings, house: Store, fetched: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(settings.model_copy(update=known()), house))
    async with httpx.AsyncClient(transport=transport, base_url="http://sojourn.test") as client:
        yield client


async def post(web: httpx.AsyncClient, body: Any) -> int:
    raw, headers = Ses().signed(body, datetime.now(UTC))
    return (await web.post("/webhooks/ses", content=raw, headers=dict(headers))).status_code


async def test_the_subscription_of_a_topic_of_ours_is_confirmed(web: httpx.AsyncClient, fetched: list[str]) -> None:
    at = datetime.now(UTC)
    asked = Ses().message(
        "You have chosen to subscribe.", at, Type="SubscriptionConfirmation", Token="2336", SubscribeURL=SUBSCRIBE
    )
    assert await post(web, asked) == 200
    assert fetched[1:] == [SUBSCRIBE]


@pytest.mark.parametrize(
    "changed",
    [
        {"TopicArn": TOPIC + "s"},
        {"SubscribeURL": "https://sns.eu-west-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&x"},
        {"SubscribeURL": SUBSCRIBE.replace("ConfirmSubscription", "Unsubscribe")},
        {"SubscribeURL": SUBSCRIBE.replace("https", "http")},
    ],
)
async def test_nothing_else_is_confirmed(web: httpx.AsyncClient, fetched: list[str], changed: dict[str, str]) -> None:
    asked = {"Type": "SubscriptionConfirmation", "Token": "2336", "SubscribeURL": SUBSCRIBE} | changed
    await post(web, Ses().message("You have chosen to subscribe.", datetime.now(UTC), **asked))
    assert [url for url in fetched if "Action" in url] == []


async def test_that_a_subscription_has_ended_is_heard_and_nothing_is_asked_for(web: httpx.AsyncClient, fetched: list[str]) -> None:
    ended = {"Type": "UnsubscribeConfirmation", "Token": "2336", "SubscribeURL": SUBSCRIBE}
    assert await post(web, Ses().message("You have chosen to deactivate.", datetime.now(UTC), **ended)) == 200
    assert [url for url in fetched if "Action" in url] == []
