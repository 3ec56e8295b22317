"""How large is each box of a journey's picture, where does it stand, and by which points does each way go?"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from studio.layers import Placed, placed
from workflows.picture import Edge, Graph, Node

BOX, GAP, LINE, PADDING, BETWEEN = 198.0, 26.0, 17.0, 9.0, 46.0  # pixels
CHARACTERS = 25  # that fit into a line of a box
BEND = 8.0  # the room that a way takes where it passes boxes
SIDE = 18.0  # how far a way back keeps from the boxes that it passes, and from the next one

LEFT, RIGHT = -1, 1
LETTER = 6.6  # the width of one beside a way, about

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A node, where its box is (its upper left corner), how large, and its label by lines."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Way:
    """An edge, and the points that it goes by, from one box to another. One that leads `back` goes up, at that side of them."""

    edge: Edge
    points: tuple[Point, ...]
    back: int = 0


@dataclass(frozen=True)
class Layout:
    """A picture laid out: boxes and ways in a field of that size. `terms` are what holds at any moment, beside the flow.

    `left` is where the field begins: ways back may go by the left of all boxes.
    """

    left: float
    width: float
    height: float
    boxes: Mapping[str, Box]
    ways: Sequence[Way]
    terms: Sequence[tuple[str, Node]]


def layout(graph: Graph) -> Layout:
    """Lay a journey's picture out, from top to bottom."""
    loose = {edge.target: edge.label for edge in graph.edges if edge.loose}
    nodes = [node for node in graph.nodes if node.id not in loose]
    edges = [edge for edge in graph.edges if not edge.loose]
    numbers = {node.id: number for number, node in enumerate(nodes)}
    found = placed(len(nodes), [_pair(edge, numbers) for edge in edges], BOX, BEND, GAP)
    tops, heights = _rows(nodes, found.layer)
    left = min(found.across) - BOX / 2
    boxes = {
        node.id: Box(node, middle - BOX / 2 - left, tops[layer], BOX, _height(node), lines_of(node.label))
        for node, middle, layer in zip(nodes, found.across, found.layer, strict=True)
    }
    ways = list(_ways(edges, boxes, numbers, found, tops, heights, left))
    reach = [x for way in ways for x in _reach(way)] + [x for box in boxes.values() for x in (box.x, box.x + box.width)]
    height = max(box.y + box.height for box in boxes.values())
    return Layout(
        min(reach),
        max(reach) - min(reach),
        height,
        boxes,
        ways,
        [(loose[node.id], node) for node in graph.nodes if node.id in loose],
    )


def _reach(way: Way) -> Iterator[float]:
    """Yield how far a way, and what is written on it, reaches across."""
    yield from (x for x, _ in way.points)
    if way.back:
        yield way.points[1][0] + way.back * (LETTER * len(way.edge.label) + 8)


def lines_of(label: str) -> tuple[str, ...]:
    """Break a label into lines that fit into a box."""
    return tuple(textwrap.wrap(label, CHARACTERS, break_on_hyphens=False)) or ("",)


def _pair(edge: Edge, numbers: Mapping[str, int]) -> tuple[int, int]:
    return numbers[edge.source], numbers[edge.target]


def _rows(nodes: Sequence[Node], layer: Sequence[int]) -> tuple[Sequence[float], Sequence[float]]:
    """Return the top and the height of each layer: of its highest box."""
    heights = [max(_height(node) for node, at in zip(nodes, layer, strict=True) if at == row) for row in range(max(layer) + 1)]
    tops = accumulate((height + BETWEEN for height in heights), initial=0.0)
    return list(tops)[:-1], heights


def _height(node: Node) -> float:
    return len(lines_of(node.label)) * LINE + 2 * PADDING


def _ways(
    edges: Sequence[Edge],
    boxes: Mapping[str, Box],
    numbers: Mapping[str, int],
    found: Placed,
    tops: Sequence[float],
    heights: Sequence[float],
    left: float,
) -> Iterator[Way]:
    bends = {
        edge: [(x - left, y) for row, x in _passed(edge, numbers, found) for y in (tops[row], tops[row] + heights[row])]
        for edge in edges
    }
    down = [edge for edge in edges if not _leads_back(edge, numbers, found)]
    taken = {LEFT: 0, RIGHT: 0}  # ways back, at each side of the picture: each has a lane of its own
    for edge in edges:
        source, target = boxes[edge.source], boxes[edge.target]
        if edge in down:
            start = (_port(edge, down, boxes, bends), source.y + source.height)
            yield Way(edge, (start, *bends[edge], (target.middle, target.y)))
        else:
            side = _side(source, target, boxes)
            taken[side] += 1
            yield Way(edge, _back(source, target, boxes, side, taken[side]), back=side)


def _passed(edge: Edge, numbers: Mapping[str, int], found: Placed) -> Iterator[tuple[int, float]]:
    """Yield the layers that an edge passes, each with where it does."""
    source, target = _pair(edge, numbers)
    if not _leads_back(edge, numbers, found):
        yield from zip(range(found.layer[source] + 1, found.layer[target]), found.bends[source, target], strict=True)


def _leads_back(edge: Edge, numbers: Mapping[str, int], found: Placed) -> bool:
    return edge.source == edge.target or _pair(edge, numbers) in found.back


def _port(edge: Edge, down: Sequence[Edge], boxes: Mapping[str, Box], bends: Mapping[Edge, Sequence[Point]]) -> float:
    """Return where a way leaves its box: those that leave it downwards side by side, as they go on."""
    source = boxes[edge.source]
    beside = [each for each in down if each.source == edge.source]
    order = sorted(beside, key=lambda each: (bends[each][0][0] if bends[each] else boxes[each.target].middle, each.label))
    return source.x + source.width * (order.index(edge) + 0.5) / len(beside)


def _side(source: Box, target: Box, boxes: Mapping[str, Box]) -> int:
    """Return at which side a way back is in the way of fewer boxes."""
    rows = {source.y, target.y}
    ends = [each for each in boxes.values() if each.y in rows and each not in (source, target)]
    right = sum(each.x > source.x if each.y == source.y else each.x > target.x for each in ends)
    return LEFT if right > len(ends) - right else RIGHT


def _back(source: Box, target: Box, boxes: Mapping[str, Box], side: int, lane: int) -> tuple[Point, ...]:
    """Return a way up: out at a side of the box, past all that stands between, and in at that side of the other."""
    between = [box for box in boxes.values() if target.y <= box.y <= source.y] if source is not target else [source]
    edge = max(_end(box, side) * side for box in between) * side
    x = edge + SIDE * lane * side
    apart = source.height / 4 if source is target else 0.0
    start, end = source.y + source.height / 2 + apart, target.y + target.height / 2 - apart
    return ((_end(source, side), start), (x, start), (x, end), (_end(target, side), end))


def _end(box: Box, side: int) -> float:
    return box.x + box.width if side == RIGHT else box.x
