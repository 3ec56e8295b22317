"""What Twilio calls: when it knows what became of a text, and when somebody writes back."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any
from xml.sax.saxutils import escape

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from activities.provider_errors import Rule, provider_errors
from api.access import InSettings, InStore
from api.body import BoundedRoute, read_form
from api.errors import Problem, problems
from events.calls import Clock
from events.outcomes import Outcome, What, came
from events.suppress import suppress_here
from events.texts import Text, received
from events.wire import read_json
from settings import Settings

log = logging.getLogger(__name__)

BECAME: Mapping[str, What] = {"sent": "sent", "delivered": "delivered", "undelivered": "bounced", "failed": "bounced"}
NUMBER = re.compile(r"\+[0-9]{5,15}")
REFUSALS = problems({403: "It is not Twilio's: the signature is wrong.", 404: "Twilio is not configured."})
TWIML: dict[int | str, dict[str, Any]] = {200: {"content": {"text/xml": {}}, "description": "TwiML: what to answer, if anything."}}

router = APIRouter(route_class=BoundedRoute, include_in_schema=False)


class Form(dict[str, list[str]]):
    """A form's fields, of which one may come several times, as Twilio's validator asks for them."""

    def getall(self, name: str) -> list[str]:
        return self[name]


async def said(request: Request, settings: InSettings) -> Mapping[str, str]:
    """Return what Twilio says, a form's fields or JSON. Refuses what Twilio has not signed."""
    token = settings.twilio_auth_token
    if token is None:
        raise Problem(404, "not_found", "Twilio is not configured: set SOJOURN_TWILIO_AUTH_TOKEN")
    body, is_json = _text(await request.body()), request.headers.get("Content-Type", "").startswith("application/json")
    form = Form()
    for name, value in () if is_json else read_form(body.encode()):
        form.setdefault(name, []).append(value)
    if not _is_signed(request, settings, token.get_secret_value(), body if is_json else form):
        raise Problem(403, "forbidden", "X-Twilio-Signature does not fit; SOJOURN_PUBLIC_URL has to be the address Twilio calls")
    if not is_json:
        return {name: values[-1] for name, values in form.items()}
    try:
        stated = read_json(body.encode())
    except ValueError:
        stated = None
    return {name: str(value) for name, value in stated.items()} if isinstance(stated, dict) else {}


def _is_signed(request: Request, settings: Settings, token: str, body: str | Form) -> bool:
    """Say whether Twilio has signed this, for the address that it called. JSON is signed by its hash in the address."""
    if isinstance(body, str) and not request.query_params.get("bodySHA256"):
        return False
    query = request.url.query
    url = f"{settings.public_url.rstrip('/')}{request.url.path}{query and '?' + query}"
    return bool(RequestValidator(token).validate(url, body, request.headers.get("X-Twilio-Signature", "")))


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Problem(403, "forbidden", "the body is not UTF-8, and so not Twilio's") from None


Said = Annotated[Mapping[str, str], Depends(said)]
Key = Annotated[str, Query(max_length=1000, description="The message's key, as we gave it to Twilio.")]


@router.post(
    "/webhooks/twilio/status", summary="Hear what became of a text", responses={**REFUSALS, **TWIML}, response_class=Response
)
async def status(said: Said, settings: InSettings, store: InStore, key: Key = "") -> Response:
    """Take in a status callback: sent, delivered or not. What Twilio says twice, late or of a stranger's message does no harm.

    https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
    """
    sid, state, number = said.get("MessageSid", ""), said.get("MessageStatus", ""), said.get("To", "")
    if state not in BECAME or not sid:
        return _twiml()
    what, code = BECAME[state], said.get("ErrorCode", "")
    rule = _rule(settings, code) if what == "bounced" and code else None
    details = {"hard": rule is not None and rule.kind != "retry", "code": code} if what == "bounced" else {}
    outcome = Outcome(what, f"twilio/{sid}/{state}", Clock.real().at, key, "sms", sid, details)
    suppresses = rule is not None and rule.suppresses and NUMBER.fullmatch(number)
    await came(store, outcome, first=partial(_suppress, rule, number, code) if rule is not None and suppresses else None)
    return _twiml()


def _rule(settings: Settings, code: str) -> Rule:
    rule = provider_errors(settings.provider_errors).rule("twilio", code)
    if rule.kind == "stop_channel":
        log.critical("twilio refuses everything until somebody sees to our account there: code %s", code)
    return rule


async def _suppress(rule: Rule, number: str, code: str, session: AsyncSession, *_: Any) -> None:
    await suppress_here(await session.connection(), "sms", number, rule.suppresses, f"twilio {code}", Clock.real().at)


@router.post(
    "/webhooks/twilio/inbound", summary="Hear what somebody writes back", responses={**REFUSALS, **TWIML}, response_class=Response
)
async def inbound(said: Said, settings: InSettings, store: InStore) -> Response:
    """Take in a text: STOP, START, HELP, or a reply to the last message that went to its number.

    https://www.twilio.com/docs/messaging/guides/webhook-request
    """
    sid, number = said.get("MessageSid", ""), said.get("From", "")
    if not sid or not NUMBER.fullmatch(number):
        return _twiml()
    text = Text(f"twilio/{sid}", number, said.get("Body", ""), said.get("OptOutType", ""))
    meant = await received(store, settings, text, Clock.real())
    return _twiml(settings.twilio_help if meant == "help" else "")


def _twiml(message: str = "") -> Response:
    """Return TwiML that answers with a message, or not at all."""
    inside = f"<Response><Message>{escape(message)}</Message></Response>" if message else "<Response/>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>{inside}', media_type="text/xml")
