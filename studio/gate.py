"""Can this code be shipped to the people who are in its journeys? What was replayed, and what did not, told in full."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.parting import END, Parting, parting
from studio.recorded import Recorded
from studio.replaying import replay
from workflows.definition import JOURNEYS, current

Line = tuple[str, ...]  # the keys of a run's steps, as far as it has come
NEW_VERSION = "give the new shape a new version= and keep the old function as {name}_v{version}"
NOT_HERE = Parting(
    (), "", "", "it is not in this folder of journeys; put its function back, an older one as {name}_v{version}", True
)


@dataclass(frozen=True)
class Finding:
    """A step at which runs of a journey's version do not replay. `place` is the file and line of its function.

    `example` is one of the histories. Of the `seen` runs, `stuck` have come to that step and would stand still, and `before`
    stand before it, and would go the new way.
    """

    journey: str
    version: int
    place: str
    parting: Parting
    example: str
    stuck: int
    before: int
    seen: int

    def __str__(self) -> str:
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.place}: {self.journey} version {self.version}: {self._what()}{fix} ({self.example})"

    def _what(self) -> str:
        part = self.parting
        if part.failed:
            return f"at `{part.comes_to}` it fails: {part.why}" if part.comes_to else self._filled(part.why)
        if part.why:
            has = f"the history has {part.has}, and " if part.has else ""
            return f"at `{part.comes_to}` {has}the code does something else, though the names of the steps agree ({part.why})"
        after = f"after `{part.before[-1]}` " if part.before else ""
        return f"{after}the history has {_named(part.has)}, and the code now comes to {_named(part.comes_to)}"

    @property
    def fix(self) -> str:
        """What to do about it; '' where the code itself has said so."""
        part = self.parting
        if part.failed:
            return ""
        if part.why:
            return self._filled("restore the step's channel, or that it waits or does not wait; or " + NEW_VERSION)
        return self._filled("restore the order of steps (a step keeps its name by key=), or " + NEW_VERSION)

    def _filled(self, words: str) -> str:
        return words.format(name=self.journey, version=self.version)

    def told(self) -> dict[str, Any]:
        """Return it as JSON."""
        part = self.parting
        said = {name: getattr(self, name) for name in ("journey", "version", "place", "example", "stuck", "before", "seen")}
        return {**said, "after": list(part.before), "has": part.has, "comes_to": part.comes_to, "why": part.why, "says": str(self)}


@dataclass
class Gate:
    """Takes in histories as they are replayed. `known` are the lines of runs that are looked at without being replayed."""

    known: Mapping[tuple[str, int], Sequence[Line]] = field(default_factory=dict)
    replayed: Counter[tuple[str, int]] = field(default_factory=Counter)
    untold: int = 0  # whose steps nobody told
    failed: list[tuple[Recorded, Parting]] = field(default_factory=list)
    lines: dict[tuple[str, int], list[Line]] = field(default_factory=lambda: defaultdict(list))

    async def replay(self, histories: Sequence[Recorded], *, sandbox: bool, passed: Callable[[int], None]) -> None:
        """Replay these; those whose journey or version is not in the code need not be."""
        here = [one for one in histories if (one.journey, one.version) in JOURNEYS]
        for one in histories:
            if one not in here:
                self.take(one, NOT_HERE)
        async for one, now in replay(here, sandbox=sandbox):
            self.take(one, parting(one, now))
            passed(self.replayed.total())

    def take(self, one: Recorded, parted: Parting | None) -> None:
        """Take in what became of a history."""
        self.replayed[one.journey, one.version] += 1
        self.untold += one.steps is None
        if one.steps is not None:
            self.lines[one.journey, one.version].append((*one.steps, END) if one.is_over else one.steps)
        if parted is not None:
            self.failed.append((one, parted))

    def findings(self) -> list[Finding]:
        """Return the steps at which runs part with the code, by journey, the first of them first."""
        grouped: dict[tuple[str, int, str, str, str], list[tuple[Recorded, Parting]]] = defaultdict(list)
        for one, part in self.failed:  # a loop's third round and its fourth are one place in the code
            last = part.before[-1] if part.before else ""
            around = ("", part.why) if part.failed else (last, part.has)  # where the code fails, all fail that come there
            after, has, comes_to = (key.partition("#")[0] for key in (*around, part.comes_to))
            grouped[one.journey, one.version, after, has, comes_to].append((one, part))
        found = [self._finding(some) for some in grouped.values()]
        return sorted(found, key=lambda each: (each.journey, each.version, len(each.parting.before), -each.stuck))

    def _finding(self, some: Sequence[tuple[Recorded, Parting]]) -> Finding:
        one, part = min(some, key=lambda each: len(each[1].before))
        version = one.journey, one.version
        lines = self.known.get(version) or self.lines[version]
        stuck, before = standing(lines, {each.way for _, each in some})
        stuck = max(stuck + sum(each.steps is None for each, _ in some), len(some))
        seen = max(len(lines), self.replayed[version])
        return Finding(*version, _place(one), part, one.name, stuck, before, seen)


def standing(lines: Iterable[Line], until: Iterable[Line]) -> tuple[int, int]:
    """Count who has come to the last step of one of these ways, and who is on the way to it."""
    stuck = before = 0
    ways = list(until)
    for line in lines:
        stuck += any(line[: len(way)] == way for way in ways)
        before += any(line == way[: len(line)] and len(line) < len(way) for way in ways)
    return stuck, before


def _named(key: str) -> str:
    return key if key == END else f"`{key}`"


def _place(one: Recorded) -> str:
    """File and line of the function; of the journey's newest version, or none, if that one is gone."""
    definition = JOURNEYS.get((one.journey, one.version)) or current(one.journey)
    return definition.place if definition else "journeys"
