"""How moments and numbers are written for a reader: the filters of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_currency, format_decimal
from babel.units import format_unit

PLURALS = ("zero", "one", "two", "few", "many", "other")


@dataclass(frozen=True)
class Reader:
    """Where the person is, and how things are written for them."""

    zone: ZoneInfo
    locale: Locale


reader: ContextVar[Reader] = ContextVar("reader")


def written_date(value: Any, format: str = "medium") -> str:
    moment = _moment(value)
    return format_date(moment, format, reader.get().locale)


def written_time(value: Any, format: str = "short") -> str:
    return format_time(_clock(value), format, locale=reader.get().locale)


def written_datetime(value: Any, format: str = "medium") -> str:
    return format_datetime(_clock(value), format, locale=reader.get().locale)


def number(value: float | Decimal) -> str:
    return format_decimal(value, locale=reader.get().locale)


def currency(value: float | Decimal, code: str) -> str:
    """Write an amount; `code` is ISO 4217."""
    return format_currency(value, code, locale=reader.get().locale)


def unit(value: float | Decimal, name: str, length: Literal["short", "long", "narrow"] = "long") -> str:
    """Write an amount with its unit, by its name in Unicode's CLDR: `length-kilometer`, `temperature-celsius`."""
    return format_unit(value, name, length, locale=reader.get().locale)


def plural(value: float | Decimal, **forms: str) -> str:
    """Return the form for so many in the reader's language, by CLDR's names for them, `#` being the number.

    `other` has to be among them: it stands for those that are not given.
    """
    if "other" not in forms or (unknown := forms.keys() - PLURALS):
        named = f"{', '.join(sorted(unknown))} is none; " if "other" in forms else ""
        raise ValueError(f"plural: {named}it takes {', '.join(PLURALS)}, and `other` always")
    form = forms.get(reader.get().locale.plural_form(Decimal(str(abs(value)))), forms["other"])
    return form.replace("#", number(value))


FILTERS: Mapping[str, Callable[..., str]] = {
    "date": written_date,
    "time": written_time,
    "datetime": written_datetime,
    "number": number,
    "currency": currency,
    "unit": unit,
    "plural": plural,
}


def _moment(value: Any) -> date:
    """Read a moment, or a day, and put a moment where the reader is. Without an offset it is taken to be there already.

    Raises ValueError for what is neither, nor ISO 8601 text of one.
    """
    if isinstance(value, str):
        value = date.fromisoformat(value) if len(value) == len("2025-01-31") else datetime.fromisoformat(value)
    if not isinstance(value, date):
        raise ValueError(f"{value!r} is not a moment, nor ISO 8601 text of one")
    if isinstance(value, datetime):
        here = reader.get().zone
        return value.replace(tzinfo=here) if value.tzinfo is None else value.astimezone(here)
    return value


def _clock(value: Any) -> datetime:
    moment = _moment(value)
    if not isinstance(moment, datetime):
        raise ValueError(f"{value!r} is a day without a time")
    return moment
