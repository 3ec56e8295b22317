"""What may happen to somebody, made up by chance: to go with journeys that are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Literal

from tests.language.author import TEMPLATES, TOPICS
from tests.language.both import Story
from workflows.clock import EVERY_DAY, WEEKDAYS
from workflows.definition import Event
from workflows.happenings import (
    AskForFewer,
    AskForPause,
    Bounced,
    Clicked,
    Delivered,
    Happening,
    Identify,
    Opened,
    Operate,
    OptIn,
    OptOut,
    Outcome,
    Release,
    Replied,
    Stop,
    Suppress,
)
from workflows.policy import Calendar, Cap, Holdout, Policy, QuietHours, Topic
from workflows.run import Order
from workflows.simulated import Simulation

ZONES = ("UTC", "Asia/Kolkata", "America/New_York", "Pacific/Auckland", "America/St_Johns", "Middle/Earth")
ACTIONS: tuple[Literal["pause", "resume", "skip", "exit"], ...] = (
    *("pause", "resume", "resume", "resume"),
    *("skip", "skip", "skip", "exit"),
)
DAYS = 14
# Waits are whole hours, and clocks read whole or half ones: what happens at these minutes of an hour meets no deadline but of what
# happened at the same.
MINUTES = (4, 7, 10, 13, 16, 19, 22, 25, 34, 37, 40, 50, 53, 56)
CLOSE = timedelta(minutes=2)


def policy(seed: int, *, capped: bool = True) -> Policy:
    """Make up what the team has laid down; without caps, if it is not to be `capped`."""
    chance = random.Random(f"policy {seed}")
    caps = [_cap(chance) for _ in range(chance.choice((0, 0, 1, 2)))]
    night = QuietHours(time(chance.randint(19, 23)), time(chance.randint(6, 10)), chance.choice((EVERY_DAY, WEEKDAYS)))
    quiet = chance.choice(({}, {"sms": night, "push": night}, {"email": night, "sms": night}))
    return Policy(
        topics=(Topic("offers", opt_in=chance.random() < 0.3), Topic("news")),
        caps=tuple(caps) if capped else (),
        quiet_hours=quiet,
        spread=chance.choice((timedelta(0), timedelta(0), timedelta(minutes=40))),
        holdout=Holdout(0.5, f"h{seed}") if chance.random() < 0.15 else None,
    )


def _cap(chance: random.Random) -> Cap:
    window = chance.choice((timedelta(hours=chance.randint(5, 60)), Calendar.DAY, Calendar.WEEK))
    return Cap(chance.randint(1, 3), window, chance.choice((None, "email", "in_app")), chance.choice((None, None, "news")))


@dataclass
class Fate:
    """Makes up two weeks of a life, from a seed."""

    seed: int
    events: Sequence[type[Event]]
    steps: Sequence[str]
    journeys: Sequence[str]
    reachable: Sequence[str]
    thrown: list[Stop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"fate {self.seed}")

    def life(self, count: int = 18) -> Story:
        """No two things in it come within two minutes, and the first two may start something."""
        hours = sorted(self.chance.sample(range(1, DAYS * 24), count))
        moments = [timedelta(hours=hour, minutes=self.chance.choice(MINUTES)) for hour in hours]
        begins = [(timedelta(0), self._of("Came")), (timedelta(minutes=28), self._of("Booked"))]
        return [*begins, *((moment, self._happening()) for moment in moments)]

    def _happening(self) -> Happening:
        if self.chance.random() < 0.4:
            return self._of(self.chance.choice(("", "", "Came", "Tapped")))
        switch = self._release if self.thrown else self._stop
        kinds: list[Callable[[], Happening]] = [self._order, self._said, self._told, self._told, switch, switch]
        return self.chance.choice(kinds)()

    def _of(self, name: str) -> Event:
        kind = self.chance.choice([each for each in self.events if each.__name__.startswith(name)])
        given: dict[str, Any] = {"price": self.chance.randrange(10), "booking": self.chance.choice("xy")}
        return kind(**{name: value for name, value in given.items() if name in kind.model_fields})

    def _said(self) -> Happening:
        """What the person says, or is known by."""
        chance, topics = self.chance, (*TOPICS, *self.journeys, "*")
        kinds: list[Callable[[], Happening]] = [
            lambda: Identify({"plan": chance.choice(("free", "pro"))}),
            lambda: Identify(zone=chance.choice(ZONES)),
            lambda: Identify(locale=chance.choice(("en", "fr"))),
            lambda: OptOut(chance.choice(topics), chance.choice((None, "email", "sms", "in_app"))),
            lambda: OptIn(chance.choice(topics[:-1]), chance.choice((None, "email", "push"))),
            lambda: Suppress(chance.choice(self.reachable), "manual"),
            lambda: AskForPause(timedelta(hours=chance.randint(2, 90))),
            AskForFewer,
        ]
        return chance.choice(kinds)()

    def _told(self) -> Happening:
        """What a provider tells of a message."""
        kind = self.chance.choice((Opened, Opened, Clicked, Delivered, Bounced, Replied))
        template = self.chance.choice(TEMPLATES)
        return Bounced(template, hard=False) if kind is Bounced else kind(template)

    def _order(self) -> Happening:
        action = self.chance.choice(ACTIONS)
        return Operate(action, Order("ada", "why not", self.chance.choice(self.steps) if action == "skip" else ""))

    def _stop(self) -> Happening:
        stop = self.chance.choice((Stop(), Stop(), Stop("channel", "email"), Stop("journey", self.journeys[0])))
        self.thrown.append(stop)
        return stop

    def _release(self) -> Happening:
        stop = self.chance.choice(self.thrown)
        self.thrown = [each for each in self.thrown if each != stop]
        choices: tuple[Literal["send", "retime", "skip"], ...] = ("send", "retime", "skip")
        return Release(self.chance.choice(choices), stop, timedelta(hours=3))


def without_close_calls(story: Story, lived: Callable[[Story], list[Simulation]], start: datetime) -> Story:
    """Leave out what would be left to chance: which comes first is, of what is less than two minutes apart.

    That is what happens so close to a moment at which a run acts of its own accord; and, where two runs act at one moment, what
    makes a difference between them: what is told of the last message, and the wish for fewer.
    """
    while True:
        runs = lived(story)
        acts = [[moment - start for moment in _moments(run)] for run in runs]
        close = next((one for one in story if any(_is_close(one[0], each) for each in acts)), None)
        if close is None:
            break
        story = _released([one for one in story if one is not close])
    equal = [one for one in story if not isinstance(one[1], Outcome | AskForFewer)] if tied(runs) else story
    return story if len(equal) == len(story) else without_close_calls(equal, lived, start)


def _released(story: Story) -> Story:
    """Leave out releases of what is not stopped any more: an operator is told so."""
    kept, stopped = list[tuple[timedelta, Happening]](), list[Stop]()
    for at, happening in story:
        match happening:
            case Stop():
                stopped.append(happening)
            case Release(stop=stop):
                if stop not in stopped:
                    continue
                stopped = [each for each in stopped if each != stop]
        kept.append((at, happening))
    return kept


def tied(runs: Sequence[Simulation]) -> bool:
    """Say whether two runs decide on a message at one moment."""
    said = [(each.at, number) for number, run in enumerate(runs) for each in run.decided]
    return any(one != other and abs(at - when) <= CLOSE for at, one in said for when, other in said)


def _moments(run: Simulation) -> list[datetime]:
    return [each.at for each in run.decided] + [moment for step in run.steps for moment in (step.at, step.deadline) if moment]


def _is_close(at: timedelta, acts: Sequence[timedelta]) -> bool:
    return any(timedelta(0) < abs(at - act) <= CLOSE for act in acts)
