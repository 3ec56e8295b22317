"""The demo's excerpt as virtual time plays it: whose lives it tells."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from workflows.definition import EVENTS
from workflows.happenings import Happening, Identify, Person
from workflows.run import User

EXCERPT = Path(__file__).parents[2] / "demo" / "excerpt.jsonl.gz"


@dataclass
class Life:
    """A person as their first call introduces them, and what happens to them, in order."""

    person: Person
    happenings: list[tuple[datetime, Happening]] = field(default_factory=list)


def calls() -> list[dict[str, Any]]:
    with gzip.open(EXCERPT, "rt") as lines:
        return [json.loads(line) for line in lines]


def lives() -> Mapping[str, Life]:
    """Read the excerpt into each person's life."""
    by_person: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls():
        by_person[call["userId"]].append(call)
    return {user: _life(user, theirs) for user, theirs in by_person.items()}


def _life(user: str, calls: list[dict[str, Any]]) -> Life:
    first = calls[0]
    assert first["type"] == "identify"
    reachable = {"in_app"}
    reachable |= {channel for channel, trait in (("email", "email"), ("sms", "phone")) if trait in first["traits"]}
    reachable |= {"push"} if "device" in first["context"] else set()
    life = Life(Person(User(user), frozenset(reachable)))
    for call in calls:
        at = datetime.fromisoformat(call["timestamp"])
        life.happenings += [(at, happening) for happening in _happenings(call)]
    return life


def _happenings(call: dict[str, Any]) -> Iterator[Happening]:
    """Yield what a call does: it tells of the person's zone, of their traits, or of an event."""
    zone = call["context"].get("timezone")
    if call["type"] == "identify":
        yield Identify(call["traits"], zone=zone, locale=call["traits"].get("locale"))
        return
    if zone is not None:
        yield Identify(zone=zone)
    yield EVENTS[call["event"]].model_validate(call["properties"])
