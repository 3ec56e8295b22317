"""Coming into a segment or a lifecycle state, a yes to confirm: events like any other, but for who sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from workflows.definition import EVENTS, Event
from workflows.lifecycle import STATES

if TYPE_CHECKING:
    from workflows.segments import Segment


class Transition(Event, registered=False):
    """Something that became so of a person. Sojourn adds these events itself; apps cannot send them."""


class OfSegment(Transition, registered=False):
    """A move across the border of the segment that its class names: `class BecameRegular(Entered, of=regulars)`."""

    of: ClassVar[str]
    segment: str = ""

    def __init_subclass__(cls, *, of: Segment | None = None, registered: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if registered and of is None:
            raise TypeError(
                f"{cls.__module__}.{cls.__name__}: a transition names its segment, as in class {cls.__name__}(Entered, of=regulars)"
            )
        if of is not None:
            cls.of = of.name


class Entered(OfSegment, registered=False):
    """The person has come into the segment."""


class Left(OfSegment, registered=False):
    """The person has dropped out of the segment."""


class Became(Transition, registered=False):
    """The person has come into the lifecycle state that the class names: `class WentDormant(Became, state=DORMANT)`."""

    becomes: ClassVar[str]
    state: str = ""
    previous: str = ""

    def __init_subclass__(cls, *, state: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if state not in STATES:
            raise TypeError(f"{cls.__module__}.{cls.__name__}: state={state!r}; there is {', '.join(STATES)}")
        cls.becomes = state


class ConsentRequested(Transition):
    """They said yes to a topic that wants it confirmed by the link in a mail: a journey that starts on this sends that mail."""

    topic: str
    channel: str = "email"


def is_transition(event: type[Event] | None) -> bool:
    """Say whether only Sojourn sends that event."""
    return event is not None and issubclass(event, Transition)


def crossing(segment: str, *, entered: bool) -> list[Event]:
    """Return the events that say that a person has come into a segment, or dropped out of it."""
    kind = Entered if entered else Left
    return [each(segment=segment) for each in _declared(kind) if each.of == segment]


def becoming(state: str, previous: str) -> list[Event]:
    """Return the events that say that a person has come into a state."""
    return [each(state=state, previous=previous) for each in _declared(Became) if each.becomes == state]


def _declared(kind: type[Any]) -> list[type[Any]]:
    return [each for _, each in sorted(EVENTS.items()) if issubclass(each, kind)]
