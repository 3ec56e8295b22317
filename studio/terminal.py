"""A journey's picture as lines of text: what comes after what, branches indented, each thing once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text
from rich.tree import Tree

from studio.layers import ways_back
from workflows.picture import Edge, Graph, Kind, Node

SIGNS: Mapping[Kind, tuple[str, str]] = {
    "trigger": ("●", "green"),
    "send": ("✉", "bold"),
    "wait_for": ("⧗", "yellow"),
    "sleep": ("⧗", "yellow"),
    "until": ("⧗", "yellow"),
    "split": ("◇", "cyan"),
    "matches": ("◇", "cyan"),
    "decision": ("◇", "cyan"),
    "loop": ("↻", "cyan"),
    "end": ("■", "dim"),
    "failure": ("✗", "red"),
}
CHANNELS = {"email": "blue", "sms": "dark_orange", "push": "magenta", "in_app": "green", "webhook": "bright_black"}


def terminal(graph: Graph, title: str) -> Tree:
    """Draw a journey's picture as a tree. What several ways lead to stands where they come together; ways back name it."""
    return _Teller(graph).tell(title)


class _Teller:
    def __init__(self, graph: Graph) -> None:
        loose = {edge.target for edge in graph.edges if edge.loose}
        self.terms = [(edge, next(node for node in graph.nodes if node.id == edge.target)) for edge in graph.edges if edge.loose]
        self.nodes = {node.id: node for node in graph.nodes if node.id not in loose}
        self.ways = {name: [edge for edge in graph.edges if edge.source == name and not edge.loose] for name in self.nodes}
        self.meets = meets(list(self.nodes), self.ways)
        self.told = set[str]()
        numbers = {name: number for number, name in enumerate(self.nodes)}
        edges = [(numbers[edge.source], numbers[edge.target]) for edge in graph.edges if not edge.loose]
        heads = {target for _, target in ways_back(len(numbers), edges)}
        self.named = [name for name, number in numbers.items() if number in heads]  # which a way back names by number

    def tell(self, title: str) -> Tree:
        tree = Tree(Text(title, style="bold"), guide_style="dim")
        for edge, node in self.terms:
            words = f"goal: {node.label}" if node.kind == "goal" else f"{edge.label} {node.label}"
            tree.add(Text(words, style="red" if node.kind == "exit" else "yellow"))
        self._follow(next(iter(self.nodes)), tree, None)
        return tree

    def _follow(self, name: str | None, tree: Tree, until: str | None) -> None:
        """Tell what comes from there on, up to where the ways around it meet again."""
        while name is not None and name != until:
            if name in self.told:
                tree.add(Text(f"→ back to {self._reference(name)}", style="dim"))
                return
            self.told.add(name)
            branch, ways = tree.add(self._line(self.nodes[name])), self.ways[name]
            if len(ways) == 1 and not ways[0].label:
                name = ways[0].target
                continue
            meet = self.meets[name]
            for way in ways:
                self._branch(way, branch, meet or until)
            name = meet

    def _branch(self, way: Edge, tree: Tree, until: str | None) -> None:
        label = Text(way.label or "then", style="italic")
        if way.target == until:
            tree.add(label)
        elif way.target in self.told:
            tree.add(Text.assemble(label, (f" → back to {self._reference(way.target)}", "dim")))
        elif self.nodes[way.target].kind == "end":
            tree.add(Text.assemble(label, " ", self._line(self.nodes[way.target])))
            self.told.add(way.target)
        else:
            self._follow(way.target, tree.add(label), until)

    def _line(self, node: Node) -> Text:
        sign, style = SIGNS[node.kind]
        number = f"  ({self.named.index(node.id) + 1})" if node.id in self.named else ""
        colour = CHANNELS.get(node.channel, "")
        return Text.assemble(
            (f"{sign} ", colour or style), (node.label, style if node.kind in ("end", "failure") else ""), (number, "dim")
        )

    def _reference(self, name: str) -> str:
        return f"({self.named.index(name) + 1})" if name in self.named else self.nodes[name].label


def meets(names: Sequence[str], ways: Mapping[str, Sequence[Edge]]) -> Mapping[str, str | None]:
    """Return for each node the nearest one that every way from it leads through (its immediate post-dominator), if there is one."""
    after = {name: set(names) if ways[name] else {name} for name in names}
    changed = True
    while changed:
        changed = False
        for name in reversed(names):
            through = [after[edge.target] for edge in ways[name]]
            new = {name} | set.intersection(*through) if through else {name}
            if new != after[name]:
                after[name], changed = new, True
    return {name: next(_nearest(name, after), None) for name in names}


def _nearest(name: str, after: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield, of what every way leads through, what all the others come after."""
    beyond = after[name] - {name}
    yield from (each for each in beyond if beyond <= after[each])
