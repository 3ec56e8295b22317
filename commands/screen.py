"""Words on a terminal, which may be anybody's: an app's users name events, and themselves, as they like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

KEPT = "\n\t\r"
VISIBLE = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in KEPT}  # Unicode's pictures of them
VISIBLE |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")


class Screen(Console):
    """A console on which brackets are text, not markup, and a control character is shown, not obeyed (ECMA-48)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for each in super().render(renderable, options):
            yield each if each.control else each._replace(text=each.text.translate(VISIBLE))
