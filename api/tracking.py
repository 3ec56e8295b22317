"""Where the links in e-mails lead through us: a picture that tells of opening, and on to where a link was meant to lead."""

from __future__ import annotations

import logging
from base64 import b64decode
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from api.access import InSettings, InStore
from api.choices import HEADERS, WORDS, templates
from events.opened import seen
from settings import Settings
from store.links import CLICKED, OPENED, Ticket, read_token
from store.session import Store
from workflows.reading import accepted_languages, closest

log = logging.getLogger(__name__)

RESERVED = ":/?#[]@!$&'()*+,;=%~"  # what an address is made of stays as it is
GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
UNKEPT = {"Cache-Control": "no-store, max-age=0", "X-Robots-Tag": "noindex, nofollow", "Referrer-Policy": "no-referrer"}

router = APIRouter(include_in_schema=False)


@router.api_route("/o/{token}", methods=["GET", "HEAD"])
async def opened(request: Request, token: str, settings: InSettings, store: InStore) -> Response:
    """Answer with the picture, whatever the link is; note that the message was opened, if it is one of ours."""
    noted = _noted(request, store, settings, "opened", _ticket(settings, OPENED, token), token)
    return Response(GIF, media_type="image/gif", headers=UNKEPT, background=noted)


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
async def clicked(request: Request, token: str, settings: InSettings, store: InStore) -> Response:
    """Lead on to the address that was signed, and to no other; a link that was made up leads nowhere."""
    ticket = _ticket(settings, CLICKED, token)
    if ticket is None or not ticket.url.lower().startswith(("http://", "https://")):
        return _nowhere(request, settings)
    noted = _noted(request, store, settings, "clicked", ticket, token)
    return Response(status_code=302, headers={**UNKEPT, "Location": quote(ticket.url, safe=RESERVED)}, background=noted)


def _ticket(settings: Settings, purpose: str, token: str) -> Ticket | None:
    return read_token(settings.link_key.get_secret_value(), purpose, token)


def _noted(
    request: Request, store: Store, settings: Settings, what: Literal["opened", "clicked"], ticket: Ticket | None, token: str
) -> BackgroundTask | None:
    """Return what notes it once the reader has their answer: they wait for no database. A HEAD is nobody who reads."""
    if ticket is None or not settings.tracking or request.method == "HEAD":
        return None
    return BackgroundTask(_note, store, what, ticket, token, dict(request.headers), datetime.now(UTC))


async def _note(
    store: Store, what: Literal["opened", "clicked"], ticket: Ticket, token: str, headers: dict[str, str], now: datetime
) -> None:
    try:
        await seen(store, what, ticket, token, headers, now)
    except Exception as error:  # nobody waits for it, and nobody is told
        log.warning("that %s was %s is not noted: %s", ticket.message, what, type(error).__name__)


def _nowhere(request: Request, settings: Settings) -> Response:
    wanted = [*accepted_languages(request.headers.get("Accept-Language", "")), settings.locale]
    language = closest(wanted, WORDS) or "en"
    shown = {"words": WORDS[language], "language": language}
    return templates.TemplateResponse(request, "nowhere.html", shown, status_code=404, headers=HEADERS)
