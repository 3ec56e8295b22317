"""What would this person read? A message filled in for somebody as it would go out, but for the links that are theirs alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from activities.links import Links
from activities.occasion import counting, portrait
from activities.render import OWN_NAMES, Occasion, endings, render
from activities.transport import Content
from activities.whereabouts import region_of, zone_of
from settings import Settings
from store.links import Ticket
from store.session import Store
from store.tables import Person
from studio.remarks import Remark, remarks
from studio.retold import Story, retold, told
from studio.shipment import Sent, Shipment
from workflows.policy import in_force
from workflows.reading import read_by
from workflows.transitions import ConsentRequested

NOBODYS = "PREVIEW"  # in place of the tokens of links
NAMED = 6  # of templates, where several are meant


class Unclear(ValueError):
    """It cannot be shown without knowing more. Says what, and how to give it."""


@dataclass(frozen=True)
class Wish:
    """What is to be shown. `data` and `event` go before what the store tells; None: nothing is said."""

    template: str
    at: datetime
    locale: str = ""
    data: Mapping[str, Any] | None = None
    event: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Shown:
    """A message as it would be read, and what it was filled in with."""

    template: str
    to: str
    locale: str
    journey: str
    content: Content
    event: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def channel(self) -> str:
        return self.template.partition("/")[0]

    @property
    def remarks(self) -> list[Remark]:
        """What a careful reader would say of it."""
        return remarks(self.channel, self.content)


class Nowhere(Links):
    """Links that lead nowhere, in place of those that let whoever has them act for the person."""

    @cached_property
    def unsubscribe_url(self) -> str:
        return "" if self.transactional else self._to("u")

    @cached_property
    def preferences_url(self) -> str:
        return self._to("p")

    @cached_property
    def why_url(self) -> str:
        return self._to("p/why")

    @property
    def confirm_url(self) -> str:
        return self._to("p/confirm")

    def _to(self, path: str) -> str:
        return f"{self.settings.public_url.rstrip('/')}/{path}/{NOBODYS}"


def meant(shipment: Shipment, name: str, channel: str = "") -> str:
    """Return the template of that name, as channel/name. Raises Unclear if there is none, or several."""
    there = sorted(shipment.names | {template for template in shipment.sent if shipment.of(template)})
    fits = [each for each in there if name in (each, each.partition("/")[2]) and channel in ("", each.partition("/")[0])]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise Unclear(f"{name!r} may be {' or '.join(fits)}; name one of them, or its --channel")
    close = get_close_matches(name, [*there, *(each.partition("/")[2] for each in there)], n=1)
    some = ", ".join([*there[:NAMED], *(["…"] if there[NAMED:] else [])])
    hint = f"did you mean {close[0]!r}?" if close else f"there is {some or 'none'}"
    raise Unclear(f"there is no template {name!r}{f' on {channel}' if channel else ''} in {shipment.templates}; {hint}")


def spoken(shipment: Shipment, template: str, default: str) -> list[str]:
    """Return the languages that a template is in, the one of the file that names none first."""
    return list(dict.fromkeys(tag or default for tag, _ in shipment.by_language(template)))


async def preview(store: Store, settings: Settings, shipment: Shipment, person: Person, wish: Wish) -> Shown:
    """Fill in a message for a person. Raises Unclear, or BadTemplate."""
    sent = shipment.sent.get(wish.template, ())
    story = await _story(store, person, sent, wish)
    links = Nowhere(settings, Ticket(0), transactional=bool(sent) and all(each.given.said.transactional for each in sent))
    event = {**story.event, **_to_confirm(settings, person, story, links)}
    data = {**story.data, **(wish.data or {})}
    locale = wish.locale or person.locale
    _refuse_lacking(shipment, settings, wish.template, locale, sent, event, data)
    occasion = Occasion(
        user=portrait(person) | {"locale": locale},
        event=event,
        journey=story.journey,
        data=data,
        now=wish.at,
        zone=zone_of(person, settings),
        did=counting(store, person.id) if person.id is not None else lambda event, **properties: 0,
        links=links,
        topic=sent[0].topic if sent else "",
        region=region_of(person),
    )
    channel, _, name = wish.template.partition("/")
    content = await asyncio.to_thread(render, shipment.library, channel, name, occasion, settings.locale)
    return Shown(wish.template, person.user_id, locale or settings.locale, story.journey, content, event, data)


async def _story(store: Store, person: Person, sent: Sequence[Sent], wish: Wish) -> Story:
    """Return how the person came to the message; how they would, by an event that is given."""
    journeys = list(dict.fromkeys(each.journey.name for each in sent))
    if wish.event is not None and sent:
        return told(max((each.journey for each in sent), key=lambda each: each.version), wish.event, wish.at, person, wish.template)
    found = await retold(store, person, journeys, wish.template) if person.id is not None and journeys else None
    return found or Story(next(iter(journeys), ""), wish.event or {})


def _to_confirm(settings: Settings, person: Person, story: Story, links: Nowhere) -> dict[str, Any]:
    """Return what Sojourn adds to the event where a yes is to be confirmed."""
    from workflows.definition import current

    definition = current(story.journey)
    if definition is None or ConsentRequested not in definition.triggers:
        return {}
    topic = in_force().topic(str(story.event.get("topic", "")))
    title = read_by(topic.title, [person.locale, settings.locale]) or topic.name
    return {"confirm_url": links.confirm_url} | ({"title": title} if title else {})


def _refuse_lacking(
    shipment: Shipment,
    settings: Settings,
    template: str,
    locale: str,
    sent: Sequence[Sent],
    event: Mapping[str, Any],
    data: Mapping[str, Any],
) -> None:
    """Refuse to show what lacks something that the journey, or the event that starts it, has to say."""
    channel, _, name = template.partition("/")
    try:
        words = shipment.library.find(channel, name, endings(channel), locale or settings.locale)
    except Exception:  # which filling in tells, with its place
        return
    uses = [use for part in shipment.parts(words.name) for use in shipment.read(part).uses if not use.closed]
    names = {use.path[0]: "…" for use in uses if use.minds(1) and use.path[0] not in {*OWN_NAMES, *data}}
    said = {use.path[1]: "…" for use in uses if use.path[0] == "event" and use.minds(2) and use.path[1] not in event}
    options = [_option("--data", names)] if names else []
    options += [_option("--event", said)] if said else []
    if options:
        who = " or ".join(dict.fromkeys(each.journey.name for each in sent)) or "its journey"
        lacking = ", ".join([*names, *(f"event.{each}" for each in said)])
        way = " and ".join(options)
        if sent and not said and not event and (fields := sent[0].journey.triggers[0].model_fields):
            way += f", or what starts it, with {_option('--event', dict.fromkeys(fields, '…'))}"
        raise Unclear(f"{words.name} asks for {lacking}, which {who} has not given this person; give that with {way}")


def _option(name: str, values: Mapping[str, str]) -> str:
    return f"{name} '{json.dumps(values, ensure_ascii=False)}'"
