"""The report as one page of HTML that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backtest.plots import over_time

PAGE = "report.html.jinja"
LONGEST_GOAL = 30  # bars of the time to the goal, beyond which days are put together


def page(found: Mapping[str, Any]) -> str:
    """Make the page of what a backtest found."""
    files = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=files, undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, percent=_percent, day=_day, counted=_counted)
    sides = [found["here"], *([found["there"]] if found["there"] else [])]
    first, last = _days(found)
    plots = [
        {
            "name": side["name"],
            "entries": over_time({day: {"runs": count} for day, count in side["entries_by_day"].items()}, first, last),
            "sent": over_time(side["sent_by_day"], first, last),
            "goal": _goal(side["goal"]["by_days_since_entry"]),
        }
        for side in sides
    ]
    return environment.get_template(PAGE).render(found=found, sides=sides, plots=plots, tops=_tops(plots))


def _tops(plots: list[dict[str, Any]]) -> dict[str, int]:
    """Return the top of the scale of each plot: the same for both sides, so that they can be compared by eye."""
    return {kind: max((each[kind].top for each in plots), default=1) or 1 for kind in ("entries", "sent")}


def _days(found: Mapping[str, Any]) -> tuple[date, date]:
    return date.fromisoformat(found["begins"][:10]), date.fromisoformat(found["to"][:10])


def _goal(by_days: Mapping[str, int]) -> list[tuple[str, int]]:
    """Put the days to the goal together, so that there are not more bars than can be read."""
    if not by_days:
        return []
    longest = max(map(int, by_days)) + 1
    width = max(1, -(-longest // LONGEST_GOAL))
    bars = [0] * -(-longest // width)
    for days, count in by_days.items():
        bars[int(days) // width] += count
    return [(_span(place * width, width), count) for place, count in enumerate(bars)]


def _span(begin: int, width: int) -> str:
    return f"day {begin + 1}" if width == 1 else f"days {begin + 1} to {begin + width}"


def _number(value: float) -> str:
    return f"{value:,}".replace(",", "\u202f")


def _counted(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{what} {_number(count)}" for what, count in counts.items())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 1 else "100 %"


def _day(moment: str) -> str:
    at = date.fromisoformat(moment[:10])
    return f"{at.day} {at:%B %Y}"
