"""What came of many lives? Counts only, so that any number of them take the same room, and can be added up in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backtest.lives import Lived
from workflows.run import Step
from workflows.simulated import Decided, Simulation

DAY = timedelta(days=1)
TOLD_APART = 3  # rounds of a loop
SHOWN = 5  # people who are named for each fault
IN_RUN, LATER = "in the run", "after it"


@dataclass
class Tally:
    """Counts by name. Keys of more than one word are tuples; days and weeks are ISO 8601 dates, in UTC.

    `entries`: runs by the day they began. `sent`: messages by day and channel. `messages`: by channel, template and what became
    of them. `withheld`: by reason and channel. `put_off`: times a message waited, by reason and channel. `ends`: runs by status
    and reason. `goal`: runs that reached it, by days since they began and whether within the run. `reached`: runs by step that
    they came to; `outcomes`: times a step ended so; `places`: for each step the sum of its places in the runs that came to it;
    `follows`: runs by step and the one that they came to right after it, when both were new to them.
    `weeks`: weeks of a person, by how many messages they got in it. `odd`: calls that meant nothing, by why. `broken`: lives that
    a journey's own code broke, by its error.
    """

    people: int = 0  # with any call
    entered: int = 0  # people with any run
    written_to: int = 0  # people with any message
    entries: Counter[str] = field(default_factory=Counter)
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    messages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    withheld: Counter[tuple[str, str]] = field(default_factory=Counter)
    put_off: Counter[tuple[str, str]] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    goal: Counter[tuple[int, str]] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    follows: Counter[tuple[str, str]] = field(default_factory=Counter)
    weeks: Counter[int] = field(default_factory=Counter)
    odd: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)  # people, by the error that broke their lives

    def add(self, life: Lived, journey: str) -> None:
        """Count a life, and of its runs those of that journey."""
        self.people += 1
        runs = [run for run in life.runs if run.definition.name == journey]
        self.entered += bool(runs)
        self.odd.update(life.odd)
        if life.broken:
            self.broken[life.broken] += 1
            self._show(life.broken, [life.person])
        weeks: Counter[datetime] = Counter()
        for run in runs:
            self._run(run)
            weeks.update(_monday(each.at) for each in run.decided if each.receipt.status == "sent")
        self.weeks.update(weeks.values())
        self.written_to += bool(weeks)

    def merge(self, other: Tally) -> None:
        """Add what another one has counted."""
        self.people += other.people
        self.entered += other.entered
        self.written_to += other.written_to
        for name, counted in self.counters().items():
            counted.update(other.counters()[name])
        for error, some in other.examples.items():
            self._show(error, some)

    def counters(self) -> Mapping[str, Counter[Any]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Counter)}

    def _run(self, run: Simulation) -> None:
        self.entries[_day(run.started)] += 1
        self.ends[run.status, run.reason] += 1
        for each in run.decided:
            self._decided(each)
        for each in run.put_off:
            self.put_off[each.receipt.reason, each.message.channel] += 1
        if run.reached is not None:
            within = run.ended is None or run.reached <= run.ended
            self.goal[(run.reached - run.started) // DAY, IN_RUN if within else LATER] += 1
        self._steps(run.steps)

    def _decided(self, each: Decided) -> None:
        channel, status = each.message.channel, each.receipt.status
        self.messages[channel, each.message.template, status] += 1
        if status == "sent":
            self.sent[_day(each.at), channel] += 1
        else:
            self.withheld[each.receipt.reason, channel] += 1

    def _steps(self, steps: Iterable[Step]) -> None:
        met, before = set[str](), ""
        for place, step in enumerate(steps):
            key = folded(step.key)
            self.outcomes[key, outcome_of(step)] += 1
            if key not in met:
                met.add(key)
                self.reached[key] += 1
                self.places[key] += place
                self.follows[before, key] += 1
                before = key

    def _show(self, error: str, some: Iterable[str]) -> None:
        self.examples[error] = sorted({*self.examples.get(error, []), *some})[:SHOWN]  # the same, whichever part was done first

    def in_order(self) -> list[str]:
        """Return the steps, each after those that runs came to before it; where that leaves a choice, or none, by place."""
        left = sorted(self.reached, key=lambda step: (self.places[step] / self.reached[step], step))
        ordered: list[str] = []
        while left:
            begins = (step for step in left if not any((other, step) in self.follows for other in left if other != step))
            ordered.append(next(begins, left[0]))
            left.remove(ordered[-1])
        return ordered

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON: each counter as a list of rows, the count last, in a fixed order."""
        plain = {"people": self.people, "entered": self.entered, "written_to": self.written_to, "examples": self.examples}
        return plain | {name: _rows(counted) for name, counted in self.counters().items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Tally:
        """Undo `to_json`."""
        tally = cls(told["people"], told["entered"], told["written_to"], examples=dict(told["examples"]))
        for name, counted in tally.counters().items():
            counted.update({key[0] if len(key) == 1 else tuple(key): count for *key, count in told[name]})
        return tally


def folded(key: str) -> str:
    """Return a step's key, those of a loop's later rounds as one."""
    base, _, count = key.partition("#")
    return f"{base}#{TOLD_APART + 1} and on" if count.isdecimal() and int(count) > TOLD_APART else key


def outcome_of(step: Step) -> str:
    """Say how a step ended: a send by its receipt, a wait by whether something came, a split by its variant."""
    verb = step.key.partition(":")[0]
    match step.outcome:
        case {"status": status, "reason": reason}:
            return f"{status}: {reason}" if reason else str(status)
        case bool(belongs):
            return "yes" if belongs else "no"
        case str(variant):
            return variant
        case int():
            return "happened"
    return "not in time" if verb == "wait" else ""


def _rows(counted: Mapping[Any, int]) -> list[list[Any]]:
    return sorted([*(key if isinstance(key, tuple) else (key,)), count] for key, count in counted.items())


def _day(at: datetime) -> str:
    return at.date().isoformat()


def _monday(at: datetime) -> datetime:
    return (at - at.weekday() * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
