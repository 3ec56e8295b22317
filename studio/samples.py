"""Which events and traits might a journey meet? Examples, with the values that its source compares with, and others near them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import product
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from workflows.definition import Definition, Event
from workflows.source import code_of, names_of, resolve

MOST = 400  # combinations of values that are tried for one event
KEPT = 8  # examples of one event that are gone on with
TRIGGERS = 16  # examples of what a journey starts on
ANY = "some"  # what a trait is that the code compares with nothing
PLAIN: tuple[Any, ...] = ("", ANY, 0, 1, 1.5, True, datetime(2025, 1, 6, 12, tzinfo=UTC), timedelta(days=1), [], {}, None)


class Samples:
    """Examples for one journey."""

    def __init__(self, definition: Definition[Any]) -> None:
        self._definition = definition
        self._tree, self._names = code_of(definition).node, names_of(definition)
        self._constants = list(dict.fromkeys(self._meant(self._tree)))
        self._comparisons = [sides for node in ast.walk(self._tree) if (sides := _sides(node))]
        self._compared = _attributes(side for sides in _branches(self._tree) for side in sides)
        self._known: dict[tuple[type[Event], str], list[Event]] = {}
        self.unfit = set[str]()  # fields for which no value was found that fits

    def events(self, kind: type[Event], takes: Callable[[Event], bool], like: Event | None = None, most: int = KEPT) -> list[Event]:
        """Return events of a kind that are taken, the plainest first, of the same key as `like`; none if none was found.

        There is more than one only where the journey compares their fields with something.
        """
        key = self._definition.key
        fixed = {key: getattr(like, key)} if like is not None and key is not None and key in kind.model_fields else {}
        found: dict[str, Event] = {}
        for event in self._every(kind, fixed):
            if _is_taken(event, takes):
                found.setdefault(self.told(event), event)
        return list(found.values())[:most]

    def told(self, event: Event) -> str:
        """Say what of an event the journey looks at; '' if it looks at nothing."""
        looked_at = sorted(self._compared & type(event).model_fields.keys())
        return "".join(f", {name} {_said(getattr(event, name))}" for name in looked_at)

    def traits(self, name: str) -> list[Any]:
        """Return what a trait may be: not there, or one of the values that it is compared with."""
        compared = [constants for parts in self._comparisons if name in (constants := _constants(parts))]
        values = [value for constants in compared for value in constants if value != name]
        return [None, *dict.fromkeys(values or [ANY])]

    def of_user(self, name: str, usual: str) -> list[str]:
        """Return what a person's zone or locale may be: the usual, or what the journey compares it with."""
        return list(dict.fromkeys([usual, *(value for value in self._near(name) if isinstance(value, str))]))

    def compares(self, name: str) -> bool:
        """Say whether the journey compares what is called so with something."""
        return name in self._compared

    def _every(self, kind: type[Event], fixed: Mapping[str, Any]) -> list[Event]:
        """Make events of a kind once, for a journey may ask for them thousands of times."""
        made = (kind, repr(fixed))
        if made not in self._known:
            self._known[made] = list(self._made(kind, fixed))
        return self._known[made]

    def _made(self, kind: type[Event], fixed: Mapping[str, Any]) -> Iterator[Event]:
        """Yield events of a kind. Where nothing is found that fits, they have what does not: the code looks at it all the same."""
        fields = {name: [fixed[name]] if name in fixed else self._values(name, field) for name, field in kind.model_fields.items()}
        unfit = [name for name, values in fields.items() if not values]
        self.unfit.update(f"{kind.name}.{name}" for name in unfit)
        fields |= {name: _misfit(kind.model_fields[name].annotation) for name in unfit}
        for number, values in enumerate(product(*fields.values())):
            if number >= MOST:
                return
            told = dict(zip(fields, values, strict=True))
            try:
                yield kind.model_construct(**told) if unfit else kind.model_validate(told)
            except ValidationError:
                continue

    def _values(self, name: str, field: Any) -> list[Any]:
        """Return values that fit a field, its default first; no others than it is compared with, if it is compared with any."""
        declared: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(declared)
        default = [] if field.is_required() else [field.get_default(call_default_factory=True)]
        near = [value for value in (*_members(field.annotation), *self._near(name)) if _fits(adapter, value)]
        plain = [value for value in PLAIN if _fits(adapter, value)]
        if near and name in self._compared:
            return _distinct([*default, *plain[:1], *near])
        return _distinct([*default, *near, *plain, *(value for value in self._constants if _fits(adapter, value))])[:8]

    def _near(self, name: str) -> list[Any]:
        """Return what the source compares a field of that name with, and the numbers beside it."""
        compared = [sides for sides in self._comparisons if name in _attributes(sides)]
        values = [value for sides in compared for side in sides for value in self._meant(side)]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        return [*values, *(value + by for value in numbers for by in (1, -1))]

    def _meant(self, node: ast.AST) -> list[Any]:
        """Return the constants in an expression, written out or by name."""
        found = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
        found += [resolve(each, self._names) for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute)]
        return [value for value in found if isinstance(value, str | int | float)]


def _branches(tree: ast.AST) -> Iterator[Sequence[ast.AST]]:
    """Yield what the journey compares, but for the conditions of its waits."""
    for node in ast.iter_child_nodes(tree):
        if sides := _sides(node):
            yield sides
        if not isinstance(node, ast.Lambda | ast.Compare):
            yield from _branches(node)


def _sides(node: ast.AST) -> Sequence[ast.AST]:
    """Return what a node compares: of a `match` its subject, patterns and guards, but not what follows from them."""
    if isinstance(node, ast.Compare):
        return [node]
    if isinstance(node, ast.Match):
        return [node.subject, *(part for case in node.cases for part in (case.pattern, case.guard) if part is not None)]
    return ()


def _attributes(nodes: Iterable[ast.AST]) -> set[str]:
    return {each.attr for node in nodes for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _said(value: Any) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


def _members(annotation: Any) -> Iterator[Any]:
    """Yield all that a field may be, where its type lists it: the members of an enumeration, the values of a Literal."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from annotation
    else:
        for each in get_args(annotation):
            yield from _members(each)


def _misfit(annotation: Any) -> list[Any]:
    """Return a value for a field that none fits: one of its type, if there is any."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return [value for value in PLAIN if _fits(adapter, value)][-1:] or [None]


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


def _constants(nodes: Iterable[ast.AST]) -> list[Any]:
    return [each.value for node in nodes for each in ast.walk(node) if isinstance(each, ast.Constant)]
