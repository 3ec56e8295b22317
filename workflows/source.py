"""Where is a journey's code? Its file, parsed, and its function in it."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from workflows.definition import Definition

VERBS = ("send", "wait_for", "sleep", "until", "split", "matches")
ASKS = ("seen", "user", "traits", "now", "zone")
JOURNEY = "workflows.definition.journey"


@dataclass(frozen=True, eq=False)
class Source:
    """A file of journeys, parsed."""

    file: str
    tree: ast.Module

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def origins(self) -> Mapping[str, str]:
        """Where each imported name comes from: `dt` from `datetime`, `Email` from `workflows.messages.Email`."""
        return {name: origin for node in ast.walk(self.tree) for name, origin in imported(node)}

    @cached_property
    def journeys(self) -> tuple[Code, ...]:
        """The functions that are decorated with `journey`, in the order they are written."""
        functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.AsyncFunctionDef)]
        return tuple(Code(self, node) for node in functions if any(self._is_journey(each) for each in node.decorator_list))

    def _is_journey(self, decorator: ast.expr) -> bool:
        return self.origin(decorator.func if isinstance(decorator, ast.Call) else decorator) == JOURNEY

    def origin(self, node: ast.AST) -> str:
        """Return the dotted origin of a name or attribute: '' if it does not come from an import."""
        match node:
            case ast.Name(id=name):
                return self.origins.get(name, "")
            case ast.Attribute(value=value, attr=attr) if base := self.origin(value):
                return f"{base}.{attr}"
        return ""

    def builtin(self, node: ast.AST) -> str:
        """Return the name of the builtin that is named there: '' if it is no plain name, or the file gives it a meaning."""
        return node.id if isinstance(node, ast.Name) and node.id not in self._own_names else ""

    @cached_property
    def _own_names(self) -> frozenset[str]:
        return frozenset(name for node in ast.walk(self.tree) for name in _named(node)) | frozenset(self.origins)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a node stands in, the nearest first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent


@dataclass(frozen=True, eq=False)
class Code:
    """A journey's function."""

    source: Source
    node: ast.AsyncFunctionDef

    @property
    def j(self) -> str:
        """What the function calls its Journey: its first parameter."""
        arguments = self.node.args
        return next((argument.arg for argument in (*arguments.posonlyargs, *arguments.args)), "")

    @property
    def uses(self) -> Iterator[ast.Name]:
        """Every place at which the function's code names its Journey."""
        return (node for node in ast.walk(self.node) if isinstance(node, ast.Name) and node.id == self.j)

    @property
    def lines(self) -> range:
        """The lines that the function takes, its decorators included."""
        return range(_first_line(self.node), (self.node.end_lineno or self.node.lineno) + 1)

    def verb(self, node: ast.AST) -> str:
        """Return which verb of the journey that node calls: '' if it calls none."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=verb)) if name == self.j and verb in VERBS:
                return verb
        return ""

    def has_verb(self, *nodes: ast.AST) -> bool:
        return any(self.verb(inner) for node in nodes for inner in ast.walk(node))

    def walk(self) -> Iterator[ast.AST]:
        """Yield every node of the function's body, decorators and annotations left out."""
        return (node for statement in self.node.body for node in ast.walk(statement))


@lru_cache(maxsize=256)
def parsed(file: str, text: str) -> Source:
    """Parse a file. Raises SyntaxError, which names file and line."""
    return Source(file, ast.parse(text, file))


def code_of(definition: Definition[Any]) -> Code:
    """Find a journey's function in its file. Raises OSError, with the place, if the file cannot be read or has changed."""
    function = inspect.unwrap(definition.function).__code__
    linecache.checkcache(function.co_filename)
    lines = linecache.getlines(function.co_filename, definition.function.__globals__)
    source = parsed(function.co_filename, "".join(lines))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef) and _first_line(node) == function.co_firstlineno:
            return Code(source, node)
    raise OSError(f"{definition.place}: there is no source of journey {definition.name!r}; keep its file beside what runs it")


def names_of(definition: Definition[Any]) -> Mapping[str, Any]:
    """Return what the names in a journey's function mean: those of its file, less those that the function itself assigns."""
    function = inspect.unwrap(definition.function)
    own = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
    known = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    return {name: value for name, value in known.items() if name not in own}


def resolve(node: ast.AST, names: Mapping[str, Any]) -> Any:
    """Return what a name or a chain of attributes stands for; None if that is not known."""
    match node:
        case ast.Name(id=name):
            return names.get(name)
        case ast.Attribute(value=value, attr=attr):
            return getattr(resolve(value, names), attr, None)
    return None


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that an import binds, each with its dotted origin. A relative one is in the package `journeys`."""
    match node:
        case ast.Import(names=names):
            for name in names:
                yield (name.asname, name.name) if name.asname else (name.name.partition(".")[0],) * 2
        case ast.ImportFrom(module=module, names=names, level=level):
            base = ".".join(part for part in ("journeys" if level else "", module) if part)
            for name in names:
                yield name.asname or name.name, f"{base}.{name.name}"


def _first_line(node: ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _named(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
