"""Is a journey marketing? It is, unless all that it sends is transactional: read from its source, once for all its runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any

from workflows.definition import Definition
from workflows.messages import Message
from workflows.source import code_of, names_of
from workflows.wording import Value, Wording


@cache
def is_marketing(definition: Definition[Any]) -> bool:
    """Say whether a journey sends anything that is not transactional; what cannot be read from its source is taken for that."""
    code = code_of(definition)
    wording = Wording(code, names_of(definition))
    sends = [node for node in code.walk() if isinstance(node, ast.Call) and code.verb(node) == "send"]
    return not all(_is_transactional(leaf) for send in sends for leaf in _messages(wording, send))


def _messages(wording: Wording, send: ast.Call) -> Iterator[ast.expr | Value]:
    """Yield all that a send may send."""
    named = {each.arg: each.value for each in send.keywords}
    message = send.args[0] if send.args else named.get("message")
    yield from wording.leaves(message) if message is not None else [send]


def _is_transactional(leaf: ast.expr | Value) -> bool:
    match leaf:
        case Value(value=Message() as message):
            return message.transactional
        case ast.Call(keywords=keywords):
            said = {each.arg: each.value for each in keywords}
            return isinstance(yes := said.get("transactional"), ast.Constant) and yes.value is True
    return False
