"""How moments and numbers are written for a reader: the filters of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_currency, format_decimal


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


FILTERS: Mapping[str, Callable[..., str]] = {
    "date": written_date,
    "time": written_time,
    "datetime": written_datetime,
    "number": number,
    "currency": currency,
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
