"""Mail through Resend's API, to a server that speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio.exceptions import ApplicationError

from activities.resend import Resend, idempotency_key
from activities.transport import Ambiguous, Forgets, OutOfReach, Throttled, Undeliverable
from store.tagging import key_of
from tests.activities.house import House
from tests.activities.parcels import MAIL, parcel
from tests.activities.webserver import Answer, Request, WebServer, serving

SENDER = "Engine Room <hello@mail.example.com>"
TAKEN = Answer(200, {"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"})


def error(status: int, name: str, message: str = "said", **headers: str) -> Answer:
    said = {"statusCode": status, "name": name, "message": message}
    return Answer(status, said, {each.replace("_", "-"): value for each, value in headers.items()})


class Api:
    """Resend: answers in order, then takes all."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def __call__(self, request: Request) -> Answer:
        return self.answers.pop(0) if self.answers else TAKEN


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def web(api: Api) -> Iterator[WebServer]:
    with serving(api) as server:
        yield server


@pytest.fixture
def resend(web: WebServer) -> Resend:
    return Resend("re_123", SENDER, web.url)


async def test_a_mail_is_handed_over_under_our_key_with_its_headers_and_a_tag_that_has_the_key(
    resend: Resend, web: WebServer
) -> None:
    content = replace(MAIL, headers={"List-Unsubscribe": "<https://x.example/u/t>"})
    assert await resend.deliver(parcel(content=content)) == "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"

    (request,) = web.to("/emails")
    assert request.headers["Authorization"] == "Bearer re_123"
    assert request.headers["Idempotency-Key"] == "r_1:send:email/note"
    tags = {each["name"]: each["value"] for each in request.json.pop("tags", [])}
    body = request.json
    assert {name: value for name, value in body.items() if name != "tags"} == {
        "from": SENDER,
        "to": ["ada@example.org"],
        "subject": "A note for Zoë",
        "text": "Hello Ada ✉",
        "html": "<p>Hello <b>Ada</b> ✉</p>",
        "headers": {"List-Unsubscribe": "<https://x.example/u/t>"},
    }
    assert (tags["journey"], tags["template"], key_of(tags["sojourn_message"])) == ("greeting", "note", "r_1:send:email/note")


@pytest.mark.parametrize(
    ("key", "fits"), [("r_1:send:1", True), ("k" * 256, True), ("k" * 257, False), ("r_1:schön", False), ("a b", False)]
)
def test_a_key_that_no_header_takes_goes_as_its_digest(key: str, fits: bool) -> None:
    given = idempotency_key(key)
    assert (given == key) is fits
    assert len(given) <= 256
    assert given.isascii()


async def test_a_key_that_is_too_long_for_a_tag_is_left_out(resend: Resend, web: WebServer) -> None:
    await resend.deliver(parcel(key="k" * 300, template="näh zeug"))
    assert web.requests[0].json["tags"] == [{"name": "journey", "value": "greeting"}, {"name": "template", "value": "n_h_zeug"}]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(400, "validation_error", "Invalid `to` field."), Undeliverable),
        (error(400, "invalid_idempotency_key"), Undeliverable),
        (error(422, "validation_error"), Undeliverable),
        (error(422, "invalid_attachment"), Undeliverable),
        (error(451, "security_error"), Undeliverable),
        (error(401, "missing_api_key"), OutOfReach),
        (error(400, "validation_error", "API key is invalid"), OutOfReach),
        (error(403, "validation_error", "The domain is not verified."), OutOfReach),
        (error(404, "not_found"), OutOfReach),
        (error(405, "method_not_allowed"), OutOfReach),
        (error(422, "invalid_from_address"), OutOfReach),
        (error(401, "something_new"), OutOfReach),
        (error(422, "something_new"), Undeliverable),
        (error(408, "validation_error"), Ambiguous),
        (error(429, "rate_limit_exceeded", Retry_After="7"), Throttled),
        (error(429, "daily_quota_exceeded"), Throttled),
        (error(409, "concurrent_idempotent_requests"), Throttled),
        (error(500, "application_error"), Ambiguous),
        (Answer(502, b"<html>bad gateway"), Ambiguous),
        (Answer(200, b"<html>who is this"), Ambiguous),
        (Answer(0), Ambiguous),
    ],
)
async def test_errors_are_told_apart(resend: Resend, api: Api, answer: Answer, kind: type[Exception]) -> None:
    api.answers = [answer]
    with pytest.raises(kind) as raised:
        await resend.deliver(parcel())
    assert type(raised.value) is kind


async def test_it_is_asked_again_when_resend_says(resend: Resend, api: Api) -> None:
    api.answers = [error(429, "rate_limit_exceeded", Retry_After="7")]
    with pytest.raises(Throttled) as raised:
        await resend.deliver(parcel())
    assert raised.value.retry_after == timedelta(seconds=7)


async def test_one_that_is_not_there_is_an_outage(web: WebServer) -> None:
    with pytest.raises(OutOfReach):
        await Resend("re_123", SENDER, "http://127.0.0.1:1").deliver(parcel())


async def test_a_mail_that_was_taken_before_with_other_words_has_been_sent(resend: Resend, api: Api) -> None:
    api.answers = [error(409, "invalid_idempotent_request")]
    assert await resend.deliver(parcel()) == ""


async def test_after_an_answer_that_was_lost_it_is_sent_again_under_the_same_key(house: House, web: WebServer, api: Api) -> None:
    house.providers = None
    given: dict[str, Any] = {"resend_api_key": SecretStr("re_123"), "resend_base_url": web.url}
    house.configure(live=True, environment="production", **given)
    api.answers = [Answer(0), error(409, "invalid_idempotent_request")]
    with pytest.raises(ApplicationError):
        await house.send()
    assert (await house.send()).status == "sent"

    assert {request.headers["Idempotency-Key"] for request in web.requests} == {f"{house.run_id}:send:1"}
    row = await house.row()
    assert (row.status, row.provider_id, row.attempts) == ("sent", None, 2)


def test_resend_knows_a_key_for_less_than_a_day() -> None:
    resend = Resend("re_key", "us@example.org", "https://api.resend.com")
    assert isinstance(resend, Forgets)
    assert timedelta(hours=23) < resend.keyed_for < timedelta(hours=24)
