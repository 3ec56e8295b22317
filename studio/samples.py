"""Which events and traits might a journey meet? Examples, with the values that its source compares with, and others near them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from pydantic import TypeAdapter, ValidationError

from workflows.definition import Definition, Event
from workflows.source import code_of, names_of, resolve

MOST = 400  # combinations of values that are tried for one event
KEPT = 3  # examples of one event that are gone on with
PLAIN: tuple[Any, ...] = ("", "some", 0, 1, 1.5, True, datetime(2025, 1, 6, 12, tzinfo=UTC), timedelta(days=1), [], {}, None)


class Samples:
    """Examples for one journey."""

    def __init__(self, definition: Definition[Any]) -> None:
        self._definition = definition
        self._tree = code_of(definition).node
        names, nodes = names_of(definition), list(ast.walk(self._tree))
        found = [node.value for node in nodes if isinstance(node, ast.Constant)]
        found += [resolve(node, names) for node in nodes if isinstance(node, ast.Name | ast.Attribute)]
        self.constants = list(dict.fromkeys(each for each in found if isinstance(each, str | int | float)))
        self.compared = {
            each.attr for node in _comparisons(self._tree) for each in ast.walk(node) if isinstance(each, ast.Attribute)
        }

    def events(self, kind: type[Event], takes: Callable[[Event], bool], like: Event | None = None) -> list[Event]:
        """Return events of a kind that are taken, the plainest first, of the same key as `like`; none if none was found.

        There is more than one only where the journey compares their fields with something.
        """
        key = self._definition.key
        fixed = {key: getattr(like, key)} if like is not None and key is not None and key in kind.model_fields else {}
        found: dict[str, Event] = {}
        for event in self._made(kind, fixed):
            if _is_taken(event, takes):
                found.setdefault(self.told(event), event)
        return list(found.values())[:KEPT]

    def told(self, event: Event) -> str:
        """Say what of an event the journey looks at; '' if it looks at nothing."""
        looked_at = sorted(self.compared & type(event).model_fields.keys())
        return "".join(f", {name} {getattr(event, name)!r}" for name in looked_at)

    def traits(self, name: str) -> list[Any]:
        """Return what a trait may be: not there, or one of the values that it is compared with."""
        compared = [node for node in ast.walk(self._tree) if isinstance(node, ast.Compare) and name in _constants(node)]
        values = [value for node in compared for value in _constants(node) if value != name]
        return [None, *dict.fromkeys(values or ["some"])]

    def _made(self, kind: type[Event], fixed: Mapping[str, Any]) -> Iterator[Event]:
        fields = {name: [fixed[name]] if name in fixed else self._values(field) for name, field in kind.model_fields.items()}
        for number, values in enumerate(product(*fields.values())):
            if number >= MOST:
                return
            try:
                yield kind.model_validate(dict(zip(fields, values, strict=True)))
            except ValidationError:
                continue

    def _values(self, field: Any) -> list[Any]:
        """Return values that fit a field, its default first."""
        adapter = TypeAdapter(field.annotation)
        default = [] if field.is_required() else [field.get_default(call_default_factory=True)]
        numbers = [value for value in self.constants if isinstance(value, int | float) and not isinstance(value, bool)]
        near = [value + by for value in numbers for by in (1, -1)]
        fits = [value for value in (*PLAIN, *self.constants, *near) if _fits(adapter, value)]
        return default + [value for value in _distinct(fits) if value not in default][:8]


def _comparisons(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what the journey compares, but for the conditions of its waits."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Compare | ast.match_case):
            yield node
        elif not isinstance(node, ast.Lambda):
            yield from _comparisons(node)


def _fits(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _distinct(values: list[Any]) -> list[Any]:
    return list({repr(value): value for value in values}.values())


def _is_taken(event: Event, takes: Callable[[Event], bool]) -> bool:
    try:
        return takes(event)
    except Exception:  # a condition may raise anything of what it has not been made for
        return False


def _constants(node: ast.AST) -> list[Any]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
