"""Where a person who is played is reached, on each channel."""

from __future__ import annotations

from zlib import crc32

from workflows.happenings import Person

GERMAN = ("Europe/Berlin",)  # the zones of numbers that begin with +49; those that begin with +800 are of none


def email_of(person: Person) -> str:
    return f"{person.user.id}@example.org"


def phone_of(person: Person) -> str:
    """Return a number of their own, of the zones that theirs is of: suppressed, it is so for everybody who has it."""
    own = crc32(person.user.id.encode()) % 10**7
    return f"+491511{own:07d}" if person.number_zones == GERMAN else f"+8001{own:07d}"


def address_of(person: Person, channel: str) -> str:
    """Return their address there; their own name on channels that have no such thing."""
    return {"email": email_of(person), "sms": phone_of(person)}.get(channel, person.user.id)
