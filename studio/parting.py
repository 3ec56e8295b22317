"""At which step do a history and the code, as it is now, part?

Of a history whose steps are known, the names of the steps are compared, which finds what Temporal does not: two messages of one
channel that have changed places, a wait that was over at once and is gone. What is left is Temporal's own verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from studio.evidence import described, sends
from studio.recorded import Recorded
from studio.replaying import Replayed

END = "the end"
VERDICT = re.compile(r"^\[TMPRL1100\] (?:Nondeterminism error: )?")
MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
EVENT = re.compile(r"HistoryEvent\(id: (\d+)")


@dataclass(frozen=True)
class Parting:
    """The first step in which they differ: what the history has there, and what the code comes to; '' where that is not known.

    `before` are the keys of the steps that both came to. Where the names agree, `why` is Temporal's verdict, or, if it
    `failed`, the code's own word.
    """

    before: tuple[str, ...]
    has: str
    comes_to: str
    why: str = ""
    failed: bool = False

    @property
    def way(self) -> tuple[str, ...]:
        """The steps of a run that has come there."""
        return (*self.before, *filter(None, [self.comes_to if self.why else self.has]))


def parting(one: Recorded, now: Replayed) -> Parting | None:
    """Say where they part; None if the code replays the history."""
    by_name = _by_names(one, now) if one.steps is not None or now.was_at is not None else _by_sends(one, now)
    return by_name or (_by_verdict(one, now) if now.failure else None)


def _by_names(one: Recorded, now: Replayed) -> Parting | None:
    had = one.steps if one.steps is not None else (*now.steps[:-1], now.was_at or "")
    had += (END,) if one.is_over else ()
    comes = now.steps + ((END,) if now.ended else ())
    for index, (has, comes_to) in enumerate(zip(had, comes, strict=False)):
        if has != comes_to:
            return Parting(had[:index], has, comes_to)
    return None


def _by_sends(one: Recorded, now: Replayed) -> Parting | None:
    for had, (taken, step) in zip(sends(one.history), now.dispatched, strict=False):
        if had.step != step:
            return Parting(now.steps[:taken], had.step, step)
    return None


def _by_verdict(one: Recorded, now: Replayed) -> Parting:
    """Read Temporal's word: it names an event at times, and never a step."""
    said = MESSAGE.search(now.failure)
    why = said[1].replace('\\"', '"').replace("\\'", "'") if said else now.failure
    event = EVENT.search(why)
    has = described(one.history, int(event[1])) if event else ""
    comes_to, verdict = now.steps[-1] if now.steps else "", VERDICT.sub("", why)
    return Parting(now.steps[:-1], has, comes_to, verdict, failed=verdict == why)
