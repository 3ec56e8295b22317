"""What there is to say to a person, and about them, at the moment of sending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select

from activities.links import Links
from activities.render import Occasion, Unanswered
from activities.whereabouts import region_of, zone_of
from settings import Settings
from store.links import Ticket, confirm_url
from store.session import Store
from store.tables import AcceptedEvent, Consent, Person, Run
from workflows.definition import in_full
from workflows.policy import in_force
from workflows.reading import read_by
from workflows.tracking import TRACKING, may_track
from workflows.traits import is_private, is_sensitive
from workflows.transitions import ConsentRequested
from workflows.wire import Dispatch

STORE_SECONDS = 10
HAPPENED = ("pending", "routed", "unknown")


of_tracking = (
    select(Consent.granted)
    .where(
        Consent.person_id == Run.person_id,
        col(Consent.topic).in_((TRACKING, "*")),
        col(Consent.channel).in_(("email", "*")),
        col(Consent.pending).is_(False),
    )
    .order_by(col(Consent.id).desc())
    .limit(1)
)
told = (
    select(Run, Person, AcceptedEvent.data, of_tracking.correlate(Run).scalar_subquery())
    .join(Person, col(Person.id) == Run.person_id)
    .outerjoin(AcceptedEvent, col(AcceptedEvent.id) == Run.trigger_id)
    .where(Run.id == bindparam("run"))
)
happened = select(AcceptedEvent.data).where(
    AcceptedEvent.person_id == bindparam("person"),
    AcceptedEvent.name == bindparam("event"),
    col(AcceptedEvent.kind).in_(("track", "run")),
    col(AcceptedEvent.status).in_(HAPPENED),
)


async def occasion(store: Store, settings: Settings, dispatch: Dispatch, now: datetime) -> tuple[int, Occasion] | None:
    """Return whom the message is for, by their row's id, and what its template is filled with; None if there is no such run."""
    async with store.read() as session:
        found = (await session.exec(told, params={"run": dispatch.run_id})).first()
    if found is None:
        return None
    run, person, trigger, granted = found
    assert person.id is not None
    return person.id, Occasion(
        user=portrait(person),
        event={**in_full(run.trigger, trigger or {}), **_to_confirm(settings, run, person, trigger or {}, dispatch.key)},
        journey=run.journey,
        data=dispatch.data,
        now=now,
        zone=zone_of(person, settings),
        topic=dispatch.topic,
        region=region_of(person),
        did=counting(store, person.id),
        links=Links(
            settings,
            Ticket(person.id, dispatch.key, dispatch.topic, dispatch.channel),
            transactional=dispatch.transactional,
            tracked=settings.tracking and dispatch.tracked and may_track(granted, in_force()),
            secrets=tuple(_secrets(person)),
        ),
    )


def _secrets(person: Person) -> Iterator[str]:
    """Yield the person's addresses, and what else of theirs no event may tell."""
    yield from filter(None, (person.email, person.phone))
    yield from (str(value) for name, value in person.traits.items() if is_private(name) and value not in ("", None, True, False))


def _to_confirm(settings: Settings, run: Run, person: Person, trigger: Mapping[str, Any], message: str) -> dict[str, str]:
    """Say what is to be confirmed, and by which link, where that is what a run is about. The link enters no history."""
    if run.trigger != ConsentRequested.name or person.id is None or not person.email:
        return {}
    topic = in_force().topic(str(trigger.get("topic", "")))
    return {
        "title": read_by(topic.title, [person.locale, settings.locale]) or topic.name,
        "confirm_url": confirm_url(settings, person.id, person.email, topic.name, message),
    }


def portrait(person: Person) -> dict[str, Any]:
    """Return what templates are told of the person, as `user`: no trait that is sensitive."""
    return {
        "id": person.user_id,
        "zone": person.zone,
        "locale": person.locale,
        "email": person.email,
        "phone": person.phone,
        "traits": {name: value for name, value in person.traits.items() if not is_sensitive(name)},
    }


def counting(store: Store, person_id: int) -> Callable[..., int]:
    """Return `did`. Templates are filled in on a thread of their own, from where it asks the store through the running loop."""
    loop = asyncio.get_running_loop()

    def did(event: str, **properties: Any) -> int:
        try:
            return asyncio.run_coroutine_threadsafe(_count(store, person_id, event, properties), loop).result(STORE_SECONDS)
        except (SQLAlchemyError, OSError) as error:
            raise Unanswered(f"the store does not answer: {type(error).__name__}") from None

    return did


async def _count(store: Store, person_id: int, event: str, properties: dict[str, Any]) -> int:
    async with store.read() as session:
        found = (await session.exec(happened, params={"person": person_id, "event": event})).all()
    return sum(all(data.get(name) == value for name, value in properties.items()) for data in found)
