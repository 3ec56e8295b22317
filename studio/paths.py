"""Every path through a journey: its function is run again and again, with each answer that each of its verbs may have."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from itertools import groupby, islice
from typing import Any, cast
from zoneinfo import ZoneInfo

from studio.samples import ANY, TRIGGERS, Samples
from workflows.clock import EVERY_DAY, Day
from workflows.definition import Definition, Event
from workflows.journey import Journey
from workflows.messages import Message
from workflows.run import Receipt, User
from workflows.segments import Segment
from workflows.terms import bounded, moment_of, weighted

START = datetime(2025, 1, 6, 12, tzinfo=UTC)
ROUNDS = 12  # of a loop, beyond which it is taken to go on so
MOST = 5_000  # runs of the function
WEEK = 7
ZERO = timedelta(0)
NOBODY = "somebody"


@dataclass(frozen=True)
class Answer:
    """What a verb was asked, and answered, and how often in a row: at least and at most."""

    step: str
    answer: str
    least: int = 1
    most: int = 1


@dataclass(frozen=True)
class Path:
    """One way through: the answers, the messages, the longest it may take, and how it ends. `waiting` is what sends may add to it.

    Ways that differ by nothing but how often they go through a loop are one. `fails` is the line of the journey at which its own
    code raises, if it does; `made_up`, that a trait was given a value that the code names nowhere.
    """

    answers: tuple[Answer, ...]
    messages: tuple[str, ...]
    longest: timedelta
    waiting: timedelta
    end: str
    fails: int | None = None
    made_up: bool = False


@dataclass
class Explored:
    """All paths through a journey, found in so many `runs`; not the `whole` of them where there are too many for those."""

    journey: str
    exits: tuple[str, ...]
    paths: list[Path] = field(default_factory=list)
    loops: bool = False
    whole: bool = True
    runs: int = 0
    notes: list[str] = field(default_factory=list)
    unfit: frozenset[str] = frozenset()  # fields for which no value was found that fits


class _Script:
    """The answers to give, and after them always the first; and how many there were to choose from, each time."""

    def __init__(self, given: tuple[int, ...]) -> None:
        self.given, self.taken, self.counts = given, list[int](), list[int]()

    def choose(self, count: int) -> int:
        place = len(self.taken)
        chosen = self.given[place] if place < len(self.given) else 0
        self.taken.append(chosen)
        self.counts.append(count)
        return chosen

    def departures(self) -> Iterator[tuple[int, ...]]:
        """Yield the answers that depart from these ones once more, later than where these do: each path is one's departure."""
        for place in range(len(self.given), len(self.taken)):
            yield from ((*self.taken[:place], other) for other in range(1, self.counts[place]))


class _OnAndOn(BaseException):
    """The path has gone through a loop often enough."""


def explored(definition: Definition[Any], most: int = MOST) -> Explored:
    """Run a journey with each possible answer. What it sends is taken to go out, unless its code asks whether it did.

    Where there are too many paths for so many runs, those come first that have the fewest answers other than the usual.
    """
    found, samples = Explored(definition.name, tuple(sorted(definition.exit_names))), Samples(definition)
    walked, following = dict[tuple[int, ...], Path](), deque[tuple[int, ...]]([()])
    for _ in range(most):
        if not following:
            break
        found.runs += 1
        script = _Script(following.popleft())
        if (path := _walk(definition, samples, script, found)) is not None:
            walked[tuple(script.taken)] = path
        following.extend(islice(script.departures(), most - len(following)))
    found.whole, found.unfit = not following, frozenset(samples.unfit)
    found.paths = _folded([walked[taken] for taken in sorted(walked)])
    if samples.compares("now"):
        found.notes.append(f"the code asks what time it is: these are the ways of whoever begins on a {START:%A} at {START:%H:%M}")
    found.notes += [
        f"no value was found that fits {each}: a way that only another opens is not here" for each in sorted(found.unfit)
    ]
    return found


def _walk(definition: Definition[Any], samples: Samples, script: _Script, found: Explored) -> Path | None:
    triggers = [event for kind in definition.triggers for event in samples.events(kind, lambda event: True, most=TRIGGERS)]
    trigger = triggers[script.choose(len(triggers))]
    journey = _Walked(definition, trigger, samples, script, found)
    if len(definition.triggers) > 1 or samples.told(trigger):
        journey.answers.append(Answer("starts on", trigger.name + samples.told(trigger)))
    end, fails = "end", None
    try:
        _run(cast("Coroutine[None, None, None]", definition.function(journey, trigger)))
    except _OnAndOn:
        found.loops = True
        return None
    except Exception as error:  # a journey's own code may raise anything, and that is worth knowing
        end, fails = f"{type(error).__name__}: {error}".rstrip(": "), _line(error, definition)
    sent = tuple(journey.sent.values())
    return Path(tuple(journey.answers), sent, journey.elapsed, journey.waiting, end, fails, journey.traits_made_up)


def _line(error: Exception, definition: Definition[Any]) -> int:
    """Return the line of the journey at which it came to an error, which may have arisen further in."""
    code = definition.function.__code__
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code is code]
    return lines[-1] if lines else code.co_firstlineno


def _run(coroutine: Coroutine[None, None, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("a journey waits for its verbs alone, and each has its answer at once")


class _Walked(Journey):
    """A journey whose verbs answer by the script, at once. What is waited for comes at the last moment."""

    def __init__(self, definition: Definition[Any], trigger: Event, samples: Samples, script: _Script, found: Explored) -> None:
        self._definition, self._trigger, self._samples, self._script, self._found = definition, trigger, samples, script, found
        self.answers: list[Answer] = []
        self.sent: dict[int, str] = {}  # by the number of the send
        self.sends = 0
        self.elapsed, self.waiting = ZERO, ZERO
        self._come: list[Event] = [trigger]
        self._asked = set[tuple[type[Any], ...]]()
        self._passed: list[frozenset[type[Any]]] = []  # for each time that has passed, of which events none went unheard in it
        self._calls: dict[str, int] = {}
        self._traits = _Traits(samples, script, self.answers)
        self._user: User | None = None

    @property
    def user(self) -> User:
        if self._user is None:
            self._user = User(NOBODY, self._either("zone", "UTC"), self._either("locale", "en"), self._traits)
        return self._user

    def _either(self, name: str, usual: str) -> str:
        """Choose the person's zone, or locale, once; between more than one only where the code compares it with another."""
        possible = self._samples.of_user(name, usual)
        chosen = possible[self._script.choose(len(possible))]
        if len(possible) > 1:
            self.answers.append(Answer(f"{name} of the person", chosen))
        return chosen

    @property
    def traits(self) -> Mapping[str, Any]:
        return self._traits

    @property
    def traits_made_up(self) -> bool:
        return self._traits.made_up

    @property
    def now(self) -> datetime:
        return START + self.elapsed

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo("UTC")

    def seen(self, *events: type[Any]) -> list[Any]:
        if events not in self._asked and any(not heard.issuperset(events) for heard in self._passed):
            self._asked.add(events)
            self._more(events)
        return [event for event in self._come if isinstance(event, events)]

    def _more(self, events: tuple[type[Any], ...]) -> None:
        """Let one more of them have come than any wait was for, or none: the code asks what it has seen."""
        more = [event for kind in events for event in self._samples.events(kind, lambda event: True, self._trigger)][:1]
        if more:
            has = self._script.choose(2) == 1
            self._come += more if has else []
            self.answers.append(Answer(f"another {' or '.join(event.name for event in events)} meanwhile", "yes" if has else "no"))

    async def send(self, message: Message, *, key: str | None = None) -> Receipt:
        self._step(key or f"send:{message.channel}/{message.template}")
        self.waiting += message.expires
        instead = message.capped
        if isinstance(instead, Message) and self._script.choose(2):
            self.answers.append(Answer(_named(message), "capped"))
            message = instead
        self.sends += 1
        self.sent[self.sends] = _named(message)
        return _Receipt(self, self.sends)

    async def wait_for(
        self,
        *events: type[Any],
        within: timedelta,
        of: Receipt | None = None,
        where: Callable[[Any], bool] | None = None,
        key: str | None = None,
    ) -> Any:
        names = " or ".join(event.name for event in events)
        self._step(key or f"wait:{names}")
        if of is not None and of.status != "sent":
            return None
        known = {kind: self._samples.events(kind, where or (lambda event: True), self._trigger) for kind in events}
        for kind in (kind for kind, some in known.items() if not some):
            self._note(f"no {kind.name} was found that its `where` takes: what follows one is not here")
        options: list[Event | None] = [event for some in known.values() for event in some]
        chosen = [*options, None][self._script.choose(len(options) + 1)]
        self._pass(bounded(within), frozenset(events if where is None and of is None else ()))
        came = "not in time" if chosen is None else chosen.name if len(events) > 1 else "happened"
        self.answers.append(Answer(names, came + (self._samples.told(chosen) if chosen is not None else "")))
        if chosen is not None:
            self._come.append(chosen)
        return chosen

    async def sleep(self, duration: timedelta, *, key: str | None = None) -> None:
        self._step(key or "sleep")
        self._pass(bounded(duration))

    async def until(
        self, moment: time | datetime, *, on: Collection[Day] = EVERY_DAY, spread: timedelta = ZERO, key: str | None = None
    ) -> None:
        self._step(key or "until")
        moment_of(moment, self.now, self.zone, on, spread)  # which refuses what is no moment
        self._pass((moment - self.now if isinstance(moment, datetime) else _longest(on)) + spread)

    async def split(
        self, experiment: str, variants: Mapping[str, Any], weights: Mapping[str, int] | None = None, *, key: str | None = None
    ) -> Any:
        self._step(key or f"split:{experiment}")
        possible = [name for name, weight in weighted(experiment, variants, weights).items() if weight]
        chosen = possible[self._script.choose(len(possible))]
        self.answers.append(Answer(experiment, chosen))
        return variants[chosen]

    async def matches(self, segment: Segment, *, key: str | None = None) -> bool:
        self._step(key or f"matches:{segment.name}")
        belongs = self._script.choose(2) == 0
        self.answers.append(Answer(f"in {segment.name}", "yes" if belongs else "no"))
        return belongs

    def asked(self, send: int) -> bool:
        """Say whether a message went out, which the code wants to know: it may have or not."""
        sent = self._script.choose(2) == 0
        self.answers.append(Answer(self.sent[send], "sent" if sent else "not sent"))
        if not sent:
            del self.sent[send]
        return sent

    def _step(self, key: str) -> None:
        calls = self._calls[key] = self._calls.get(key, 0) + 1
        if calls > ROUNDS:
            raise _OnAndOn

    def _pass(self, duration: timedelta, heard: frozenset[type[Any]] = frozenset()) -> None:
        if duration > ZERO:
            self.elapsed += duration
            self._passed.append(heard)

    def _note(self, words: str) -> None:
        if words not in self._found.notes:
            self._found.notes.append(words)


class _Receipt(Receipt):
    """A receipt that notices when it is read: only then is there more than one way on."""

    def __init__(self, walked: _Walked, send: int) -> None:
        super().__init__("sent", message=str(send))
        object.__setattr__(self, "_asks", lambda: walked.asked(send))

    def __getattribute__(self, name: str) -> Any:
        if name in ("status", "reason") and (asks := object.__getattribute__(self, "_asks")) is not None:
            object.__setattr__(self, "_asks", None)
            if not asks():
                object.__setattr__(self, "status", "suppressed")
                object.__setattr__(self, "reason", "no_consent")
        return object.__getattribute__(self, name)


class _Traits(Mapping[str, Any]):
    """Traits that are chosen when they are read, and stay as they are."""

    def __init__(self, samples: Samples, script: _Script, answers: list[Answer]) -> None:
        self._samples, self._script, self._answers, self._known = samples, script, answers, dict[str, Any]()
        self.made_up = False

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            possible = self._samples.traits(name)
            value = self._known[name] = possible[self._script.choose(len(possible))]
            self.made_up |= value == ANY
            self._answers.append(Answer(f"trait {name}", "none" if value is None else repr(value)))
        if self._known[name] is None:
            raise KeyError(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _named(message: Message) -> str:
    return f"{message.channel} {message.template}"


def _longest(on: Collection[Day]) -> timedelta:
    """Return the longest time from one moment to the next such time of day on one of those days."""
    days = sorted(on)
    gaps = ((after - day - 1) % WEEK + 1 for day, after in zip(days, days[1:] + days[:1], strict=True))
    return timedelta(days=max(gaps, default=0))


def _folded(paths: Sequence[Path]) -> list[Path]:
    """Make one of the paths that differ only by how often they go through a loop, or by an answer that changes nothing."""
    folded: dict[object, list[Path]] = {}
    for path in (replace(each, answers=_in_a_row(each.answers)) for each in paths):
        folded.setdefault((_told(path), tuple((each.step, each.answer) for each in path.answers)), []).append(path)
    merged = [_one(same) for same in folded.values()]
    for place in range(max((len(path.answers) for path in merged), default=0) - 1, -1, -1):
        alike: dict[object, list[Path]] = {}
        for path in merged:
            alike.setdefault((_told(path), _but_for(path, place)), []).append(path)
        merged = [_one(same) for same in alike.values()]
    return merged


def _told(path: Path) -> object:
    """Return what a path comes to: its messages, those of a loop's rounds as one, and its end."""
    return tuple(name for name, _ in groupby(path.messages)), path.end


def _but_for(path: Path, place: int) -> object:
    """Return a path's answers without the one at that place."""
    return tuple((each.step, "" if at == place else each.answer) for at, each in enumerate(path.answers))


def _one(same: Sequence[Path]) -> Path:
    """Make one of paths that have the same steps."""
    answers = (_either(each) for each in zip(*(path.answers for path in same), strict=True))
    longest, wordy = max(same, key=lambda each: each.longest), max(same, key=lambda each: len(each.messages))
    waiting = max(each.waiting for each in same)
    made_up = all(each.made_up for each in same)
    return replace(longest, answers=tuple(answers), messages=wordy.messages, waiting=waiting, made_up=made_up)


def _either(answers: Sequence[Answer]) -> Answer:
    said = dict.fromkeys(part for each in answers for part in each.answer.split(" or "))
    least, most = min(each.least for each in answers), max(each.most for each in answers)
    return Answer(answers[0].step, " or ".join(said), least, most)


def _in_a_row(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    rows = ((same, len(list(each))) for same, each in groupby(answers))
    return tuple(replace(same, least=count, most=count) for same, count in rows)
