"""What happens to a person, as the calls that an app, an operator or a provider makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from demo.player import Call
from studio.addresses import address_of, email_of, phone_of
from studio.teller import Command, Word
from workflows.definition import Event
from workflows.happenings import (
    AskForFewer,
    AskForPause,
    Confirm,
    Happening,
    Identify,
    Operate,
    OptIn,
    OptOut,
    Outcome,
    Person,
    Reach,
    Release,
    Stop,
    Suppress,
)
from workflows.run import Order

ON_CALL = {"X-Actor": "ada", "X-Reason": "why not"}


def introduction(person: Person, at: datetime) -> Call:
    """Return the call by which the house meets a person, with an address on each channel that reaches them."""
    user = person.user
    known = dict(user.traits)
    if "email" in person.reachable:
        known["email"] = email_of(person)
    if "sms" in person.reachable:
        known["phone"] = phone_of(person)
    context: dict[str, Any] = {"timezone": user.zone, "locale": user.locale}
    if "push" in person.reachable:
        context["device"] = {"token": f"token-{user.id}", "type": "android"}
    return Call(at, "/v1/identify", {"userId": user.id, "traits": known, "context": context})


def call(person: Person, at: datetime, happening: Happening) -> Call:
    """Return the call that is made of a happening. Raises ValueError for a `Confirm`: whose link it is only the store knows."""
    user = person.user.id
    match happening:
        case Event():
            body = {"userId": user, "event": happening.name, "properties": happening.model_dump(mode="json")}
            return Call(at, "/v1/track", {**body, "messageId": uuid4().hex})
        case Identify(traits, zone, locale):
            context = {name: value for name, value in (("timezone", zone), ("locale", locale)) if value is not None}
            return Call(at, "/v1/identify", {"userId": user, "traits": dict(traits), "context": context})
        case Operate(action, Order(actor, reason, step)):
            who = {"X-Actor": actor, "X-Reason": reason}
            return Command(at, f"/v1/runs/{{run_id}}/{action}", {"step": step} if step else {}, refusable=True, headers=who)
        case Stop():
            return Call(at, _switch(happening), {}, method="PUT", headers=ON_CALL)
        case Release(choice, stop, over):
            return Call(at, f"{_switch(stop)}/release", {"choice": choice, "over": over.total_seconds()}, headers=ON_CALL)
        case OptOut(topic, channel) | OptIn(topic, channel):
            consent = {"topic": topic, "channel": channel, "granted": isinstance(happening, OptIn), "source": "test"}
            return Call(at, f"/v1/users/{user}/consent", consent, method="PUT")
        case Suppress(channel, cause):
            door = f"/v1/suppressions/{channel}/{address_of(person, channel)}"
            return Call(at, door, {"cause": cause}, method="PUT", headers={"X-Actor": "eve", "X-Reason": "asked"})
        case AskForPause(duration):
            return _preferences(user, at, {"paused_until": (at + duration).isoformat()})
        case AskForFewer():
            return _preferences(user, at, {"fewer": True})
        case Outcome():
            return Word(at, "", {}, outcome=happening, person=person)
        case Confirm(topic):
            raise ValueError(f"whose link confirms {topic!r} only the store knows")
        case Reach():
            raise ValueError("who is to be reached elsewhere from then on cannot be told by a call alone")


def _switch(stop: Stop) -> str:
    return "/".join(filter(None, ("/v1/stops", stop.scope, stop.name)))


def _preferences(user: str, at: datetime, wish: Mapping[str, Any]) -> Call:
    return Call(at, f"/v1/users/{user}/preferences", {**wish, "source": "test"}, method="PUT")
