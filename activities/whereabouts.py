"""Where is a person, as far as a message on some channel has to know?"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone

from settings import Settings
from store.tables import Person
from workflows.clock import zone
from workflows.country import country


def zone_of(person: Person, settings: Settings) -> ZoneInfo:
    """Return where the person is; the configured zone if that is not known."""
    return zone(person.zone) or zone(settings.zone) or ZoneInfo("UTC")


def zones_of(person: Person, channel: str, settings: Settings) -> tuple[ZoneInfo, ...]:
    """Return where the person may be: where they are if that is known, else, for a text, all zones that their number is of.

    A number says less than a zone that a device has told, and more than nothing: what is allowed in all of its zones is allowed.
    """
    known = zone(person.zone)
    of_number = number_zones(person.phone) if known is None and channel == "sms" else ()
    found = tuple(each for name in of_number if (each := zone(name)) is not None)
    return found or (known or zone_of(person, settings),)


def country_of(person: Person, channel: str) -> str:
    """Return the country whose hours a message keeps (ISO 3166): for a text the number's, else the person's; '' if unknown."""
    if channel == "sms" and _number(person.phone) is not None:
        return number_country(person.phone)
    return country(person.traits, person.locale)


def region_of(person: Person) -> str:
    """Return the country that the person is in, as far as is known (ISO 3166): what they or their devices told, or their number."""
    return country(person.traits, person.locale) or number_country(person.phone)


def number_zones(phone: str | None) -> tuple[str, ...]:
    """Return the names of the zones that a number is of; none for what is no number."""
    number = _number(phone)
    return () if number is None else tuple(timezone.time_zones_for_number(number))


def number_country(phone: str | None) -> str:
    """Return the country that a number is of (ISO 3166); '' for what is no number."""
    number = _number(phone)
    return "" if number is None else phonenumbers.region_code_for_number(number) or ""


def _number(phone: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(phone) if phone else None
    except phonenumbers.NumberParseException:
        return None
