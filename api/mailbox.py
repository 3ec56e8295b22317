"""The pages people look at in development: what was sent, as its recipient would see it, and where everything is."""

from __future__ import annotations

import re
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.templating import Jinja2Templates

from api.letters import Facets, Letter, RowId, Selection, Sheet, facets_of, letter, sheet_of
from api.overview import overviews
from events.stops import open_stops
from settings import CHANNEL_NAMES, Settings
from store.session import Store

PAGES = Path(__file__).parent / "pages"
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; frame-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MAIL_HEADERS = PAGE_HEADERS | {  # the mail may show its own styles and pictures, as a mail client lets it, and run nothing
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
        "img-src data: https:; font-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
}

templates = Jinja2Templates(directory=PAGES)


async def in_development(request: Request) -> None:
    """Answer 404 in production: the pages ask for no key and show everything."""
    if _settings(request).environment == "production":
        raise HTTPException(404, f"there is nothing at {request.url.path} in production")


router = APIRouter(dependencies=[Depends(in_development)], include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """Show where everything is, and each journey with its open runs."""
    async with _store(request).read() as session:
        journeys = await overviews(session, _settings(request))
        messages = (await facets_of(session, Selection())).total
        stopped = await open_stops(session)
    return _page(request, "index.html", journeys=journeys, messages=messages, stopped=stopped)


@router.get("/mailbox")
async def mailbox(request: Request, selection: Annotated[Selection, Query()]) -> Response:
    """Show every message newest first, by the run's clock; `format=json` answers the same for machines."""
    async with _store(request).read() as session:
        sheet = await sheet_of(session, selection, _settings(request))
        facets = await facets_of(session, selection)
    if selection.format == "json":
        return JSONResponse(_as_json(sheet, facets), headers={"Cache-Control": "no-store"})
    return _page(request, "mailbox.html", sheet=sheet, facets=facets, selection=selection)


@router.get("/mailbox/{id}")
async def message(request: Request, id: Annotated[RowId, InPath()]) -> Response:
    """Show one message whole."""
    return _page(request, "message.html", letter=await _found(request, id), selection=Selection())


@router.get("/mailbox/{id}/html")
async def mail(request: Request, id: Annotated[RowId, InPath()]) -> Response:
    """Answer with the HTML of an e-mail for a frame: it runs no script, and its links open beside the page."""
    html = (await _found(request, id)).html
    if not html:
        raise HTTPException(404, f"message {id} has no HTML part")
    aimed = re.sub(r"<head\b[^>]*>", r'\g<0><base target="_blank">', html, count=1, flags=re.IGNORECASE)
    return HTMLResponse(aimed, headers=MAIL_HEADERS)


@router.get("/pages.css")
async def stylesheet() -> Response:
    return FileResponse(PAGES / "pages.css", media_type="text/css", headers={"Cache-Control": "no-cache"})


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def _page(request: Request, name: str, **values: Any) -> Response:
    settings = _settings(request)
    sender = {"address": settings.email_from, "name": parseaddr(settings.email_from)[0] or "Sojourn"}
    shared = {"settings": settings, "sender": sender, "channels": CHANNEL_NAMES}
    return templates.TemplateResponse(request, name, shared | values, headers=PAGE_HEADERS)


async def _found(request: Request, id: int) -> Letter:
    async with _store(request).read() as session:
        found = await letter(session, id, _settings(request))
    if found is None:
        raise HTTPException(404, f"there is no message {id} in the mailbox")
    return found


def _as_json(sheet: Sheet, facets: Facets) -> dict[str, Any]:
    messages = [letter.model_dump(mode="json") for letter in sheet.letters]
    return {"messages": messages, "counts": facets.channels, "newer": sheet.newer, "older": sheet.older}
