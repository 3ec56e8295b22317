"""Trying a journey on oneself: the journey itself, on a server of its own, its waits cut short by letting its clock run ahead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from demo.player import CLOCK_HEADER, pass_until
from demo.standing import Runs, Waiting
from events.calls import misfit
from studio.samples import Samples
from workflows.definition import EVENTS, Definition, Event
from workflows.listening import listening

USER = "me"
JUST_AFTER = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Tried:
    """Who tries what: the journey, what starts it, and what is known of oneself."""

    definition: Definition[Any]
    trigger: Event
    traits: Mapping[str, Any]
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """What is to happen next: an event, or, if it is None, that time passes."""

    event: Event | None = None


Ask = Callable[[Waiting, list[str]], Awaitable[Choice]]
Told = Callable[[Mapping[str, Any]], None]


class BadTry(Exception):
    """What was asked for cannot be tried. Says why, and what to do."""


@dataclass
class Trial:
    """A run of the journey for one person, moved on step by step. `api` speaks to the house with the admin key."""

    api: httpx.AsyncClient
    runs: Runs
    tried: Tried
    shown: set[str] = field(default_factory=set)

    async def play(self, ask: Ask, told: Told) -> None:
        """Begin the run, and move it on to its end: `ask` says how at each wait, `told` is given each message as it is decided."""
        about = {"userId": USER, "traits": dict(self.tried.traits), "context": dict(self.tried.context)}
        now = datetime.now(UTC)
        (await self.api.post("/v1/identify", json=about, headers={CLOCK_HEADER: now.isoformat()})).raise_for_status()
        await self._track(self.tried.trigger, now)
        heard = sorted(listening(self.tried.definition).events)
        while waiting := await self._waits(told):
            choice = await ask(waiting, heard)
            if choice.event is not None:
                await self._track(choice.event, waiting.now)
            elif waiting.due is not None:
                await pass_until(self.runs, waiting.due + JUST_AFTER)
            self.runs.stir()

    async def _waits(self, told: Told) -> Waiting | None:
        """Return where the run stands, and tell of what has been decided meanwhile; None once it is over."""
        await self.runs.settled()
        waiting = await self.runs.waiting()
        found = (await self.api.get(f"/v1/users/{USER}/messages")).raise_for_status().json()["messages"]
        for message in sorted(found, key=lambda each: str(each["at"])):
            if message["key"] not in self.shown and message["status"] in ("sent", "suppressed", "failed", "exited"):
                self.shown.add(message["key"])
                told(message)
        return min(waiting, key=lambda each: each.due or datetime.max.replace(tzinfo=each.now.tzinfo)) if waiting else None

    async def _track(self, event: Event, at: datetime) -> None:
        """Let an event happen when it is that time for the run."""
        body = {"userId": USER, "event": event.name, "properties": event.model_dump(mode="json", by_alias=True)}
        (await self.api.post("/v1/track", json=body, headers={CLOCK_HEADER: at.isoformat()})).raise_for_status()
        self.runs.stir()


def event_of(definition: Definition[Any], name: str, stated: Mapping[str, Any], like: Event | None = None) -> Event:
    """Make an event with those properties, the rest plain, of the same key as `like`. Raises BadTry for one that cannot be."""
    kinds: dict[str, type[Event]] = {kind.name: kind for kind in (*definition.triggers, *_heard(definition))}
    if (kind := kinds.get(name)) is None:
        raise BadTry(f"{definition.name} does nothing about an event {name!r}; it hears of {', '.join(sorted(kinds))}")
    plain = next(iter(Samples(definition).events(kind, lambda event: True, like)), None)
    said = {**(plain.model_dump(by_alias=True) if plain else {}), **stated}
    if error := misfit(kind, said):
        raise BadTry(f"{name}: {error}")
    return kind.model_validate(said)


def _heard(definition: Definition[Any]) -> list[type[Event]]:
    return [EVENTS[name] for name in listening(definition).events if name in EVENTS]
