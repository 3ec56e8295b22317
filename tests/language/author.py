"""Journeys made up by chance, as source: every word of the language, in every order, nested a few times.

Nothing in them hangs on which of two things at one moment comes first. A message lives 47 minutes more than whole hours: one that
lives up to the very moment at which its gate opens would be too late in virtual time, and a millisecond early on the real server.
An experiment has the same weights wherever it is asked for: two runs may come to it together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

HEAD = '''"""Made up by chance, from seed {seed}."""

from datetime import UTC, datetime, time, timedelta

from workflows.clock import EVERY_DAY, WEEKDAYS, WEEKEND, Day
from workflows.definition import ALWAYS, ONCE, Event, after, journey
from workflows.journey import Journey
from workflows.message_events import MessageClicked, MessageDelivered, MessageOpened
from workflows.messages import Email, InApp, Push, Sms, Webhook
from workflows.segments import Segment, hasnt, performed, trait
from workflows.transitions import Entered, Left


class Came{seed}(Event):
    price: int = 0


class Tapped{seed}(Event):
    price: int = 0


class Called{seed}(Event):
    price: int = 0


class Booked{seed}(Event):
    booking: str = ""
    price: int = 0


class Moved{seed}(Event):
    booking: str = ""
    price: int = 0


class Gone{seed}(Event):
    """Ends what it is an exit of."""


fans = Segment("fans_{seed}", {fans})


class BecameFan{seed}(Entered, of=fans):
    pass


class NoFan{seed}(Left, of=fans):
    pass
'''
CHANNELS = ("Email", "Email", "Push", "Sms", "InApp", "InApp", "Webhook")
TEMPLATES = ("a", "b", "c")
TOPICS = ("news", "offers")
OWN = ("Came", "Tapped", "Called", "Booked", "Moved")
TOLD = ("MessageOpened", "MessageClicked", "MessageDelivered")


@dataclass(frozen=True)
class Known:
    """What the code may use where it stands: names of receipts and of events that may be None."""

    receipts: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    looped: bool = False


@dataclass
class Author:
    """Writes the file of one seed."""

    seed: int
    transitions: bool = False
    weights: str = ""
    lines: list[str] = field(default_factory=list)
    verbs: int = 0
    names: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(f"author {self.seed}")

    def written(self) -> str:
        """Write a file of one to three journeys, one of them maybe in two versions."""
        self.transitions = self.chance.random() < 0.3
        self.weights = self.chance.choice(("", ', weights={"x": 1, "y": 3}', ', weights={"x": 0, "y": 1}'))
        self.lines = HEAD.format(seed=self.seed, fans=self._condition()).splitlines()
        for number in range(self.chance.choice((1, 1, 2, 3))):
            name = f"made_up_{self.seed}_{number}"
            if self.chance.random() < 0.2:
                self._journey(f"{name}_v1", 1)
                self._journey(name, 2)
            else:
                self._journey(name, 1)
        return "\n".join([*self.lines, ""])

    def _condition(self) -> str:
        return self.chance.choice(
            (
                f"performed(Tapped{self.seed}, at_least=2, within=timedelta(hours={self._hours(72)}))",
                f'(trait("plan") == "pro") & hasnt(Called{self.seed}, within=timedelta(hours={self._hours(50)}))',
                f"performed(Came{self.seed}) & ~performed(Called{self.seed})",
                f'performed(Tapped{self.seed}, where={{"price": 7}}) | (trait("plan") == "pro")',
            )
        )

    # A journey

    def _journey(self, name: str, version: int) -> None:
        terms, trigger = self._terms(version)
        self.verbs = self.chance.randint(4, 11)
        self.names = 0
        self.lines += ["", "", f"@journey({', '.join(terms)})", f"async def {name}(j: Journey, trigger: {trigger}) -> None:"]
        self._body(4, Known(), 0)
        while self.verbs > 0:
            self._body(4, Known(), 0)

    def _terms(self, version: int) -> tuple[list[str], str]:
        keyed = self.chance.random() < 0.3
        trigger = f"Booked{self.seed}" if keyed else f"Came{self.seed}"
        if not keyed and self.chance.random() < 0.3:
            others = [f"Tapped{self.seed}", "MessageClicked", *([f"BecameFan{self.seed}"] if self.transitions else [])]
            trigger += f" | {self.chance.choice(others)}"
        terms = [f"again={self.chance.choice(('ALWAYS', 'ONCE', f'after(timedelta(hours={self._hours(90)}))'))}"]
        terms += ['key="booking"'] if keyed else []
        terms += [f'topic="{self.chance.choice(TOPICS)}"'] if self.chance.random() < 0.3 else []
        terms += [f"version={version}"] if version > 1 or self.chance.random() < 0.2 else []
        leaving = [f"Gone{self.seed}", *([f"NoFan{self.seed}"] if self.transitions else [])]
        exits = self.chance.choice(("", leaving[0], leaving[-1], f"({', '.join(leaving)}, MessageClicked)"))
        terms += [f"exits_on={exits}"] if exits else []
        terms += [f"goal=Called{self.seed}"] if self.chance.random() < 0.2 else []
        return terms, trigger

    # Statements

    def _body(self, indent: int, known: Known, depth: int) -> None:
        """Write a few statements: at least one that is a verb."""
        for _ in range(self.chance.randint(1, 3)):
            known = self._statement(indent, known, depth)
        if depth and not self.chance.randrange(8):
            self._line(indent, "return")
        elif known.looped and depth and not self.chance.randrange(5):
            self._line(indent, "break")

    def _statement(self, indent: int, known: Known, depth: int) -> Known:
        plain = [*[self._send] * 5, self._wait_for, self._wait_for, self._sleep, self._until, self._send_split]
        nested = [self._if, self._if, self._for, self._while, self._match_split, self._match_wait]
        chosen = self.chance.choice(plain + (nested if depth < 2 and self.verbs > 1 else []))
        self.verbs -= 1
        return chosen(indent, known, depth)

    def _send(self, indent: int, known: Known, depth: int) -> Known:
        key = f', key="own_{self._number()}"' if not self.chance.randrange(8) else ""
        send = f"await j.send({self._message()}{key})"
        if self.chance.random() < 0.5:
            self._line(indent, send)
            return known
        name = f"receipt_{self._number()}"
        self._line(indent, f"{name} = {send}")
        return Known((*known.receipts, name), known.events, known.looped)

    def _wait_for(self, indent: int, known: Known, depth: int) -> Known:
        name = f"event_{self._number()}"
        self._line(indent, f"{name} = {self._waiting(known)}")
        return Known(known.receipts, (*known.events, name), known.looped)

    def _waiting(self, known: Known) -> str:
        within = f"within=timedelta(hours={self._hours(60)})"
        if known.receipts and self.chance.random() < 0.4:
            events = self.chance.sample(TOLD, self.chance.randint(1, 2))
            return f"await j.wait_for({', '.join(events)}, of={self.chance.choice(known.receipts)}, {within})"
        own = [f"{name}{self.seed}" for name in self.chance.sample(OWN, self.chance.randint(1, 3))]
        where = ", where=lambda each: each.price > 4" if self.chance.random() < 0.3 else ""
        if not where and self.chance.random() < 0.3:
            own[-1] = self.chance.choice((*TOLD, *([f"BecameFan{self.seed}", f"NoFan{self.seed}"] if self.transitions else [])))
        return f"await j.wait_for({', '.join(own)}, {within}{where})"

    def _sleep(self, indent: int, known: Known, depth: int) -> Known:
        self._line(indent, f"await j.sleep(timedelta(hours={self._hours(40)}))")
        return known

    def _until(self, indent: int, known: Known, depth: int) -> Known:
        if not self.chance.randrange(5):
            self._line(indent, f"await j.until(datetime(2025, 1, {self.chance.randint(5, 16)}, 4, tzinfo=UTC))")
            return known
        days = self.chance.choice(("", "", ", on=WEEKDAYS", ", on=WEEKEND", ", on=(Day.TUESDAY, Day.FRIDAY)", ", on=EVERY_DAY"))
        spread = self.chance.choice(("", "", ", spread=timedelta(hours=1)", ", spread=timedelta(minutes=20)"))
        moment = f"time({self.chance.randrange(24)}{self.chance.choice(('', '', ', 30'))})"
        self._line(indent, f"await j.until({moment}{days}{spread})")
        return known

    def _send_split(self, indent: int, known: Known, depth: int) -> Known:
        variants = f'{{"x": {self._message()}, "y": {self._message()}}}'
        name = f"copy_{self._number()}"
        self._line(indent, f'{name} = await j.split("copy_{self.seed}", {variants}{self.weights})')
        self._line(indent, f"await j.send({name})")
        return known

    # Statements with others in them

    def _if(self, indent: int, known: Known, depth: int) -> Known:
        self._line(indent, f"if {self._condition_of(known)}:")
        self._body(indent + 4, known, depth + 1)
        if self.chance.random() < 0.4:
            self._line(indent, "else:")
            self._body(indent + 4, known, depth + 1)
        return known

    def _condition_of(self, known: Known) -> str:
        asked = [
            f"len(j.seen(Tapped{self.seed}, Called{self.seed})) > {self.chance.randint(0, 2)}",
            'j.traits.get("plan") == "pro"',
            'j.user.locale == "fr"',
            "j.now.hour < 14",
            "j.now.weekday() in (5, 6)",
            "await j.matches(fans)",
            f"await j.matches(fans) and len(j.seen(Moved{self.seed})) < 2",
            f"not {self._waiting(known)}",
            self._waiting(known),
        ]
        asked += [f'{each}.status {self.chance.choice(("==", "!="))} "sent"' for each in known.receipts]
        asked += [self.chance.choice((each, f"not {each}")) for each in known.events]
        return self.chance.choice(asked)

    def _for(self, indent: int, known: Known, depth: int) -> Known:
        self._line(indent, f"for _ in range({self.chance.randint(2, 3)}):")
        self._body(indent + 4, Known(known.receipts, known.events, looped=True), depth + 1)
        return known

    def _while(self, indent: int, known: Known, depth: int) -> Known:
        """A loop of waits sees each event once, so it comes to its end."""
        name = f"event_{self._number()}"
        self._line(indent, f"while {name} := {self._waiting(known)}:")
        self._body(indent + 4, Known(known.receipts, (*known.events, name), looped=True), depth + 1)
        return known

    def _match_split(self, indent: int, known: Known, depth: int) -> Known:
        self._line(indent, f'match await j.split("way_{self.seed}", {{"left": "left", "right": "right"}}):')
        for way in ("left", "right"):
            self._line(indent + 4, f'case "{way}":')
            self._body(indent + 8, known, depth + 1)
        return known

    def _match_wait(self, indent: int, known: Known, depth: int) -> Known:
        one, other = self.chance.sample(OWN, 2)
        within = f"within=timedelta(hours={self._hours(60)})"
        self._line(indent, f"match await j.wait_for({one}{self.seed}, {other}{self.seed}, {within}):")
        for pattern in (f"{one}{self.seed}()", f"{other}{self.seed}()", "None"):
            self._line(indent + 4, f"case {pattern}:")
            self._body(indent + 8, known, depth + 1)
        return known

    # Messages

    def _message(self, instead: bool = False) -> str:
        channel = self.chance.choice(CHANNELS[:-1] if instead else CHANNELS)
        terms = [f'"{self.chance.choice(TEMPLATES)}"', f'{{"text": {self._text()}}}']
        terms += ['endpoint="crm"'] if channel == "Webhook" else []
        terms += [f'topic="{self.chance.choice(TOPICS)}"'] if not self.chance.randrange(5) else []
        if not instead:
            terms += [f"expires=timedelta(hours={self.chance.choice((self._hours(50), 23))}, minutes=47)"]
            terms += ["transactional=True"] if not self.chance.randrange(7) else []
            terms += [f"capped={self._capped()}"] if not self.chance.randrange(3) else []
        return f"{channel}({', '.join(terms)})"

    def _capped(self) -> str:
        return self.chance.choice(('"skip"', '"wait"', self._message(instead=True)))

    def _text(self) -> str:
        return self.chance.choice(
            (
                '"hello"',
                'f"{j.now:%a %H}"',
                "f\"{j.traits.get('plan')} {j.user.locale}\"",
                f'f"seen {{len(j.seen(Came{self.seed}, Tapped{self.seed}, Booked{self.seed}, Moved{self.seed}, MessageOpened))}}"',
                '"".join(sorted({trigger.name}))',
            )
        )

    # Words

    def _line(self, indent: int, text: str) -> None:
        self.lines.append(" " * indent + text)

    def _number(self) -> int:
        self.names += 1
        return self.names

    def _hours(self, most: int) -> int:
        return self.chance.randint(1, most)
