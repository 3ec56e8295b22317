"""A journey as a picture: nodes, edges, and how Mermaid writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "trigger", "send", "wait_for", "sleep", "until", "split", "matches", "decision", "loop", "end", "failure", "exit", "goal"
]
SHAPES: dict[Kind, tuple[str, str]] = {
    "trigger": ("([", "])"),
    "send": ("[", "]"),
    "wait_for": ("{{", "}}"),
    "sleep": ("(", ")"),
    "until": ("(", ")"),
    "split": ("[/", "/]"),
    "matches": ("{", "}"),
    "decision": ("{", "}"),
    "loop": ("[[", "]]"),
    "end": ("((", "))"),
    "failure": (">", "]"),
    "exit": ("([", "])"),
    "goal": ("([", "])"),
}
ENTITIES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "&": "#amp;"}


@dataclass(frozen=True)
class Node:
    """One thing that a journey does. `line` is where it is written; the rest is for sends."""

    id: str
    kind: Kind
    label: str
    line: int
    channel: str = ""
    templates: tuple[str, ...] = ()
    topic: str = ""


@dataclass(frozen=True)
class Edge:
    """What comes after what, and when. A loose one is no step: it says what may happen at any moment."""

    source: str
    target: str
    label: str = ""
    loose: bool = False


@dataclass(frozen=True)
class Graph:
    """A journey's picture."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def mermaid(self) -> str:
        """Write it as a Mermaid flowchart."""
        return "\n".join(["flowchart TD", *map(_node, self.nodes), *map(_edge, self.edges), ""])


def _node(node: Node) -> str:
    opened, closed = SHAPES[node.kind]
    return f'  {node.id}{opened}"{_text(node.label)}"{closed}'


def _edge(edge: Edge) -> str:
    arrow = "-.->" if edge.loose else "-->"
    return f"  {edge.source} {arrow}" + (f'|"{_text(edge.label)}"|' if edge.label else "") + f" {edge.target}"


def _text(label: str) -> str:
    return "".join(ENTITIES.get(character, character) for character in label)
