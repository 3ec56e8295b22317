"""The way out of a topic: one click in a mail program (RFC 8058), or a page with a button. A GET unsubscribes nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from api.access import InSettings, InStore
from api.body import BoundedRoute
from events.unsubscribe import unsubscribe
from settings import Settings
from store.links import UNSUBSCRIBE, Ticket, preferences_url, read_token
from workflows.policy import in_force

ONE_CLICK = ("List-Unsubscribe", "One-Click")
BY_PAGE = ("by", "page")
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Vary": "Accept-Language",
}
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Unsubscribe",
        "asks": "You will no longer get these messages.",
        "about": "You will no longer get messages about this:",
        "button": "Unsubscribe",
        "choose": "Choose what you hear about instead",
        "done": "You are unsubscribed",
        "after": "You will no longer get these messages. You can close this page.",
    },
    "de": {
        "title": "Abmelden",
        "asks": "Du bekommst dann keine solchen Nachrichten mehr.",
        "about": "Du bekommst dann keine Nachrichten mehr zu:",
        "button": "Abmelden",
        "choose": "Lieber auswählen, wovon du hören möchtest",
        "done": "Du bist abgemeldet",
        "after": "Du bekommst keine solchen Nachrichten mehr. Du kannst diese Seite schließen.",
    },
    "fr": {
        "title": "Se désabonner",
        "asks": "Vous ne recevrez plus ces messages.",
        "about": "Vous ne recevrez plus de messages à ce sujet :",
        "button": "Se désabonner",
        "choose": "Choisir plutôt ce que vous recevez",
        "done": "Vous êtes désabonné",
        "after": "Vous ne recevrez plus ces messages. Vous pouvez fermer cette page.",
    },
    "es": {
        "title": "Darse de baja",
        "asks": "Ya no recibirás estos mensajes.",
        "about": "Ya no recibirás mensajes sobre:",
        "button": "Darse de baja",
        "choose": "Prefiero elegir qué recibir",
        "done": "Te has dado de baja",
        "after": "Ya no recibirás estos mensajes. Puedes cerrar esta página.",
    },
    "pt": {
        "title": "Cancelar inscrição",
        "asks": "Você não receberá mais estas mensagens.",
        "about": "Você não receberá mais mensagens sobre:",
        "button": "Cancelar inscrição",
        "choose": "Prefiro escolher o que receber",
        "done": "Inscrição cancelada",
        "after": "Você não receberá mais estas mensagens. Pode fechar esta página.",
    },
}

router = APIRouter(route_class=BoundedRoute, include_in_schema=False)
templates = Jinja2Templates(directory=Path(__file__).parent / "pages")


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
async def ask(request: Request, token: str, settings: InSettings) -> Response:
    """Show the button, and change nothing: mail scanners follow every link."""
    return _page(request, "unsubscribe.html", **_about(_ticket(settings, token), settings, _language(request)))


@router.post("/u/{token}")
async def leave(request: Request, token: str, settings: InSettings, store: InStore) -> Response:
    """Unsubscribe whom the link was for. Whoever makes up a link is told the same."""
    said = dict(_fields(await request.body(), request.headers.get("Content-Type", "")))
    ticket = _ticket(settings, token)
    if said.get(ONE_CLICK[0]) != ONE_CLICK[1]:
        return _page(request, "unsubscribe.html", **_about(ticket, settings, _language(request)))
    if ticket is not None:
        source = "unsubscribe page" if said.get(BY_PAGE[0]) == BY_PAGE[1] else "one-click"
        await unsubscribe(store, ticket, source, datetime.now(UTC))
    return _page(request, "unsubscribed.html")


def _ticket(settings: Settings, token: str) -> Ticket | None:
    return read_token(settings.link_key.get_secret_value(), UNSUBSCRIBE, token)


def _about(ticket: Ticket | None, settings: Settings, language: str) -> dict[str, str]:
    """Return what the page says of the link: its topic's title in the reader's language, and where else they may go."""
    if ticket is None:
        return {}
    title = in_force().topic(ticket.topic).title
    if not isinstance(title, str):
        title = title.get(language) or next(iter(title.values()), "")
    return {"topic": title, "preferences": preferences_url(settings, ticket.person, ticket.message)}


def _page(request: Request, name: str, **values: Any) -> Response:
    language = _language(request)
    shown = {"words": WORDS[language], "language": language, "topic": "", "preferences": ""} | values
    return templates.TemplateResponse(request, name, shown, headers=PAGE_HEADERS)


def _language(request: Request) -> str:
    """Return the language of the page: the one that the browser would rather have, of those we speak."""
    wanted = []
    for place, each in enumerate(request.headers.get("Accept-Language", "").split(",")):
        tag, _, quality = each.partition(";q=")
        language = tag.strip().lower().partition("-")[0]
        if language in WORDS:
            wanted.append((-_number(quality), place, language))
    return min(wanted)[2] if wanted else "en"


def _number(quality: str) -> float:
    try:
        return float(quality) if quality.strip() else 1.0
    except ValueError:
        return 0.0


def _fields(body: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form, in either of the two ways in which mail programs send it."""
    if not content_type.lower().startswith("multipart/form-data"):
        yield from parse_qsl(body.decode("utf-8", "replace"))
        return
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    for part in BytesParser().parsebytes(head + body).walk():
        name, content = part.get_param("name", header="Content-Disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            yield name, content.decode("utf-8", "replace").strip()
