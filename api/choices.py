"""The pages for readers, in their language and without a login: what they hear of, and a yes to confirm."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from babel.dates import format_date
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from fastapi.templating import Jinja2Templates

from api.access import InSettings, InStore
from api.body import BoundedRoute, read_form
from api.mailbox import PAGE_HEADERS, PAGES
from events.accept import retrying
from events.calls import Clock
from events.consents import ALL, Word, confirm, confirmable, holds, spoken, waits, who
from events.preferences import MONTH, UNCHANGED, Preferences, Wish, preferences, wish
from settings import Settings
from store.links import CONFIRM, PREFERENCES, WHY, Ticket, preferences_url, read_token
from store.session import Store
from store.tables import Delivery, Person
from workflows.clock import zone
from workflows.policy import in_force
from workflows.reading import accepted_languages, closest, read_by

WORDS: Mapping[str, Mapping[str, str]] = tomllib.loads((PAGES / "words.toml").read_text(encoding="utf-8"))
HEADERS = {**PAGE_HEADERS, "X-Robots-Tag": "noindex, nofollow"}
SOURCE = "preference page"
THEMSELVES = "the person"  # who recorded it
LONGEST_AGENT = 300

router = APIRouter(route_class=BoundedRoute, include_in_schema=False)
templates = Jinja2Templates(directory=PAGES)

Said = Literal["", "save", "pause", "resume", "none"]


@dataclass(frozen=True)
class Reader:
    """Who looks at a page, in which language, and what they have sent."""

    person: Person
    ticket: Ticket
    languages: list[str]
    form: Mapping[str, list[str]]
    evidence: Mapping[str, Any]

    @property
    def words(self) -> Mapping[str, str]:
        return WORDS[self.language]

    @property
    def language(self) -> str:
        return closest(self.languages, WORDS) or "en"

    @property
    def reading(self) -> list[str]:
        """The languages in which they read, that of the page first."""
        return [self.language, *self.languages]


@router.get("/p/reader.css")
async def stylesheet() -> Response:
    return FileResponse(PAGES / "reader.css", media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


@router.get("/p/confirm/{token}")
async def ask(request: Request, token: str, store: InStore, settings: InSettings) -> Response:
    """Show what is to be confirmed. It is confirmed by the button, not by looking: scanners look at every link."""
    return await _confirmation(request, token, store, settings, by_button=False)


@router.post("/p/confirm/{token}")
async def agree(request: Request, token: str, store: InStore, settings: InSettings) -> Response:
    """Let the yes hold from here on."""
    return await _confirmation(request, token, store, settings, by_button=True)


@router.get("/p/why/{token}")
async def why(request: Request, token: str, store: InStore, settings: InSettings) -> Response:
    """Tell a reader why they got a message: in its own words, on which topic, and when."""
    ticket = read_token(settings.link_key.get_secret_value(), WHY, token)
    async with store.read() as session:
        person = await who(session, ticket.person) if ticket else None
        message = await session.get(Delivery, ticket.message) if ticket and person else None
    if ticket is None or person is None or message is None or message.person_id != person.id:
        return _nowhere(request, settings)
    reader = await _reader(request, person, ticket, settings)
    topic = in_force().topic(message.topic)
    where = zone(person.zone) or zone(settings.zone)
    shown = {
        "words": reader.words,
        "language": reader.language,
        "why": message.why,
        "topic": "" if message.transactional else read_by(topic.title, reader.reading) or topic.name,
        "about": read_by(topic.about, reader.reading),
        "date": format_date(message.at.astimezone(where), "long", locale=reader.language),
        "choose": preferences_url(settings, ticket.person, ticket.message),
    }
    return templates.TemplateResponse(request, "why.html", shown, headers=HEADERS)


@router.get("/p/{token}")
async def show(request: Request, token: str, store: InStore, settings: InSettings) -> Response:
    """Show what holds for the reader; looking changes nothing."""
    ticket = read_token(settings.link_key.get_secret_value(), PREFERENCES, token)
    async with store.read() as session:
        person = await who(session, ticket.person) if ticket else None
        if person is None or ticket is None:
            return _nowhere(request, settings)
        held = await preferences(session, person, Clock.real().at)
    return _page(request, settings, await _reader(request, person, ticket, settings), held)


@router.post("/p/{token}")
async def choose(request: Request, token: str, store: InStore, settings: InSettings) -> Response:
    """Do as the reader says, and show what holds now. The link is what authorises it: there is no session to be abused."""
    ticket = read_token(settings.link_key.get_secret_value(), PREFERENCES, token)
    await request.body()  # before the transaction, which waits for nobody

    async def attempt() -> Response:
        clock = Clock.real()
        async with store.write() as session:
            person = await who(session, ticket.person, locked=True) if ticket else None
            if person is None or ticket is None:
                return _nowhere(request, settings)
            reader = await _reader(request, person, ticket, settings)
            said, wished = _wish(reader, await preferences(session, person, clock.at), clock)
            await wish(session, person, wished, clock, THEMSELVES)
            held = await preferences(session, person, clock.at)
        return _page(request, settings, reader, held, said)

    return await retrying(attempt)


def _wish(reader: Reader, held: Preferences, clock: Clock) -> tuple[Said, Wish]:
    """Return which button was pressed, and what is wished by it: what differs from the page that they had.

    What has been said since that page was made, by one click in a mail for instance, stands where they have left it alone.
    """
    common: dict[str, Any] = {"source": SOURCE, "evidence": reader.evidence}
    wording = {each.topic.name: _wording(each.topic.title or each.topic.name, each.topic.about, reader) for each in held.choices}
    match reader.form.get("do", [""])[0]:
        case "save":
            ticked, before = set(reader.form.get("yes", [])), set(reader.form.get("was", []))
            changed = ticked ^ before
            places = [(each.topic.name, place.channel) for each in held.choices for place in each.places]
            wanted = {(topic, channel): each in ticked for topic, channel in places if (each := f"{channel} {topic}") in changed}
            fewer = "fewer" in ticked if "fewer" in changed else None
            return "save", Wish(wanted, fewer, UNCHANGED, wording=wording, **common)
        case "pause":
            return "pause", Wish(paused_until=clock.at + MONTH, **common)
        case "resume":
            return "resume", Wish(paused_until=None, **common)
        case "none":
            return "none", Wish({(ALL, ALL): False}, wording={ALL: reader.words["none_button"]}, **common)
    return "", Wish()


def _wording(title: str | Mapping[str, str], about: str | Mapping[str, str], reader: Reader) -> str:
    return ": ".join(filter(None, (read_by(title, reader.reading), read_by(about, reader.reading))))


async def _confirmation(request: Request, token: str, store: Store, settings: Settings, *, by_button: bool) -> Response:
    key = settings.link_key.get_secret_value()
    ticket = read_token(key, CONFIRM, token)

    async def attempt() -> Response:
        async with store.write() if by_button else store.read() as session:
            person = await who(session, ticket.person, locked=by_button) if ticket else None
            if person is None or ticket is None or not confirmable(person, ticket, key):
                return _nowhere(request, settings)
            reader = await _reader(request, person, ticket, settings)
            if by_button:
                await confirm(session, person, Word(ticket.topic, True, evidence=reader.evidence), Clock.real())
            said = await spoken(session, person)
        waiting, holding = waits(said, ticket.topic), holds(said, ticket.topic, "email") is True
        return _asked(request, reader, done=holding) if waiting or holding else _nowhere(request, settings)

    return await retrying(attempt)


async def _reader(request: Request, person: Person, ticket: Ticket, settings: Settings) -> Reader:
    form: dict[str, list[str]] = {}
    for name, value in read_form(await request.body()) if request.method == "POST" else ():
        form.setdefault(name, []).append(value)
    agent = request.headers.get("user-agent", "")[:LONGEST_AGENT]
    evidence = {"at": Clock.real().at.isoformat(timespec="seconds"), "user_agent": agent, "message": ticket.message}
    return Reader(person, ticket, [person.locale, *_languages(request, settings)], form, evidence)


def _languages(request: Request, settings: Settings) -> list[str]:
    return [*accepted_languages(request.headers.get("accept-language", "")), settings.locale]


def _page(request: Request, settings: Settings, reader: Reader, held: Preferences, said: Said = "") -> Response:
    where = zone(reader.person.zone) or zone(settings.zone)
    until = held.paused_until and format_date(held.paused_until.astimezone(where), "long", locale=reader.language)
    read = partial(read_by, wanted=reader.reading)
    shown = {"words": reader.words, "language": reader.language, "held": held, "until": until, "said": said, "read": read}
    return templates.TemplateResponse(request, "preferences.html", shown, headers=HEADERS)


def _asked(request: Request, reader: Reader, *, done: bool) -> Response:
    topic = in_force().topic(reader.ticket.topic)
    title = read_by(topic.title, reader.reading) or topic.name
    shown = {"words": reader.words, "language": reader.language, "title": title, "about": read_by(topic.about, reader.reading)}
    return templates.TemplateResponse(request, "confirm.html", {**shown, "done": done}, headers=HEADERS)


def _nowhere(request: Request, settings: Settings) -> Response:
    """Answer a link that is nobody's: forged, or of somebody who was erased. It tells neither from the other."""
    language = closest(_languages(request, settings), WORDS) or "en"
    shown = {"words": WORDS[language], "language": language}
    return templates.TemplateResponse(request, "nowhere.html", shown, status_code=404, headers=HEADERS)
