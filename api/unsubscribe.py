"""The way out of a topic: one click in a mail program (RFC 8058), or a page with a button. A GET unsubscribes nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response

from api.access import InSettings, InStore
from api.body import BoundedRoute, read_form
from api.choices import HEADERS, WORDS, templates
from events.calls import Clock
from events.unsubscribe import unsubscribe
from settings import Settings
from store.links import UNSUBSCRIBE, Ticket, preferences_url, read_token
from workflows.policy import in_force
from workflows.reading import accepted_languages, closest, read_by

ONE_CLICK = ("List-Unsubscribe", "One-Click")
BY_PAGE = ("by", "page")
BOUNDARY = re.compile(r"""boundary="?([^";,\s]{1,70})""", re.IGNORECASE)
NAME = re.compile(r"""^content-disposition:[^\n]{0,99};\s{0,9}name="?([^";\n]{1,99})""", re.IGNORECASE | re.MULTILINE)

router = APIRouter(route_class=BoundedRoute, include_in_schema=False)


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
async def ask(request: Request, token: str, settings: InSettings) -> Response:
    """Show the button, and change nothing: mail scanners follow every link."""
    return _asking(request, settings, _ticket(settings, token))


@router.post("/u/{token}")
async def leave(request: Request, token: str, settings: InSettings, store: InStore) -> Response:
    """Unsubscribe whom the link was for. Whoever makes up a link is told the same."""
    said = dict(_fields(await request.body(), request.headers.get("Content-Type", "")))
    ticket = _ticket(settings, token)
    if said.get(ONE_CLICK[0]) != ONE_CLICK[1]:
        return _asking(request, settings, ticket)
    if ticket is not None:
        by_page = said.get(BY_PAGE[0]) == BY_PAGE[1]
        await unsubscribe(store, ticket, "unsubscribe page" if by_page else "one-click", Clock.real())
    return _page(request, settings, done=True)


def _ticket(settings: Settings, token: str) -> Ticket | None:
    return read_token(settings.link_key.get_secret_value(), UNSUBSCRIBE, token)


def _asking(request: Request, settings: Settings, ticket: Ticket | None) -> Response:
    """Name the topic that the link is about, and lead to the page with all of them; a link that was made up is about nothing."""
    if ticket is None:
        return _page(request, settings)
    title = read_by(in_force().topic(ticket.topic).title, _languages(request, settings))
    return _page(request, settings, topic=title, preferences=preferences_url(settings, ticket.person, ticket.message))


def _page(request: Request, settings: Settings, **values: Any) -> Response:
    """Answer in the language that the browser asks for: whose link it is would tell whether it was made up."""
    language = closest(_languages(request, settings), WORDS) or "en"
    shown = {"words": WORDS[language], "language": language, **values}
    return templates.TemplateResponse(request, "unsubscribe.html", shown, headers=HEADERS)


def _languages(request: Request, settings: Settings) -> list[str]:
    return [*accepted_languages(request.headers.get("Accept-Language", "")), settings.locale]


def _fields(body: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form, in either of the two ways in which mail programs send it."""
    if not content_type.lower().startswith("multipart/form-data"):
        yield from read_form(body)
        return
    boundary = BOUNDARY.search(content_type)
    parts = body.decode("utf-8", "replace").split(f"--{boundary[1]}") if boundary else []
    for part in parts:  # flat, as RFC 7578 has them: a reader of mails would follow what is nested, as deep as it goes
        head, _, content = part.replace("\r\n", "\n").partition("\n\n")
        if name := NAME.search(head):
            yield name[1], content.strip()
