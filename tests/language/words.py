"""The events and messages that the language's tests are written in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from workflows.definition import Event
from workflows.messages import Email
from workflows.run import Order

NOW = timedelta(0)
MINUTE = "%a %d %b %H:%M %Z"  # how these tests write a moment down


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    return timedelta(days=count)


def moment(text: str) -> datetime:
    """Read an ISO 8601 moment, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def say(text: object) -> Email:
    """Return an e-mail whose text is that."""
    return Email("note", {"text": str(text)})


def by(reason: str = "why not", *, step: str = "") -> Order:
    """Return an order of the operator Ada."""
    return Order("ada", reason, step)


class Entered(Event):
    """What most of these journeys start on."""

    via: str = "door"


class Tapped(Event):
    button: str = ""
    price: int = 0


class Replied(Event):
    words: str = ""


class Left(Event):
    """What most of these journeys exit on."""


class Booked(Event):
    """Starts one run a booking."""

    booking: str


class Moved(Event):
    """Concerns one booking."""

    booking: str
    to: str = ""


class Called(Event):
    """Concerns all bookings: it names none."""


class WithAName(Event, name="Signed The Guest Book"):
    pages: int = 1
