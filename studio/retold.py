"""What did a journey say to somebody, and what would it give a message now? Told by their own events, in virtual time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlmodel import col, select

from store.session import Store
from store.tables import AcceptedEvent, Assignment, Person, Run
from workflows.definition import EVENTS, JOURNEYS, Definition, Event, current, in_full
from workflows.happenings import Happening
from workflows.happenings import Person as Somebody
from workflows.life import Cast
from workflows.policy import in_force
from workflows.run import User
from workflows.simulate import live

AT_MOST = 2_000  # events of a person that are told again


@dataclass(frozen=True)
class Story:
    """How a person came to a message: the journey, what the event that started it says, and what the journey gives the message."""

    journey: str = ""
    event: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


async def retold(store: Store, person: Person, journeys: Sequence[str], template: str) -> Story | None:
    """Return the story of the person's last run of one of these journeys; None if they have had none.

    Its data is what the journey gives the message if the run meets again all that the person has done since it began, and every
    other channel is shut; empty if it does not come to that message so.
    """
    async with store.read() as session:
        theirs = select(Run).where(Run.person_id == person.id, col(Run.journey).in_(journeys))
        run = (await session.exec(theirs.order_by(col(Run.started_at).desc(), col(Run.id).desc()).limit(1))).first()
        if run is None:
            return None
        trigger = await session.get(AcceptedEvent, run.trigger_id) if run.trigger_id is not None else None
        since = select(AcceptedEvent).where(
            AcceptedEvent.person_id == person.id, AcceptedEvent.kind == "track", col(AcceptedEvent.id) > (run.trigger_id or 0)
        )
        happened = (await session.exec(since.order_by(col(AcceptedEvent.id)).limit(AT_MOST))).all()
        chosen = (await session.exec(select(Assignment).where(Assignment.person_id == person.id))).all()
    sent = trigger.data if trigger is not None else {}
    definition = JOURNEYS.get((run.journey, run.version)) or current(run.journey)
    first = _typed(run.trigger, sent)
    if definition is None or first is None:
        return Story(run.journey, sent)
    then = [(each.accepted_at, typed) for each in happened if (typed := _typed(each.name, each.data)) is not None]
    variants = {each.experiment: each.variant for each in chosen}
    given = _given(definition, first, run.started_at, person, template, then, variants)
    return Story(run.journey, in_full(run.trigger, sent), given)


def told(definition: Definition[Any], event: Mapping[str, Any], at: datetime, person: Person, template: str) -> Story:
    """Return the story of a run that starts on such an event, after which nothing happens."""
    for kind in definition.triggers:
        if (first := _typed(kind.name, event)) is not None:
            return Story(definition.name, in_full(kind.name, event), _given(definition, first, at, person, template, (), {}))
    return Story(definition.name, event)


def _given(
    definition: Definition[Any],
    first: Event,
    at: datetime,
    person: Person,
    template: str,
    then: Sequence[tuple[datetime, Happening]],
    variants: Mapping[str, str],
) -> Mapping[str, Any]:
    """Return what the last such message is given in virtual time; nothing if there is none, or the journey fails."""
    channel, _, name = template.partition("/")
    user = User(person.user_id, person.zone, person.locale, person.traits)
    try:
        lived: list[tuple[datetime, Happening]] = [(at, first), *((max(moment, at), happening) for moment, happening in then)]
        run = live(Cast([definition], in_force()), lived, Somebody(user, frozenset([channel])), variants=variants)[0]
    except Exception:  # a fault of the journey's is no reason to show nothing of its template
        return {}
    fitting = [each.message.data for each in run.decided if (each.message.channel, each.message.template) == (channel, name)]
    return fitting[-1] if fitting else {}


def _typed(name: str, data: Mapping[str, Any]) -> Event | None:
    kind = EVENTS.get(name)
    try:
        return kind.model_validate(data) if kind is not None else None
    except ValidationError:
        return None
