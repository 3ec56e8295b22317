"""From what was put aside of a person to the life that they would have had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

from pydantic import ValidationError

from activities.whereabouts import number_country, number_zones
from backtest.records import Record, moment
from events.profiles import Profile, nobody
from workflows.definition import EVENTS, Event
from workflows.happenings import Confirm, Happening, Identify, OptIn, OptOut, Person, Reach, Suppress
from workflows.life import Cast
from workflows.run import User
from workflows.simulate import live
from workflows.simulated import Simulation
from workflows.transitions import is_transition

Odd = Literal["unknown", "invalid", "doubled", "ours"]
EVERYWHERE: frozenset[str] = frozenset(("email", "sms", "push", "in_app"))


@dataclass(frozen=True)
class Setting:
    """What all lives have in common: the journeys and their policy, until when, and where everybody is taken to be reachable."""

    cast: Cast
    until: datetime
    reachable: frozenset[str]

    @cached_property
    def kinds(self) -> Mapping[str, type[Event]]:
        """The events that the journeys may have something to do with, by name."""
        names = EVENTS if self.cast.remembers else self.cast.parts.keys() & EVENTS.keys()
        return {name: EVENTS[name] for name in names if not is_transition(EVENTS[name])}


@dataclass
class Lived:
    """One person's life: the runs of it, and what of their calls meant nothing, by why."""

    person: str
    runs: Sequence[Simulation]
    odd: Counter[tuple[Odd, str]] = field(default_factory=Counter)
    broken: str = ""  # the error that a journey's own code raised, which ended the telling


def people(records: Iterable[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Group what was put aside by person, each in the order of time; what is of one moment in the order of the file."""
    in_order = sorted(records, key=itemgetter(0, 1, 2))
    for name, some in groupby(in_order, key=itemgetter(0)):
        yield name, list(some)


def lived(name: str, records: Sequence[Record], setting: Setting) -> Lived:
    """Live a person's life through the journeys, up to the end of the backtest."""
    reading = _Reading(name, setting, moment(records[0][1]))
    happenings = [each for record in records for each in reading.happenings(record)]
    found = Lived(name, [], reading.odd)
    before_end = [each for each in happenings if each[0] < setting.until]
    try:
        found.runs = live(setting.cast, before_end, reading.person, until=setting.until) if before_end else []
    except Exception as error:  # a journey's own code may raise anything, and others' lives go on
        found.broken = f"{type(error).__name__}: {error}"
    return found


@dataclass
class _Reading:
    """Reads one person's records as what happens to them."""

    name: str
    setting: Setting
    met: datetime
    odd: Counter[tuple[Odd, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.person = Person(User(self.name), self.setting.reachable | {"in_app"})
        self.profile: Profile = nobody(self.name, self.met)
        self.ids = set[str]()
        self.suppressed: dict[str, str] = {}
        self.notes: list[str] = []

    def happenings(self, record: Record) -> Iterator[tuple[datetime, Happening]]:
        _, micros, _, kind, event, data, context, message_id = record
        if message_id in self.ids:
            self.odd["doubled", kind] += 1
            return
        self.ids.add(message_id)
        at = moment(micros)
        traits = data if kind == "identify" else {"group_id": data.get("groupId")} if kind == "group" else {}
        if traits or context:
            for change in self._learn(traits, context, at):
                yield at, change
        if kind == "track" and (typed := self._typed(event, data)) is not None:
            yield at, typed
        elif kind == "consent":
            yield from ((at, word) for word in _words(data))
        elif kind == "suppression":
            self.suppressed[data["channel"]] = data["cause"]
            yield at, Suppress(data["channel"], data["cause"])

    def _learn(self, traits: dict[str, Any], context: dict[str, Any], at: datetime) -> Iterator[Happening]:
        """Let the person's profile take in what a call says, as it would live, and tell of what that changes."""
        addresses = self._addresses()
        changed = self.profile.learn(traits, context, at, self.notes)
        if self._addresses() != addresses:
            yield self._reach()
            yield from (Suppress(channel, cause) for channel, cause in self.suppressed.items())  # who has the address, whenever
        if changed:
            columns = {"zone": self.profile.columns["zone"], "locale": self.profile.columns["locale"]}
            known = {each: self.profile.traits[each] for each in changed if each in self.profile.traits}
            yield Identify(known, **columns)

    def _addresses(self) -> tuple[object, ...]:
        return self.profile.columns["email"], self.profile.columns["phone"], bool(self.profile.tokens)

    def _reach(self) -> Reach:
        email, phone, token = self._addresses()
        known = {channel for channel, has in (("email", email), ("sms", phone), ("push", token)) if has}
        number = str(phone) if phone else None
        return Reach(self.person.reachable | known, number_zones(number), number_country(number))

    def _typed(self, name: str, data: dict[str, Any]) -> Event | None:
        """Return the event that a journey may have something to do with; None, and why, for any other."""
        kind = self.setting.kinds.get(name)
        if kind is None:
            if (known := EVENTS.get(name)) is None or is_transition(known):
                self.odd["unknown" if known is None else "ours", name] += 1
            return None
        try:
            return kind.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            self.odd["invalid", f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"] += 1
            return None


def _words(data: dict[str, Any]) -> list[Happening]:
    """Return what a row of the consents says: one that does not wait holds, whether or not it was to be confirmed."""
    topic, channel = data["topic"], data["channel"]
    if not data["granted"]:
        return [OptOut(topic, channel)]
    asks = [] if data["confirms"] else [OptIn(topic, channel)]
    return [*asks] if data["pending"] else [*asks, Confirm(topic)]
