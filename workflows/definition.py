"""What a journey is: the events it knows, and the function with its terms of entry and exit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from types import UnionType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from workflows.journey import Journey

EVENTS: dict[str, type[Event]] = {}
JOURNEYS: dict[tuple[str, int], Definition[Any]] = {}

IDENTIFY = "identify"
EXIT = "exit"
PAUSE = "$pause"
RELEASE = "$release"
RESERVED = (IDENTIFY, EXIT, PAUSE, RELEASE)  # what reaches a run and is no event of the team's


def wire_name(class_name: str) -> str:
    """Return what an event of a class is called in apps' calls, unless the class says otherwise: its name in snake_case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()


class Event(BaseModel):
    """Something a person did. Its wire name is the class name in snake_case, or the `name` given with the class.

    Its fields are all that a journey and a run's history see of the event; other properties are stored, and stay out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True)
    name: ClassVar[str]
    keyed: ClassVar[bool] = True  # a field of the name of a journey's key is that key

    def __init_subclass__(cls, *, name: str | None = None, registered: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for taken in ("name", "keyed"):
            if "ClassVar" not in str(inspect.get_annotations(cls).get(taken, "ClassVar")):
                raise TypeError(
                    f"{cls.__module__}.{cls.__name__}: a field cannot be called {taken!r}, which is said of the event itself; "
                    f"give it another name, with the app's beside it: title: str = Field(alias={taken!r})"
                )
        cls.name = name or wire_name(cls.__name__)

    @classmethod
    def __pydantic_init_subclass__(cls, *, registered: bool = True, **kwargs: Any) -> None:
        if not registered:  # what others are made of, and no event itself
            return
        if cls.name in RESERVED:
            raise TypeError(f"{cls.__module__}.{cls.__name__}: the event name {cls.name!r} is Sojourn's own; give it another")
        known = EVENTS.setdefault(cls.name, cls)
        if known is not cls:
            raise TypeError(
                f"two events are called {cls.name!r}: {known.__module__}.{known.__name__} and "
                f"{cls.__module__}.{cls.__name__}; give one of them a name="
            )


def in_full(name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event tells a template: all that it was sent with, and of what its type declares also what was left out.

    So a message that says `event.plan` can be filled in whenever the journey could have asked for it. The data alone, where
    nobody knows the event, or it no longer fits its type.
    """
    try:
        typed = EVENTS[name].model_validate(data)
        return {**typed.model_dump(mode="json"), **typed.model_dump(mode="json", by_alias=True), **data}
    except (KeyError, ValueError):
        return dict(data)


E = TypeVar("E", bound=Event)
JourneyFunction = Callable[["Journey", E], Awaitable[None]]


@dataclass(frozen=True)
class Again:
    """When a person may enter once more: never (`after` is None), or that long after their last run ended."""

    after: timedelta | None


ONCE = Again(None)
ALWAYS = Again(timedelta(0))


def after(duration: timedelta) -> Again:
    """Let a person enter again once `duration` has passed since their last run ended."""
    if duration < timedelta(0):
        raise ValueError(f"after({duration!r}): a re-entry cannot be due before the last run has ended")
    return Again(duration)


def refusal(again: Again, last_ended: datetime | None, now: datetime) -> str | None:
    """Say why a person without an open run may not enter now, or None if they may. `last_ended` is None for a first run."""
    if last_ended is None:
        return None
    if again.after is None:
        return "entered before, and this journey is entered once"
    opens = last_ended + again.after
    return None if now >= opens else f"may enter again from {opens.isoformat(timespec='seconds')}"


@dataclass(frozen=True, eq=False)
class Definition(Generic[E]):
    """A journey as the engine knows it."""

    name: str
    version: int
    function: JourneyFunction[E]
    triggers: tuple[type[E], ...]
    exits_on: tuple[type[Event], ...] = ()
    goal: type[Event] | None = None
    again: Again = ONCE
    key: str | None = None
    topic: str = ""

    def key_of(self, event: type[Event], data: Mapping[str, Any]) -> str:
        """Return which of a person's parallel runs such an event belongs to: '' for a journey without a key.

        By the typed event, so that a key reads the same however it was spelled on the wire.
        """
        return "" if self.key is None else str(_field(event, data, self.key))

    def concerns(self, event: type[Event], data: Mapping[str, Any], key: str) -> bool:
        """Say whether an event of that type reaches the run of that key: all that lack the field do, else the equal ones."""
        return not self._is_keyed(event) or str(_field(event, data, self.key or "")) == key

    def key_in(self, event: Event) -> str:
        """Return `key_of` an event that is one."""
        return "" if self.key is None else str(getattr(event, self.key))

    def reaches(self, event: Event, key: str) -> bool:
        """Say whether an event `concerns` the run of that key."""
        return not self._is_keyed(type(event)) or self.key_in(event) == key

    def _is_keyed(self, event: type[Event]) -> bool:
        return self.key is not None and self.key in event.model_fields and (event.keyed or event in self.triggers)

    @cached_property
    def exit_names(self) -> frozenset[str]:
        return frozenset(event.name for event in self.exits_on)

    @cached_property
    def trigger_names(self) -> frozenset[str]:
        return frozenset(event.name for event in self.triggers)

    def mismatch(self, key: str, logged: str) -> str:
        """Say that a continued run has come to a step other than the one it was at."""
        return (
            f"{self.place}: this run of {self.name!r} version {self.version} was at step {logged!r}, and its code now comes to "
            f"{key!r}; restore the order of steps, or give the new order a new version="
        )

    @cached_property
    def place(self) -> str:
        """File and line of the function, for messages."""
        code = inspect.unwrap(self.function).__code__
        return f"{code.co_filename}:{code.co_firstlineno}"


def journey(
    *undecorated: Never,  # what @journey without its brackets would take
    exits_on: type[Event] | tuple[type[Event], ...] = (),
    goal: type[Event] | None = None,
    again: Again = ONCE,
    key: str | None = None,
    topic: str | None = None,
    version: int = 1,
) -> Callable[[JourneyFunction[E]], Definition[E]]:
    """Make a journey of a function; the event (or union of events) its second parameter is annotated with triggers it.

    A function called `onboarding_v1` with `version=1` is the older version 1 of the journey `onboarding`: it serves the
    runs that are in it, and new runs begin in the newest version. `topic` is what a person consents to or opts out of; the
    journey's name unless given. Raises TypeError, with the place, for a function that cannot be a journey, and for terms that
    are none.
    """
    if undecorated:
        _refuse_bare(*undecorated)

    def define(function: JourneyFunction[E]) -> Definition[E]:
        name = function.__name__.removesuffix(f"_v{version}")
        definition = Definition(
            name=name,
            version=version,
            function=function,
            triggers=_triggers(function),
            exits_on=exits_on if isinstance(exits_on, tuple) else (exits_on,),
            goal=goal,
            again=again,
            key=key,
            topic=topic or name,
        )
        _refuse_unfit_terms(definition)
        _refuse_missing_key(definition)
        if known := JOURNEYS.get((name, version)):
            raise TypeError(
                f"{definition.place}: journey {name!r} has a version {version} already, at {known.place}; "
                f"give this one another name or version"
            )
        JOURNEYS[name, version] = definition
        return definition

    return define


def current(name: str) -> Definition[Any] | None:
    """Return the newest version of a journey: the one that new runs enter."""
    versions = [version for known, version in JOURNEYS if known == name]
    return JOURNEYS[name, max(versions)] if versions else None


def newest() -> list[Definition[Any]]:
    """Return the newest version of every journey, by name."""
    return [definition for name in sorted({name for name, _ in JOURNEYS}) if (definition := current(name))]


def _field(event: type[Event], data: Mapping[str, Any], name: str) -> Any:
    """Return a field's value of an event, as its type has it; as it stands, if the event no longer fits its type."""
    try:
        return getattr(event.model_validate(data), name)
    except ValidationError:
        return data.get(name, "")


def _triggers(function: JourneyFunction[E]) -> tuple[type[E], ...]:
    where = _place(function)
    if inspect.isasyncgenfunction(function):
        raise TypeError(f"{where}: journey {function.__name__!r} holds a `yield`, which nobody takes; take it out")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{where}: journey {function.__name__!r} must be an `async def`")
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise TypeError(f"{where}: journey {function.__name__!r} takes two parameters, the Journey and the event that starts it")
    hint = get_type_hints(function).get(parameters[1])
    events = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if not all(map(is_event, events)):
        raise TypeError(f"{where}: annotate {parameters[1]!r} with the event, or union of events, that starts the journey")
    return events


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"


def is_event(kind: object) -> TypeGuard[type[Event]]:
    """Say whether that is the class of an event that may come: `Event` itself, of which all are made, never does."""
    return isinstance(kind, type) and issubclass(kind, Event) and kind is not Event


def _refuse_bare(function: Callable[..., Any]) -> None:
    raise TypeError(f"{_place(function)}: @journey above {function.__name__!r} lacks its brackets; write @journey()")


def _refuse_unfit_terms(definition: Definition[Any]) -> None:
    """Refuse terms that are none here, where the line is known, and not at the first person to whom they apply."""
    mends = {
        "exits_on": (all(map(is_event, definition.exits_on)), "name an event's class, or a tuple of them"),
        "goal": (definition.goal is None or is_event(definition.goal), "name an event's class"),
        "again": (isinstance(definition.again, Again), "say ONCE, ALWAYS or after(timedelta(...)), from workflows.definition"),
        "topic": (isinstance(definition.topic, str), "give it a name in quotation marks"),
        "version": (isinstance(definition.version, int) and definition.version > 0, "give it a whole number, from 1 on"),
    }
    for term, (fits, mend) in mends.items():
        if not fits:
            said = f"{term}={getattr(definition, term)!r}"
            raise TypeError(f"{definition.place}: journey {definition.name!r} cannot have {said}; {mend}")


def _refuse_missing_key(definition: Definition[Any]) -> None:
    for event in definition.triggers:
        if definition.key is not None and definition.key not in event.model_fields:
            raise TypeError(f"{definition.place}: key={definition.key!r}, but {event.__name__} has no such field")
