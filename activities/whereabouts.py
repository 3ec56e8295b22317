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
    if (known := zone(person.zone)) is None and channel == "sms" and (number := _number(person)) is not None:
        names = timezone.time_zones_for_number(number)
        if found := tuple(each for name in names if (each := zone(name)) is not None):
            return found
    return (known or zone_of(person, settings),)


def country_of(person: Person, channel: str) -> str:
    """Return the country whose hours a message keeps (ISO 3166): for a text the number's, else the person's; '' if unknown."""
    if channel == "sms" and (number := _number(person)) is not None:
        return phonenumbers.region_code_for_number(number) or ""
    return country(person.traits, person.locale)


def _number(person: Person) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(person.phone or "")
    except phonenumbers.NumberParseException:
        return None
