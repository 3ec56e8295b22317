"""What the relays call that carry mail from `SOJOURN_SMTP_URL`, when they know what became of it: each verified in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr

from api.access import InSettings, InStore
from api.body import KB, BoundedRoute
from api.errors import Problem
from api.relay_signatures import is_mailguns, is_postmarks, is_sendgrids
from api.sns import Unreachable, confirm, is_ours
from events import mailgun, postmark, sendgrid, ses
from events.mailed import Told, an_object, take_in
from events.wire import read_json
from store.session import Store


class RelayRoute(BoundedRoute):
    """SendGrid posts up to 768 KB of events at once."""

    limit = 1024 * KB


router = APIRouter(route_class=RelayRoute, include_in_schema=False)


@router.post("/webhooks/sendgrid")
async def from_sendgrid(request: Request, settings: InSettings, store: InStore) -> Response:
    """Take in what SendGrid's event webhook tells, of many mails at once."""
    keys = _configured(settings.sendgrid_webhook_keys, "SendGrid", "SOJOURN_SENDGRID_WEBHOOK_KEYS")
    _refuse_unless(is_sendgrids(await request.body(), request.headers, keys, datetime.now(UTC)))
    return await _taken(store, sendgrid.told(await request.json(), datetime.now(UTC)))


@router.post("/webhooks/ses")
async def from_ses(request: Request, settings: InSettings, store: InStore) -> Response:
    """Take in what SNS passes on of SES, and confirm the subscription of a topic that is ours."""
    topics = _configured(settings.ses_topics, "Amazon SES", "SOJOURN_SES_TOPICS")
    message, now = an_object(await request.json()), datetime.now(UTC)
    try:
        _refuse_unless(await is_ours(message, topics, now))
        if message["Type"] == "SubscriptionConfirmation":
            await confirm(message)
            return await _taken(store, [])
    except Unreachable as error:
        raise Problem(503, "unavailable", f"{error}; SNS is to try again") from error
    try:
        said = read_json(str(message.get("Message")).encode())
    except ValueError:
        said = None  # SNS says in plain words that a topic was set up
    return await _taken(store, ses.told(said, str(message.get("MessageId")), now))


@router.post("/webhooks/mailgun")
async def from_mailgun(request: Request, settings: InSettings, store: InStore) -> Response:
    """Take in what Mailgun tells of a mail."""
    keys = _configured(_plain(settings.mailgun_webhook_keys), "Mailgun", "SOJOURN_MAILGUN_WEBHOOK_KEYS")
    said, now = await request.json(), datetime.now(UTC)
    # The second is a parent account's, of what its subaccounts send.
    _refuse_unless(any(is_mailguns(an_object(said).get(name), keys, now) for name in ("signature", "parent-signature")))
    return await _taken(store, [mailgun.told(said, now)])


@router.post("/webhooks/postmark")
async def from_postmark(request: Request, settings: InSettings, store: InStore) -> Response:
    """Take in what Postmark tells of a mail."""
    passwords = _configured(_plain(settings.postmark_webhook_passwords), "Postmark", "SOJOURN_POSTMARK_WEBHOOK_PASSWORDS")
    _refuse_unless(is_postmarks(request.headers.get("authorization", ""), passwords))
    return await _taken(store, [postmark.told(await request.json(), datetime.now(UTC))])


def _configured(keys: list[str], relay: str, setting: str) -> list[str]:
    if not keys:
        raise Problem(503, "not_configured", f"{relay}'s webhooks are not configured: set {setting}")
    return keys


def _plain(keys: Sequence[SecretStr]) -> list[str]:
    return [each.get_secret_value() for each in keys]


def _refuse_unless(it_fits: bool) -> None:
    if not it_fits:
        raise Problem(401, "unauthorized", "the signature, or the password, does not fit, or is more than a day old")


async def _taken(store: Store, news: Iterable[Told | None]) -> Response:
    for each in news:
        if each is not None:
            await take_in(store, each)
    return Response(status_code=200)  # Mailgun and Postmark go on trying after any other that says the same
