"""From a message's name and the person it is for to what it says."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import mrml
from babel import Locale, UnknownLocaleError
from jinja2 import TemplateNotFound, TemplatesNotFound, TemplateSyntaxError
from pydantic_core import from_json

from activities.formats import Reader, reader
from activities.links import Links
from activities.marking import marked, with_preheader
from activities.plain_text import plain_text
from activities.templates import Library, TooMuch, Words, bounded, language_tags
from activities.transport import Content, Failure
from workflows.brand import in_use

FOR_THE_READER = ("locale", "language", "direction", "region", "brand", "unsubscribe_url", "preferences_url", "why_url")
OWN_NAMES = frozenset(("user", "event", "now", "did", "journey", *FOR_THE_READER))
EXTENSIONS: Mapping[str, Sequence[str]] = {"email": ("mjml", "md"), "webhook": ("json",)}
TERMS = ("topic", "expires")  # what holds of a message whoever reads it: no templates themselves
A_MOMENT = "write a day or a moment of ISO 8601, such as 2026-12-24 or 2026-12-24T18:00"
HEADERS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # by channel: what a header must say, and what it may
    "email": (frozenset(("subject",)), frozenset(("preheader", "layout", "why", *TERMS))),
    "sms": (frozenset(), frozenset(("why", *TERMS))),
    "push": (frozenset(("title",)), frozenset(("action", "why", *TERMS))),
    "in_app": (frozenset(("title",)), frozenset(("action", "why", *TERMS))),
    "webhook": (frozenset(), frozenset(TERMS)),
}


class BadTemplate(Failure):
    """A template cannot be filled in, and where and why."""


class Unanswered(Exception):
    """What a template asked for could not be looked up now; that is no fault of the template's."""


@dataclass(frozen=True)
class Occasion:
    """What a message is rendered for: who reads it, when, what there is to say, and where its links lead."""

    user: Mapping[str, Any]
    event: Mapping[str, Any]
    journey: str
    data: Mapping[str, Any]
    now: datetime
    zone: ZoneInfo
    did: Callable[..., int]
    links: Links | None = None
    topic: str = ""
    region: str = ""  # where the reader is, ISO 3166; '' if that is not known


def render(library: Library, channel: str, template: str, occasion: Occasion, default_locale: str) -> Content:
    """Fill in the template that is closest to the reader's language. Raises BadTemplate, or Unanswered."""
    locale = occasion.user["locale"] or default_locale
    if taken := OWN_NAMES & occasion.data.keys():
        names = ", ".join(sorted(taken))
        misnamed = f"{channel}/{template}: the journey's data uses Sojourn's own name {names}; call it something else"
        raise BadTemplate(misnamed, misnamed)
    try:
        words = library.find(channel, template, endings(channel), locale)
        return bounded(lambda: _filled(library, channel, words, occasion, default_locale))
    except (BadTemplate, Unanswered):
        raise
    except Exception as error:
        raise _bad(error, library.folder, f"{channel}/{template}") from error


def _filled(library: Library, channel: str, words: Words, occasion: Occasion, default_locale: str) -> Content:
    reads = occasion.user["locale"] or default_locale
    conventions = _conventions(words, reads, default_locale)
    variables = _variables(occasion, conventions, words.tag or default_locale)
    token = reader.set(Reader(occasion.zone, conventions))
    try:
        header = _header(channel, words, variables)
        _refuse_another_topic(words, header, occasion)
        until = _until(words, header, occasion)
        body = words.body.render(variables).strip()
        if channel == "webhook":
            return Content(_json(words, body), until=until)
        why = header.get("why", "")
        if channel != "email":
            label, url = _action(words, header["action"]) if "action" in header else ("", "")
            return Content(body, header.get("title", ""), action=label, action_url=url, until=until, why=why)
        html = _html(words, body)
        beside = library.beside(words, "txt")
        text = beside.body.render(variables).strip() if beside else plain_text(html)
        mail = Content(
            text,
            header["subject"],
            with_preheader(html, header.get("preheader", "")),
            until=until,
            why=why,
            sender=variables["brand"].get("sender", ""),
        )
        return marked(mail, occasion.links, reads, words.tag or default_locale)
    finally:
        reader.reset(token)


def _variables(occasion: Occasion, conventions: Locale, language: str) -> dict[str, Any]:
    return {
        **occasion.data,
        "user": occasion.user,
        "event": occasion.event,
        "now": occasion.now.astimezone(occasion.zone),
        "did": occasion.did,
        "journey": occasion.journey,
        "locale": str(conventions).replace("_", "-"),
        "language": language,
        "direction": conventions.text_direction,
        "region": occasion.region,
        "brand": in_use().in_region(occasion.region),
        "why_url": occasion.links.why_url if occasion.links else "",
        "unsubscribe_url": occasion.links.unsubscribe_url if occasion.links else "",
        "preferences_url": occasion.links.preferences_url if occasion.links else "",
    }


def _header(channel: str, words: Words, variables: Mapping[str, Any]) -> dict[str, str]:
    needed, possible = HEADERS[channel]
    for name in needed - words.header.keys():
        lacking = f"{words.name}: has no {name}; begin the file with a line `{name}: …` and a line `---`"
        raise BadTemplate(lacking, lacking)
    if unknown := words.header.keys() - needed - possible:
        useless = f"{words.name}: {', '.join(sorted(unknown))} in its header means nothing on this channel"
        raise BadTemplate(useless, useless)
    return {name: _line(words, name, variables) for name in words.header}


def _refuse_another_topic(words: Words, header: Mapping[str, str], occasion: Occasion) -> None:
    """Refuse words about one topic on another: their readers have not been asked about that one."""
    if "topic" in header and occasion.topic and header["topic"] != occasion.topic:
        other = f"{words.name}: its words are on {header['topic']}, and {occasion.journey} sends them on {occasion.topic}"
        raise BadTemplate(other, f"{words.name}: topic")


def _until(words: Words, header: Mapping[str, str], occasion: Occasion) -> datetime | None:
    """Return when what the message says is over: a day ends at midnight where the reader is."""
    if "expires" not in header:
        return None
    try:
        return moment_written(header["expires"], occasion.zone)
    except ValueError:
        wrong = f"{words.name}: expires is {header['expires']!r}; {A_MOMENT}"
        raise BadTemplate(wrong, f"{words.name}: expires: {A_MOMENT}") from None


def endings(channel: str) -> Sequence[str]:
    """Return what the names of a channel's template files end in."""
    return EXTENSIONS.get(channel, ("txt",))


def moment_written(text: str, where: ZoneInfo) -> datetime:
    """Read when words are over: a moment, on the wall there if it names no zone, or the end of a day. Raises ValueError."""
    if len(text) == len("2026-12-24"):
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), where)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=where)


def _line(words: Words, name: str, variables: Mapping[str, Any]) -> str:
    try:
        return " ".join(words.header[name].render(variables).split())
    except Unanswered:
        raise
    except Exception as error:
        raise BadTemplate(f"{words.name}: {name}: {error}", f"{words.name}: {name}: {type(error).__name__}") from error


def _action(words: Words, action: str) -> tuple[str, str]:
    label, _, url = (part.strip() for part in action.partition(" -> "))
    if not (label and url):
        needed = "write it as `label -> address`"
        raise BadTemplate(f"{words.name}: action is {action!r}; {needed}", f"{words.name}: action: {needed}")
    return label, url


def _json(words: Words, text: str) -> str:
    try:
        data = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        invalid = f"{words.name}: what it makes is not JSON"
        raise BadTemplate(f"{invalid}: {error}", invalid) from error
    if not isinstance(data, dict):
        listed = f"{words.name}: what it makes is not a JSON object; begin it with {{"
        raise BadTemplate(listed, listed)
    return json.dumps(data, indent=2, ensure_ascii=False)


def _html(words: Words, mjml: str) -> str:
    try:
        return mrml.to_html(mjml).content
    except OSError as error:
        invalid = f"{words.name}: what it makes is not MJML"
        raise BadTemplate(f"{invalid}: {error}", invalid) from error


def _conventions(words: Words, locale: str, default_locale: str) -> Locale:
    """Return how to write dates: the reader's own way if the template is in their language, else the template's."""
    own, written = language_tags(locale), language_tags(words.tag or default_locale)
    for tag in (*(own if own[-1:] == written[-1:] else ()), *written, "en"):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError("Babel knows English")


def _bad(error: Exception, folder: Path, asked: str) -> BadTemplate:
    """Say where in the templates an error arose, and why.

    Its code has the line in the file that was asked for: one that it includes may be named after what is known of the person.
    """
    frames = [each for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).is_relative_to(folder)]
    lines = [f"{Path(each.filename).relative_to(folder)}:{each.lineno}" for each in frames] or [asked]
    innermost = f"{error.name}:{error.lineno}" if isinstance(error, TemplateSyntaxError) else lines[-1]
    return BadTemplate(f"{innermost}: {_why(error, folder)}", f"{lines[0]}: {type(error).__name__}")


def _why(error: Exception, folder: Path) -> str:
    if isinstance(error, TemplateNotFound):
        return f"there is no template {error.templates[-1] if isinstance(error, TemplatesNotFound) else error.name} in {folder}"
    if isinstance(error, TooMuch):
        return str(error)
    return str(error) or type(error).__name__
