"""What does a journey give each message that it sends: which names for its template? Read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from workflows.definition import Definition
from workflows.messages import CHANNELS, Message
from workflows.source import Code, code_of, names_of
from workflows.wording import Said, Value, Wording

CHANGES = ("update", "setdefault", "pop", "popitem", "clear", "__setitem__")
Names = frozenset[str]


@dataclass(frozen=True)
class Given:
    """A message that a journey may send, and the line that makes it.

    `names` is what its data may hold, None where the source does not tell. `plain`: the source says outright whether it is
    transactional, and what its template and topic are called.
    """

    said: Said
    line: int
    names: Names | None
    plain: bool = True

    @property
    def template(self) -> str:
        """The template, as channel/name; '' where it is only known once the journey runs."""
        return "" if "{" in self.said.template or not self.said.template else f"{self.said.channel}/{self.said.template}"


def given(definition: Definition[Any]) -> tuple[Given, ...]:
    """Return the messages that a journey may send, one for each place that makes one, as far as its source tells."""
    code = code_of(definition)
    wording = Wording(code, names_of(definition))
    return tuple(each for message in _messages(code) for each in _made(wording, message))


def _messages(code: Code) -> Iterator[ast.expr]:
    """Yield what is sent, and what goes in place of messages that are capped."""
    for node in code.walk():
        if isinstance(node, ast.Call) and code.verb(node) == "send":
            yield from [*node.args, *(each.value for each in node.keywords if each.arg == "message")][:1]
        elif isinstance(node, ast.keyword) and node.arg == "capped" and not isinstance(node.value, ast.Constant):
            yield node.value


def _made(wording: Wording, message: ast.expr) -> Iterator[Given]:
    for leaf, said in wording.made(message):
        match leaf:
            case Value(value=Message() as known):
                yield Given(said, message.lineno, frozenset(known.data))
            case ast.Call(func=func, keywords=keywords):
                named = {each.arg: each.value for each in keywords}
                ours = wording.kind(func) in CHANNELS.values()  # a team's own kind may take its data otherwise
                names = _Names(wording).of(_data(leaf, named)) if ours and None not in named else None
                plain = None not in named and isinstance(named.get("transactional", ast.Constant(False)), ast.Constant)
                yield Given(said, leaf.lineno, names, plain and "{" not in said.topic)


def _data(call: ast.Call, named: Mapping[str | None, ast.expr]) -> ast.expr:
    return call.args[1] if len(call.args) > 1 else named.get("data", ast.Dict([], []))


class _Names:
    """Reads which names a mapping may hold: of several that it may turn out to be, those of all together."""

    def __init__(self, wording: Wording) -> None:
        self.wording = wording
        self._open = set[ast.AST]()  # what is being read, so that what is made of itself has an end

    def of(self, node: ast.expr) -> Names | None:
        """Return the names, None where the source does not tell."""
        if node in self._open:
            return frozenset()
        self._open.add(node)
        try:
            found = None if self._changes(node) else [self._of_leaf(leaf) for leaf in self.wording.leaves(node)]
            return None if found is None else _together(found)
        finally:
            self._open.discard(node)

    def _of_leaf(self, leaf: ast.expr | Value) -> Names | None:
        match leaf:
            case Value(value=Mapping() as known):
                return frozenset(map(str, known))
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return _together([self.of(value) if key is None else _name(key) for key, value in pairs])
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return _together([self.of(left), self.of(right)])
            case ast.Call(func=func, args=args, keywords=keywords) if self.wording.code.source.builtin(func) == "dict":
                pieces = [self.of(arg) for arg in args]
                pieces += [self.of(each.value) if each.arg is None else frozenset([each.arg]) for each in keywords]
                return _together(pieces)
        return None

    def _changes(self, node: ast.expr) -> bool:
        """Say whether what that name stands for may be another mapping than the one it was bound to."""
        return isinstance(node, ast.Name) and node.id in self._changed

    @cached_property
    def _changed(self) -> Names:
        """The names whose mappings are changed in place, may be changed by what they are handed to, or are bound in ways unread."""
        code, found = self.wording.code, list[str]()
        stored: dict[str, int] = {}
        for node in code.walk():
            match node:
                case ast.Name(id=name, ctx=ast.Store()):
                    stored[name] = stored.get(name, 0) + 1
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()):
                    found.append(name)
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in CHANGES:
                    found.append(name)
                case ast.Assign(value=ast.Name(id=name)) | ast.NamedExpr(value=ast.Name(id=name)):
                    found.append(name)  # a second name for it
                case ast.Call(func=func, args=args) if not self._only_reads(func):
                    found += [arg.id for arg in args if isinstance(arg, ast.Name)]
        unread = [name for name, times in stored.items() if len(self.wording.bindings.get(name, ())) != times]
        return frozenset([*found, *unread])

    def _only_reads(self, func: ast.expr) -> bool:
        return self.wording.kind(func) is not None or self.wording.code.source.builtin(func) in ("dict", "len", "sorted", "str")


def _name(key: ast.expr) -> Names | None:
    return frozenset([key.value]) if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _together(pieces: list[Names | None]) -> Names | None:
    """Return all the names, or None where some are not known."""
    known = [each for each in pieces if each is not None]
    return frozenset[str]().union(*known) if len(known) == len(pieces) else None
