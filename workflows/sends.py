"""What may a journey send, and what of it is still ahead of a run that stands at some step? Read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workflows.definition import Definition
from workflows.drawing import Undrawable
from workflows.graph import graph
from workflows.picture import Graph, Node
from workflows.source import code_of, names_of
from workflows.wording import Said, Wording

SPEAKING = {"wait": "wait_for", "send": "send", "sleep": "sleep", "until": "until", "split": "split", "matches": "matches"}


@dataclass(frozen=True)
class Sends:
    """The messages that a journey may send, in the order of its source; not the `whole` of them where some are made elsewhere."""

    messages: tuple[Said, ...]
    whole: bool


def sends(definition: Definition[Any]) -> Sends:
    """Return the messages that a journey may send, as far as its source tells."""
    code = code_of(definition)
    wording = Wording(code, names_of(definition))
    calls = [node for node in code.walk() if isinstance(node, ast.Call) and code.verb(node) == "send" and node.args]
    found, whole = dict[Said, None](), True
    for call in sorted(calls, key=lambda each: (each.lineno, each.col_offset)):
        messages = wording.messages(call.args[0])
        whole = whole and bool(messages)
        found.update(dict.fromkeys(messages))
    for instead in _instead(code.node):
        found.update(dict.fromkeys(wording.messages(instead)))
    return Sends(tuple(found), whole)


def _instead(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what goes in place of messages that are capped."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "capped" and not isinstance(node.value, ast.Constant):
            yield node.value


def ahead(definition: Definition[Any], step: str) -> frozenset[tuple[str, str]] | None:
    """Return the messages, by channel and template, that may come after a step; None if the source does not tell."""
    try:
        drawn = graph(definition)
    except Undrawable:
        return None
    standing = [node for node in drawn.nodes if _is_at(node, step)]
    if not standing:
        return None
    messages = [(node.channel, template) for node in _after(drawn, standing) for template in node.templates]
    return frozenset(messages) if all(channel for channel, _ in messages) else None


def _is_at(node: Node, step: str) -> bool:
    """Say whether a run that stands at that step may stand at that node. A step that was given a key of its own is nowhere."""
    verb, _, rest = step.partition("#")[0].partition(":")
    if node.kind != SPEAKING.get(verb):
        return False
    if verb == "send":
        channel, _, template = rest.removesuffix(":instead").partition("/")
        return node.channel in ("", channel) and template in node.templates
    if verb == "wait":
        asked = " or ".join(rest.split("|"))
        return node.label.startswith((f"wait for {asked},", f"wait for {asked} where", f"has {asked} "))
    return True


def _after(drawn: Graph, nodes: list[Node]) -> list[Node]:
    """Return what may come after these nodes, themselves only where a loop leads back."""
    known = {node.id: node for node in drawn.nodes}
    left, reached = [node.id for node in nodes], dict[str, Node]()
    while left:
        source = left.pop()
        for edge in drawn.edges:
            if edge.source == source and not edge.loose and edge.target not in reached:
                reached[edge.target] = known[edge.target]
                left.append(edge.target)
    return [node for node in reached.values() if node.kind == "send"]
