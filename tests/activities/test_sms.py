"""Text messages through twilio's own client, to a server that speaks its Messages API."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]

from activities.sms import Sms
from activities.transport import Ambiguous, Content, OutOfReach, Throttled, Undeliverable
from tests.activities.parcels import parcel
from tests.activities.webserver import Answer, Request, WebServer, serving

MESSAGES = "/2010-04-01/Accounts/AC0123/Messages.json"
TEXT = parcel(channel="sms", recipients=("+4915112345678",), content=Content("Grüße & mehr 🎉"))
CREATED = {  # https://www.twilio.com/docs/messaging/api/message-resource
    "account_sid": "AC0123",
    "api_version": "2010-04-01",
    "body": "Grüße & mehr 🎉",
    "date_created": "Mon, 06 Jan 2025 12:00:00 +0000",
    "date_sent": None,
    "date_updated": "Mon, 06 Jan 2025 12:00:00 +0000",
    "direction": "outbound-api",
    "error_code": None,
    "error_message": None,
    "from": "+15005550006",
    "messaging_service_sid": None,
    "num_media": "0",
    "num_segments": "1",
    "price": None,
    "price_unit": "USD",
    "sid": "SM0123456789abcdef0123456789abcdef",
    "status": "queued",
    "subresource_uris": {"media": f"{MESSAGES[:-5]}/SM0123/Media.json"},
    "to": "+4915112345678",
    "uri": f"{MESSAGES[:-5]}/SM0123.json",
}


def error(status: int, code: int, message: str) -> Answer:
    return Answer(
        status, {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    )


@pytest.fixture
def twilio() -> Iterator[WebServer]:
    with serving(lambda request: Answer(201, CREATED)) as server:
        yield server


def sms(server: WebServer, sender: str = "+15005550006") -> Sms:
    return Sms("AC0123", "token", sender, server.url)


async def test_a_text_message_is_created_from_our_number(twilio: WebServer) -> None:
    assert await sms(twilio).deliver(TEXT) == "SM0123456789abcdef0123456789abcdef"

    (request,) = twilio.requests
    assert request.path == MESSAGES
    assert request.form == {"To": "+4915112345678", "From": "+15005550006", "Body": "Grüße & mehr 🎉"}
    assert base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"AC0123:token"


async def test_a_messaging_service_may_choose_the_number(twilio: WebServer) -> None:
    await sms(twilio, "MG0123").deliver(TEXT)

    assert twilio.requests[0].form == {"To": "+4915112345678", "MessagingServiceSid": "MG0123", "Body": "Grüße & mehr 🎉"}


@pytest.mark.parametrize(
    "answer",
    [
        error(400, 21211, "The 'To' number +4915112345678 is not a valid phone number."),
        error(400, 21610, "Attempt to send to unsubscribed recipient"),
        error(404, 20404, "The requested resource was not found"),
    ],
)
async def test_a_refusal_is_final_and_names_its_code(twilio: WebServer, answer: Answer) -> None:
    twilio.answer = lambda request: answer
    with pytest.raises(Undeliverable, match=f"code {answer.body['code']}"):
        await sms(twilio).deliver(TEXT)


async def test_too_many_requests_are_throttled(twilio: WebServer) -> None:
    twilio.answer = lambda request: error(429, 20429, "Too Many Requests")
    with pytest.raises(Throttled) as throttled:
        await sms(twilio).deliver(TEXT)

    assert throttled.value.retry_after == timedelta(seconds=1)
    assert len(twilio.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(401, 20003), (403, 20005), (503, 20503)])
async def test_trouble_that_is_not_the_persons_is_an_outage(twilio: WebServer, status: int, code: int) -> None:
    twilio.answer = lambda request: error(status, code, "trouble")
    with pytest.raises(OutOfReach, match="trouble"):
        await sms(twilio).deliver(TEXT)


def hang_up(request: Request) -> Answer:
    return Answer(0)


@pytest.mark.parametrize(
    "answer", [Answer(0), Answer(201, b"<html>not twilio</html>"), error(500, 20500, "oops"), Answer(502, b"bad gateway")]
)
async def test_no_clear_answer_leaves_it_open_and_is_not_tried_again_by_the_client(twilio: WebServer, answer: Answer) -> None:
    twilio.answer = lambda request: answer
    with pytest.raises(Ambiguous):
        await sms(twilio).deliver(TEXT)

    assert len(twilio.requests) == 1


async def test_twilio_out_of_reach_is_an_outage() -> None:
    with serving(hang_up) as gone:
        pass
    with pytest.raises(OutOfReach):
        await sms(gone).deliver(TEXT)


# What was taken is looked up when nobody knows.

BEGUN = datetime(2025, 1, 6, 11, 59, 58, tzinfo=UTC)


def listing(*messages: Mapping[str, object]) -> Answer:
    """A page of https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources"""
    place = f"{MESSAGES}?PageSize=50&Page=0"
    links = {"end": len(messages) - 1, "first_page_uri": place, "next_page_uri": None, "page": 0, "page_size": 50,
             "previous_page_uri": None, "start": 0, "uri": place}  # fmt: skip
    return Answer(200, {"messages": list(messages), **links})


async def test_a_message_that_twilio_has_taken_is_found_by_its_number_and_text(twilio: WebServer) -> None:
    before = CREATED | {"sid": "SM-before", "date_created": "Mon, 06 Jan 2025 10:00:00 +0000"}
    other = CREATED | {"sid": "SM-other", "body": "something else"}
    twilio.answer = lambda request: listing(other, CREATED, before)

    assert await sms(twilio).find(TEXT, BEGUN) == [CREATED["sid"]]
    (request,) = twilio.requests
    assert request.path.startswith(f"{MESSAGES}?")
    assert "To=%2B4915112345678" in request.path


async def test_a_message_of_which_twilio_knows_nothing_has_not_been_taken(twilio: WebServer) -> None:
    twilio.answer = lambda request: listing(CREATED | {"date_created": "Mon, 06 Jan 2025 10:00:00 +0000"})

    assert await sms(twilio).find(TEXT, BEGUN) == []


async def test_it_cannot_be_told_where_another_text_went_to_that_number_since(twilio: WebServer) -> None:
    twilio.answer = lambda request: listing(CREATED | {"body": "Gruesse & mehr"})
    with pytest.raises(Ambiguous):
        await sms(twilio).find(TEXT, BEGUN)


@pytest.mark.parametrize("answer", [Answer(0), error(500, 20500, "oops"), error(429, 20429, "Too Many Requests")])
async def test_it_cannot_be_told_while_twilio_does_not_answer(twilio: WebServer, answer: Answer) -> None:
    twilio.answer = lambda request: answer
    with pytest.raises((TwilioException, Ambiguous, OutOfReach)):
        await sms(twilio).find(TEXT, BEGUN)
