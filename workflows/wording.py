"""What does a journey's source say, in words? Durations, times, events and messages, as far as it tells without running."""

from __future__ import annotations

import ast
import copy
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from functools import cached_property
from typing import Any

from workflows.clock import EVERY_DAY, WEEKDAYS, WEEKEND, Day, in_words
from workflows.definition import Event
from workflows.messages import CHANNELS, DAY, Message
from workflows.segments import Segment
from workflows.source import Code, resolve

ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
OUTCOMES = {"send": "receipt", "wait_for": "event", "split": "variant", "sleep": "", "until": "", "matches": "membership"}
KINDS = {f"workflows.messages.{kind.__name__}": kind for kind in CHANNELS.values()}
Binding = tuple[str, ast.expr, bool, int | None]  # what is bound, to what, to each element of it, and to which place in that


@dataclass(frozen=True)
class Said:
    """A message that a `send` may send. `topic` is empty where the message leaves it to its journey.

    `waits` and `expires` are what its source says of caps and of how long it lives, as far as that tells without running.
    """

    channel: str
    template: str
    topic: str = ""
    transactional: bool = field(default=False, compare=False)
    waits: bool = field(default=True, compare=False)
    expires: timedelta = field(default=DAY, compare=False)

    def __str__(self) -> str:
        return f"{self.channel} {self.template}" + (f" [{self.topic}]" if self.topic else "")


@dataclass(frozen=True)
class Value:
    """A constant of the file, as it is once imported."""

    value: Any


@dataclass(frozen=True, eq=False)
class Wording:
    """Reads the expressions of one journey. `names` is what its globals are, empty if its file has not been imported."""

    code: Code
    names: Mapping[str, Any]

    # Durations and times

    def constant(self, node: ast.AST) -> Any:
        """Evaluate a number, a timedelta or a time made of constants by plain arithmetic. Returns None if it is not one."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return number
            case ast.Name() | ast.Attribute():
                known = resolve(node, self.names)
                return known if isinstance(known, int | float | timedelta | time) else None
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._computed(operator.neg, operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                return self._computed(ARITHMETIC[type(op)], left, right)
            case ast.Call(func=func, args=args, keywords=keywords) if (made := self._made(func)) is not None:
                return self._computed(made, *args, **{each.arg: each.value for each in keywords if each.arg})
        return None

    def _computed(self, compute: Callable[..., Any], *args: ast.expr, **keywords: ast.expr) -> Any:
        values = [self.constant(arg) for arg in args]
        named = {name: self.constant(arg) for name, arg in keywords.items()}
        if None in values or None in named.values():
            return None
        try:
            return compute(*values, **named)
        except (TypeError, ValueError, ArithmeticError):
            return None

    def _made(self, func: ast.expr) -> type[timedelta | time] | None:
        known = resolve(func, self.names)
        origin = self.code.source.origin(func)
        return next((each for each in (timedelta, time) if known is each or origin == f"datetime.{each.__name__}"), None)

    def duration(self, node: ast.expr) -> str:
        """Say a duration: '3 days', or its source where that depends on the run."""
        value = self.constant(node)
        return in_words(value) if isinstance(value, timedelta) else self.text(node)

    def moment(self, node: ast.expr) -> str:
        """Say when: '09:00', or the source of a moment."""
        value = self.constant(node)
        return f"{value:%H:%M}" if isinstance(value, time) else self.text(node)

    def days(self, node: ast.expr) -> str:
        """Say on which days of the week: 'weekdays', 'Tue, Thu'; '' for every day."""
        elements = [resolve(each, self.names) for each in node.elts] if isinstance(node, ast.Tuple | ast.List | ast.Set) else None
        days = resolve(node, self.names) if elements is None else elements
        if not isinstance(days, tuple | list | set | frozenset) or not all(isinstance(day, Day) for day in days):
            return self.text(node)
        known = {frozenset(WEEKDAYS): "weekdays", frozenset(WEEKEND): "weekends", frozenset(EVERY_DAY): ""}
        return known.get(frozenset(days), ", ".join(day.name.title()[:3] for day in sorted(days)))

    # Text

    def text(self, node: ast.AST) -> str:
        """Return the source of an expression, its constant durations in words and its verbs by their outcome."""
        return ast.unparse(_InWords(self).visit(copy.deepcopy(node))).replace("\n", " ")

    def event(self, node: ast.AST) -> str:
        """Return the wire name of an event's class, or its source if it cannot be known."""
        event = resolve(node, self.names)
        return event.name if isinstance(event, type) and issubclass(event, Event) else ast.unparse(node)

    def segment(self, node: ast.AST) -> str:
        """Return the name of a segment, or its source if it cannot be known."""
        segment = resolve(node, self.names)
        return segment.name if isinstance(segment, Segment) else ast.unparse(node)

    # Messages

    def messages(self, node: ast.expr | Value) -> list[Said]:
        """Return every message that the expression may be; none if it cannot be read."""
        return list(dict.fromkeys(said for _, said in self.made(node)))

    def made(self, node: ast.expr | Value) -> list[tuple[ast.expr | Value, Said]]:
        """Return every message that the expression may be, each with what makes it; none if it cannot be read."""
        return [(leaf, said) for leaf in self._leaf(node, frozenset()) for said in self._said(leaf)]

    def _said(self, leaf: ast.expr | Value) -> Iterator[Said]:
        match leaf:
            case Value(value=Message() as message):
                waits = message.capped == "wait"
                yield Said(message.channel, message.template, message.topic or "", message.transactional, waits, message.expires)
            case ast.Call(func=func, args=args, keywords=keywords) if (kind := self.kind(func)) is not None:
                named = {each.arg: each.value for each in keywords}
                template = args[0] if args else named.get("template")
                topic = self.strings(named["topic"])[0] if "topic" in named else ""
                how = self._how(named)
                for name in self.strings(template) if template is not None else []:
                    yield Said(kind.channel, name, topic, **how)

    def _how(self, named: Mapping[str | None, ast.expr]) -> dict[str, Any]:
        expires = self.constant(named["expires"]) if "expires" in named else DAY
        transactional, capped = named.get("transactional"), named.get("capped")
        return {
            "transactional": isinstance(transactional, ast.Constant) and transactional.value is True,
            "waits": capped is None or (isinstance(capped, ast.Constant) and capped.value == "wait"),
            "expires": expires if isinstance(expires, timedelta) else DAY,
        }

    def kind(self, func: ast.expr) -> type[Message] | None:
        """Return the class of messages that is called there; None if it is none."""
        known = resolve(func, self.names)
        if isinstance(known, type) and issubclass(known, Message):
            return known
        return KINDS.get(self.code.source.origin(func))

    def strings(self, node: ast.expr) -> list[str]:
        """Return what a text may be, its source where that is open."""
        return [self._string(leaf, node) for leaf in self.leaves(node)]

    def _string(self, leaf: ast.expr | Value, node: ast.expr) -> str:
        match leaf:
            case ast.Constant(value=str(text)) | Value(value=str(text)):
                return text
            case ast.JoinedStr(values=parts):
                return "".join(self._part_of_text(part) for part in parts)
        return f"{{{self.text(node)}}}"

    def _part_of_text(self, part: ast.expr) -> str:
        match part:
            case ast.Constant(value=text):
                return str(text)
            case ast.FormattedValue(value=value):
                return f"{{{self.text(value)}}}"
        return ""

    # What a name stands for

    def leaves(self, node: ast.expr, met: frozenset[str] = frozenset()) -> list[ast.expr | Value]:
        """Return all that an expression may turn out to be: through names, choices, splits and loops over constants."""
        match node:
            case ast.Name(id=name) if name in self.bindings:
                if name in met:
                    return []
                return [leaf for bound in self.bindings[name] for leaf in self._bound(bound, met | {name})]
            case ast.Name() | ast.Attribute():
                known = resolve(node, self.names)
                return [node] if known is None else [Value(known)]
            case ast.IfExp(body=body, orelse=orelse):
                return self.leaves(body, met) + self.leaves(orelse, met)
            case ast.NamedExpr(value=value):
                return self.leaves(value, met)
            case ast.Subscript(value=choices):
                return [leaf for chosen in self._values(choices, met) for leaf in self._leaf(chosen, met)] or [node]
            case ast.Await(value=ast.Call() as call) if self.code.verb(call) == "split":
                return [leaf for chosen in self.variants(call).values() for leaf in self._leaf(chosen, met)]
        return [node]

    def variants(self, split: ast.Call) -> dict[str, ast.expr | Value]:
        """Return a split's variants by name, each with what it stands for; none if they cannot be read."""
        named = {each.arg: each.value for each in split.keywords}
        node = split.args[1] if len(split.args) > 1 else named.get("variants")
        for leaf in self.leaves(node) if node is not None else []:
            match leaf:
                case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
                    return dict(zip((str(key.value) for key in keys if isinstance(key, ast.Constant)), values, strict=True))
                case Value(value=Mapping() as known):
                    return {str(name): Value(value) for name, value in known.items()}
        return {}

    def _leaf(self, chosen: ast.expr | Value, met: frozenset[str]) -> list[ast.expr | Value]:
        return [chosen] if isinstance(chosen, Value) else self.leaves(chosen, met)

    def _bound(self, binding: Binding, met: frozenset[str]) -> list[ast.expr | Value]:
        _, node, each, place = binding
        found = self._values(node, met) if each else [node]
        parts = found if place is None else [part for whole in found for part in _part(whole, place)]
        return [leaf for part in parts for leaf in self._leaf(part, met)] or [ast.Name(binding[0])]

    def _values(self, node: ast.expr, met: frozenset[str]) -> list[ast.expr | Value]:
        """Return the elements of a sequence, or the values of a mapping, as far as the source tells."""
        found: list[ast.expr | Value] = []
        for leaf in self.leaves(node, met):
            match leaf:
                case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Dict(values=elements):
                    found += elements
                case Value(value=Mapping() as known):
                    found += [Value(value) for value in known.values()]
                case Value(value=tuple() | list() as known):
                    found += [Value(value) for value in known]
        return found

    @cached_property
    def bindings(self) -> Mapping[str, list[Binding]]:
        """What each name of the journey's is bound to, by the statements whose outcome can be followed."""
        found: dict[str, list[Binding]] = {}
        for node in self.code.walk():
            for binding in _bindings(node):
                found.setdefault(binding[0], []).append(binding)
        return found


def _bindings(node: ast.AST) -> Iterator[Binding]:
    """Yield the names that a statement binds, and to what."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value, False, None
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value, False, None
        case ast.For(target=ast.Name(id=name), iter=value):
            yield name, value, True, None
        case ast.For(target=ast.Tuple(elts=elements), iter=value):
            for place, element in enumerate(elements):
                if isinstance(element, ast.Name):
                    yield element.id, value, True, place


def _part(whole: ast.expr | Value, place: int) -> list[ast.expr | Value]:
    match whole:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) if place < len(elements):
            return [elements[place]]
        case Value(value=tuple() | list() as known) if place < len(known):
            return [Value(known[place])]
    return []


class _InWords(ast.NodeTransformer):
    """Puts words in the place of what they say more shortly. Works on a copy."""

    def __init__(self, wording: Wording) -> None:
        self.wording = wording

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and isinstance(value := self.wording.constant(node), timedelta):
            return ast.Name(in_words(value))
        if isinstance(node, ast.Await) and (verb := self.wording.code.verb(node.value)):
            return ast.Name(OUTCOMES[verb])
        return self.generic_visit(node)
