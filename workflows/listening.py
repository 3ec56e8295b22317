"""What does a journey listen to? Read from its source, so that nothing else ever wakes its runs."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from workflows.definition import Definition, Event

VERBS = ("send", "wait_for", "sleep", "until", "split")
ASKS = ("seen", "user", "traits", "now", "zone")


@dataclass(frozen=True)
class Listening:
    """The wire names of the events that reach a journey's runs, and the traits its code reads."""

    events: frozenset[str]
    traits: frozenset[str]


class Unreadable(TypeError):
    """What a journey listens to cannot be read from its source. Says where, why, and what to write instead."""


@cache
def listening(definition: Definition[Any]) -> Listening:
    """Read the events a journey waits for, asks about or exits on, and the traits it reads.

    Raises Unreadable, with file and line, where the journey object leaves the function's own plain calls.
    """
    return _Reader(definition).read()


class _Reader:
    def __init__(self, definition: Definition[Any]) -> None:
        lines, self.first = inspect.getsourcelines(definition.function)
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
        assert isinstance(tree, ast.AsyncFunctionDef)
        self.definition, self.tree = definition, tree
        self.journey = tree.args.args[0].arg
        self.names = {**definition.function.__globals__}

    def read(self) -> Listening:
        parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        events, traits = set(self.definition.exit_names), set[str]()
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Name) or node.id != self.journey:
                continue
            verb = parents[node]
            if not isinstance(verb, ast.Attribute) or verb.attr not in VERBS + ASKS:
                raise self._unreadable(node, f"{self.journey!r} is passed on or used otherwise than {self.journey}.verb(...)")
            if verb.attr in ("wait_for", "seen"):
                events.update(self._events(parents.get(verb), verb))
            if verb.attr == "traits" or self._is_user_traits(verb, parents):
                holder = verb if verb.attr == "traits" else parents[verb]
                traits.add(self._trait(parents[holder], parents.get(parents[holder]), holder))
        return Listening(frozenset(events), frozenset(traits))

    def _events(self, call: ast.AST | None, verb: ast.Attribute) -> Iterator[str]:
        if not isinstance(call, ast.Call) or call.func is not verb:
            raise self._unreadable(verb, f"{self.journey}.{verb.attr} is not called on the spot")
        for argument in call.args:
            event = self._resolve(argument)
            if not (isinstance(event, type) and issubclass(event, Event)):
                raise self._unreadable(argument, f"{ast.unparse(argument)!r} is not the name of an Event class")
            yield event.name

    def _resolve(self, node: ast.expr) -> Any:
        match node:
            case ast.Name(id=name):
                return self.names.get(name)
            case ast.Attribute(value=value, attr=attr):
                return getattr(self._resolve(value), attr, None)
        return None

    def _is_user_traits(self, verb: ast.Attribute, parents: dict[ast.AST, ast.AST]) -> bool:
        above = parents[verb]
        return verb.attr == "user" and isinstance(above, ast.Attribute) and above.attr == "traits"

    def _trait(self, use: ast.AST, call: ast.AST | None, at: ast.AST) -> str:
        match use, call:
            case ast.Subscript(slice=ast.Constant(value=str(name))), _:
                return name
            case ast.Attribute(attr="get"), ast.Call(args=[ast.Constant(value=str(name)), *_]):
                return name
        raise self._unreadable(at, 'a trait is read by its name: traits["plan"] or traits.get("plan")')

    def _unreadable(self, node: ast.AST, why: str) -> Unreadable:
        file = self.definition.place.rpartition(":")[0]
        line = self.first + getattr(node, "lineno", 1) - 1
        return Unreadable(
            f"{file}:{line}: cannot read what journey {self.definition.name!r} listens to: {why}; "
            f"call its verbs in the journey's own function, with Event classes by name"
        )
