"""Which bars does a plot have? Counts by day put together by day, week or month, so that there are never too many to see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

MOST_BARS = 160
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Bar:
    """One bar of a plot: at which place, what it is of, and its values by name."""

    place: int
    label: str
    values: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.values.values())


@dataclass(frozen=True)
class Plot:
    """Bars side by side, all of one scale. `unit` is what each is of: a day, a week, a month."""

    unit: str
    bars: Sequence[Bar]
    names: Sequence[str]  # of the values, in the order in which they are stacked

    @property
    def most(self) -> int:
        return max((bar.total for bar in self.bars), default=0)

    @property
    def top(self) -> int:
        """The top of the scale: the next round number."""
        return round_up(self.most)


def over_time(counted: Mapping[str, Mapping[str, int]], first: date, last: date) -> Plot:
    """Plot counts by ISO day, and by name, over all the time from the first day to the last, without a gap."""
    days = (last - first).days + 1
    unit = "day" if days <= MOST_BARS else "week" if days <= MOST_BARS * 7 else "month" if days <= MOST_BARS * 30 else "year"
    bars: dict[date, dict[str, int]] = {_begin(first + each * DAY, unit): {} for each in range(days)}
    for told, values in counted.items():
        bar = bars.setdefault(_begin(date.fromisoformat(told), unit), {})
        for name, count in values.items():
            bar[name] = bar.get(name, 0) + count
    names = sorted({name for bar in bars.values() for name in bar})
    in_order = enumerate(sorted(bars.items()))
    return Plot(unit, [Bar(place, _label(begin, unit), values) for place, (begin, values) in in_order], names)


def round_up(number: int) -> int:
    """Return the next of 1, 2, 3, 4, 5, 6, 8, 10, 20 …"""
    size = 1
    while size * 10 < number:
        size *= 10
    return next(size * each for each in (1, 2, 3, 4, 5, 6, 8, 10) if size * each >= number)


def _begin(day: date, unit: str) -> date:
    match unit:
        case "week":
            return day - day.weekday() * DAY
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(day=1, month=1)
    return day


def _label(begin: date, unit: str) -> str:
    return f"{begin:%Y}" if unit == "year" else f"{begin:%b %Y}" if unit == "month" else f"{begin.day} {begin:%b %Y}"
