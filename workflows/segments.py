"""Who belongs to a segment? Expressions over what a person did, their traits and their state; pure: facts and a moment in."""

from __future__ import annotations

import hashlib
import operator
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NoReturn

from workflows.definition import EVENTS, Event
from workflows.lifecycle import LONGEST, STATES, in_force
from workflows.message_events import MessageEvent
from workflows.traits import ADDRESSES, comparable, is_private, typed
from workflows.transitions import is_transition

SEGMENTS: dict[str, Segment] = {}
LIFECYCLE = "lifecycle"  # what a person's state is kept under, beside the segments

Happened = tuple[datetime, Mapping[str, Any] | None]  # when, and with which fields: None if nobody can read them any more


@dataclass(frozen=True)
class Facts:
    """What is known of a person. An event's moment is when it happened, or was accepted if its client says later.

    `events` has, by wire name, what they did, by moment; `since` is when they were met, or did something if that was
    earlier.
    """

    since: datetime
    events: Mapping[str, Sequence[Happened]] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Expression:
    """Something that is so or not of a person at a moment. Combine with `&`, `|` and `~`."""

    def holds(self, facts: Facts, now: datetime) -> bool:
        raise NotImplementedError

    def turns(self, facts: Facts, now: datetime) -> datetime | None:
        """Return the earliest moment after `now` at which time alone may change the answer; None if it never does."""
        return None

    @property
    def parts(self) -> Sequence[Expression]:
        return ()

    def __and__(self, other: Expression) -> Expression:
        return All((self, _expression(other)))

    def __or__(self, other: Expression) -> Expression:
        return Any_((self, _expression(other)))

    def __invert__(self) -> Expression:
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self} has no truth before there is a person: combine with &, | and ~, not with `and`, `or` and `not`")


@dataclass(frozen=True, eq=False)
class Performed(Expression):
    """They did it at least so often, in the time from just after `within` ago up to now."""

    event: str
    at_least: int = 1
    within: timedelta | None = None
    where: tuple[tuple[str, Any], ...] = ()

    def holds(self, facts: Facts, now: datetime) -> bool:
        return len(self._counted(facts, now)) >= self.at_least

    def turns(self, facts: Facts, now: datetime) -> datetime | None:
        ahead = [at for at in self._moments(facts) if at > now]
        counted = self._counted(facts, now)
        if self.within is not None and len(counted) >= self.at_least:
            ahead.append(counted[-self.at_least] + self.within)  # when that one is out, there are too few
        return min(ahead, default=None)

    def _counted(self, facts: Facts, now: datetime) -> list[datetime]:
        return [at for at in self._moments(facts) if at <= now and (self.within is None or at > now - self.within)]

    def _moments(self, facts: Facts) -> list[datetime]:
        return [at for at, data in facts.events.get(self.event, ()) if not self.where or self._fits(data)]

    def _fits(self, data: Mapping[str, Any] | None) -> bool:
        """Compare the typed fields, so that a value reads the same however it was spelled on the wire."""
        if data is None:
            return False
        try:
            typed = EVENTS[self.event].model_validate(data)
            return all(_same(getattr(typed, name), value) for name, value in self.where)
        except Exception:  # a team's own validator or type may raise anything: what cannot be read has no such fields
            return False


@dataclass(frozen=True, eq=False)
class Compared(Expression):
    """A trait compares so with a value. One that is not set, or of another type, equals nothing and is in no order."""

    trait: str
    by: str
    value: Any = None

    def holds(self, facts: Facts, now: datetime) -> bool:
        has = typed(self.trait, facts.traits.get(self.trait))
        match self.by:
            case "==":
                return _same(has, self.value)
            case "!=":
                return not _same(has, self.value)
            case "is_in":
                return any(_same(has, value) for value in self.value)
            case "is_set":
                return has is not None
        try:
            return has is not None and bool(ORDERS[self.by](has, self.value))
        except TypeError:
            return False

    def unfit(self) -> str:
        """Say why no trait is to be asked so, or ''."""
        if is_private(self.trait):
            return f"asks for the private trait {self.trait!r}, and who is in it would tell; declare it without Private[...]"
        values = self.value if self.by == "is_in" else () if self.by == "is_set" else (self.value,)
        strange = next((value for value in values if not comparable(self.trait, value)), None)
        if strange is None:
            return ""
        return f"compares trait {self.trait!r} with {strange!r}, which it never is; compare it with a value of the type it has"


@dataclass(frozen=True, eq=False)
class InState(Expression):
    """Their lifecycle state is one of these."""

    states: tuple[str, ...]

    def holds(self, facts: Facts, now: datetime) -> bool:
        return state_of(facts, now) in self.states

    def turns(self, facts: Facts, now: datetime) -> datetime | None:
        return state_turns(facts, now)


@dataclass(frozen=True, eq=False)
class Compound(Expression):
    of: tuple[Expression, ...]

    @property
    def parts(self) -> Sequence[Expression]:
        return self.of

    def turns(self, facts: Facts, now: datetime) -> datetime | None:
        return min((turn for part in self.of if (turn := part.turns(facts, now)) is not None), default=None)


class All(Compound):
    def holds(self, facts: Facts, now: datetime) -> bool:
        return all(part.holds(facts, now) for part in self.of)


class Any_(Compound):
    def holds(self, facts: Facts, now: datetime) -> bool:
        return any(part.holds(facts, now) for part in self.of)


@dataclass(frozen=True, eq=False)
class Not(Expression):
    of: Expression

    @property
    def parts(self) -> Sequence[Expression]:
        return (self.of,)

    def holds(self, facts: Facts, now: datetime) -> bool:
        return not self.of.holds(facts, now)

    def turns(self, facts: Facts, now: datetime) -> datetime | None:
        return self.of.turns(facts, now)


class Trait:
    """A trait by its name, to be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: object) -> Expression:  # type: ignore[override]
        return Compared(self.name, "==", value)

    def __ne__(self, value: object) -> Expression:  # type: ignore[override]
        return Compared(self.name, "!=", value)

    def __lt__(self, value: object) -> Expression:
        return Compared(self.name, "<", value)

    def __le__(self, value: object) -> Expression:
        return Compared(self.name, "<=", value)

    def __gt__(self, value: object) -> Expression:
        return Compared(self.name, ">", value)

    def __ge__(self, value: object) -> Expression:
        return Compared(self.name, ">=", value)

    def is_in(self, values: Collection[Any]) -> Expression:
        return Compared(self.name, "is_in", tuple(sorted(values, key=lambda each: (type(each).__name__, repr(each)))))

    def is_set(self) -> Expression:
        return Compared(self.name, "is_set")

    def __bool__(self) -> NoReturn:
        raise TypeError(f"trait({self.name!r}) is no condition: compare it, or ask .is_set(), and combine with &, | and ~")


def performed(
    event: type[Event], at_least: int = 1, within: timedelta | None = None, where: Mapping[str, Any] | None = None
) -> Expression:
    """Hold for people who did it at least so often: ever, or in (now - within, now]; `where` names fields and their values."""
    if issubclass(event, MessageEvent):
        raise TypeError(f"performed({event.__name__}): it happens to a message, and is nothing that a person does in the product")
    if is_transition(event):
        raise TypeError(f"performed({event.__name__}): no segment is made of its like's transitions; name the segment's conditions")
    if at_least < 1:
        raise TypeError(f"performed({event.__name__}, at_least={at_least}): at least 1; for none at all there is hasnt()")
    if within is not None and not isinstance(within, timedelta):
        raise TypeError(f"performed({event.__name__}, within={within!r}): a duration is a timedelta")
    if within is not None and within <= timedelta(0):
        raise TypeError(f"performed({event.__name__}, within={within!r}): a window is longer than nothing")
    if within is not None and within > LONGEST:
        raise TypeError(f"performed({event.__name__}, within={within!r}): a window is at most 100 years; without within it is ever")
    for name in where or {}:
        if name not in event.model_fields:
            raise TypeError(f"performed({event.__name__}, where={where!r}): the event has no field {name!r}")
    return Performed(event.name, at_least, within, tuple(sorted((where or {}).items())))


def hasnt(event: type[Event], within: timedelta | None = None, where: Mapping[str, Any] | None = None) -> Expression:
    """Hold for people who did it not once: ever, or in (now - within, now]."""
    return ~performed(event, 1, within, where)


def trait(name: str) -> Trait:
    """Name a trait, to be compared: `trait("plan") == "pro"`, `trait("seats") >= 10`, `.is_in(...)`, `.is_set()`."""
    if name in ADDRESSES:
        raise TypeError(f"trait({name!r}): addresses, zone and locale are kept apart from traits, and no segment asks for them")
    return Trait(name)


def state(*states: str) -> Expression:
    """Hold for people whose lifecycle state is one of these."""
    for each in states:
        if each not in STATES:
            raise TypeError(f"state({each!r}): there is {', '.join(STATES)}")
    return InState(states)


@dataclass(frozen=True, eq=False)
class Segment:
    """Some people, by a condition. Its name is theirs in the API, the command line and the keys of steps."""

    name: str
    expression: Expression
    place: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        frame = sys._getframe(2)  # beyond the dataclass's own __init__
        object.__setattr__(self, "place", f"{frame.f_code.co_filename}:{frame.f_lineno}")
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", self.name) or self.name == LIFECYCLE:
            raise TypeError(f"{self.place}: a segment's name is in snake_case, and not {LIFECYCLE!r}: {self.name!r} will not do")
        _expression(self.expression)
        if known := SEGMENTS.get(self.name):
            raise TypeError(f"{self.place}: a segment {self.name!r} is declared already, at {known.place}; give it another name")
        SEGMENTS[self.name] = self

    def holds(self, facts: Facts, now: datetime) -> bool:
        """Say whether the person belongs to it at `now`."""
        return self.expression.holds(facts, now)

    def turns(self, facts: Facts, now: datetime) -> datetime | None:
        """Return the earliest moment after `now` at which time alone may change that; None if it never does."""
        return self.expression.turns(facts, now)

    @cached_property
    def windows(self) -> Mapping[str, timedelta | None]:
        """By the event's name, how far back the segment looks: None is for ever."""
        found: dict[str, timedelta | None] = {}
        for part in parts_of(self.expression):
            if isinstance(part, Performed):
                before = found.get(part.event, timedelta(0))
                found[part.event] = None if before is None or part.within is None else max(before, part.within)
        return found

    @cached_property
    def traits(self) -> frozenset[str]:
        return frozenset(part.trait for part in parts_of(self.expression) if isinstance(part, Compared))

    @cached_property
    def by_state(self) -> bool:
        return any(isinstance(part, InState) for part in parts_of(self.expression))

    @property
    def digest(self) -> str:
        """A digest of what it means: another one, and every person has to be looked at anew."""
        return _digest(f"{_said(self.expression)} {lifecycle_digest() if self.by_state else ''}")


def refuse_unfit() -> None:
    """Refuse segments by private traits, and by values that a trait never has: once every declaration is there.

    Raises TypeError, with file and line, and what to do.
    """
    for segment in SEGMENTS.values():
        for part in parts_of(segment.expression):
            if isinstance(part, Compared) and (why := part.unfit()):
                raise TypeError(f"{segment.place}: segment {segment.name!r} {why}")


def parts_of(expression: Expression) -> list[Expression]:
    """Return an expression and all it is made of."""
    return [expression, *(inner for part in expression.parts for inner in parts_of(part))]


def lifecycle_digest() -> str:
    """Return a digest of what the states mean, and of what counts as acting."""
    return _digest(f"{in_force()!r} {activity()!r}")


def _digest(said: str) -> str:
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _said(meant: Any) -> str:
    """Spell out a condition, the same in every process: sets are in another order in each."""
    match meant:
        case Expression():
            return f"{type(meant).__name__}({', '.join(_said(getattr(meant, each.name)) for each in fields(meant))})"
        case tuple() | list():
            return f"({', '.join(map(_said, meant))})"
        case set() | frozenset():
            return f"{{{', '.join(sorted(map(_said, meant)))}}}"
    return f"{type(meant).__name__} {meant!r}"


def activity() -> tuple[str, ...]:
    """Return the names of the events that count for the lifecycle."""
    return in_force().counts or tuple(name for name, kind in sorted(EVENTS.items()) if not is_transition(kind))


def state_of(facts: Facts, now: datetime) -> str:
    """Return the person's lifecycle state at `now`."""
    return in_force().state(facts.since, _acted(facts), now)


def state_turns(facts: Facts, now: datetime) -> datetime | None:
    """Return the earliest moment after `now` at which time alone may change the state."""
    return in_force().turns(facts.since, _acted(facts), now)


def _acted(facts: Facts) -> list[datetime]:
    return sorted(at for name in activity() for at, _ in facts.events.get(name, ()))


def _expression(given: object) -> Expression:
    if not isinstance(given, Expression):
        raise TypeError(f"{given!r} is no condition of a segment: write performed(), hasnt(), trait() or state()")
    return given


def _same(one: Any, other: Any) -> bool:
    """Say whether two values are the same: true is not 1, though 1.0 is."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
