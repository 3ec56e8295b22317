"""What should a run have said, and what did it say? Side by side, on a line of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from itertools import zip_longest

from studio.scenario import Scenario
from studio.timeline import ending, held, named, title, when
from workflows.messages import Message
from workflows.simulated import Decided, Simulation

Expected = Message | Decided
NOTHING = "-"


@dataclass(frozen=True)
class Pair:
    """A message that was expected, beside one that was sent; either may be missing."""

    expected: Expected | None
    sent: Decided | None

    @property
    def differs(self) -> bool:
        if self.expected is None or self.sent is None:
            return True
        return self.expected != (self.sent if isinstance(self.expected, Decided) else self.sent.message)


def side_by_side(run: Simulation, expected: Sequence[Expected], scenario: Scenario | None = None) -> list[str]:
    """Show what was expected beside what was sent and when, the first difference marked by >; then what was held back, and why."""
    rows = list(_rows(run, expected, scenario))
    wide = max([len("expected"), *(len(row[2]) for row in rows)])
    clock = max([len(row[1]) for row in rows], default=0)
    lines = [f"  {'when':<{clock}}  {'expected':<{wide}}  sent"]
    marked = False
    for differs, moment, left, right, details in rows:
        mark = ">" if differs and not marked else " "
        marked = marked or differs
        lines.append(f"{mark} {moment:<{clock}}  {left:<{wide}}  {right}".rstrip())
        lines += [f"  {'':<{clock}}  {detail}" for detail in details]
    return [title(run, scenario), *lines, f"  {ending(run, scenario)}"]


def first_difference(run: Simulation, expected: Sequence[Expected], scenario: Scenario | None = None) -> str:
    """Say the first difference in a few words; '' if there is none."""
    for place, pair in enumerate(_paired(expected, run.sent), 1):
        if pair.differs:
            at = f", {when(pair.sent.at, run, scenario)}" if pair.sent else ""
            sent = named(pair.sent.message) if pair.sent else NOTHING
            return "; ".join([f"message {place}: expected {_name(pair.expected)}, sent {sent}{at}", *_details(pair, run, scenario)])
    return ""


def ends(run: Simulation, expected: Simulation) -> list[str]:
    """Say in what two runs differ beside their messages."""
    told = [(name, getattr(run, name), getattr(expected, name)) for name in ("started", "status", "reason", "ended")]
    return [f"{name}: {ours} where {theirs} was expected" for name, ours, theirs in told if ours != theirs]


Line = tuple[bool, str, str, str, list[str]]


def _rows(run: Simulation, expected: Sequence[Expected], scenario: Scenario | None) -> Iterator[Line]:
    back = [each for each in run.decided if each.receipt.status != "sent"]
    for pair in _paired(expected, run.sent):
        while back and pair.sent is not None and back[0].at <= pair.sent.at and _before(run, back[0], pair.sent):
            yield _held(run, back.pop(0), scenario)
        moment = when(pair.sent.at, run, scenario) if pair.sent else ""
        left, right = _name(pair.expected), named(pair.sent.message) if pair.sent else NOTHING
        yield pair.differs, moment, left, right, _details(pair, run, scenario)
    for each in back:
        yield _held(run, each, scenario)


def _before(run: Simulation, one: Decided, other: Decided) -> bool:
    return next(each is one for each in run.decided if each is one or each is other)


def _held(run: Simulation, decided: Decided, scenario: Scenario | None) -> Line:
    return False, when(decided.at, run, scenario), "", f"({held(decided)})", []


def _paired(expected: Sequence[Expected], sent: Sequence[Decided]) -> Iterator[Pair]:
    """Pair what is of the same channel and template, in order; what is between two such pairs is paired as it comes."""
    ours, theirs = [_name(each) for each in expected], [named(each.message) for each in sent]
    for kind, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        left, right = expected[a:b], sent[c:d]
        if kind == "equal":
            yield from map(Pair, left, right)
        else:
            yield from (Pair(*pair) for pair in zip_longest(left, right))


def _name(expected: Expected | None) -> str:
    if expected is None:
        return NOTHING
    return named(expected.message if isinstance(expected, Decided) else expected)


def _details(pair: Pair, run: Simulation, scenario: Scenario | None) -> list[str]:
    """Say in what a message differs from the one of the same name that was expected."""
    if not pair.differs or pair.expected is None or pair.sent is None or _name(pair.expected) != named(pair.sent.message):
        return []
    wanted = pair.expected.message if isinstance(pair.expected, Decided) else pair.expected
    found = [*_data(wanted, pair.sent.message), *_terms(wanted, pair.sent.message)]
    if isinstance(pair.expected, Decided) and pair.expected.at != pair.sent.at:
        found.append(f"expected {when(pair.expected.at, run, scenario)}")
    return found


def _data(wanted: Message, sent: Message) -> Iterator[str]:
    for name in dict.fromkeys((*wanted.data, *sent.data)):
        if wanted.data.get(name) != sent.data.get(name) or (name in wanted.data) != (name in sent.data):
            ours, theirs = (repr(each.data[name]) if name in each.data else NOTHING for each in (wanted, sent))
            yield f"{name}: expected {ours}, sent {theirs}"


def _terms(wanted: Message, sent: Message) -> Iterator[str]:
    for each in fields(wanted):
        ours, theirs = getattr(wanted, each.name), getattr(sent, each.name)
        if each.name not in ("template", "data") and ours != theirs:
            yield f"{each.name}= expected {ours!r}, sent {theirs!r}"
