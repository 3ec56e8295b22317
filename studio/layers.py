"""Which node of a directed graph stands where? Layers from top to bottom, with few crossings and little slant.

By the method of Sugiyama, Tagawa and Toda (1981): ways back are turned round, each node is put below all that leads to it, a
place is kept for every edge that passes a layer, layers are ordered by the mean of their neighbours, and then drawn together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

Edge = tuple[int, int]
SWEEPS = 16  # over all layers, down and up: more changes nothing in pictures of a journey's size


@dataclass(frozen=True)
class Placed:
    """The layer of each node, the middle of each node across, the bends of each edge that passes layers, and which lead back.

    Bends are middles across, one for each layer that is passed, from top to bottom.
    """

    layer: Sequence[int]
    across: Sequence[float]
    bends: Mapping[Edge, Sequence[float]]
    back: frozenset[Edge]


def placed(count: int, edges: Sequence[Edge], width: float, bend: float, gap: float) -> Placed:
    """Place nodes 0 to `count` of one width; node 0 is where the graph begins. `bend` is the width that a passing edge takes."""
    edges = list(dict.fromkeys(edge for edge in edges if edge[0] != edge[1]))
    back = frozenset(ways_back(count, edges))
    down = [edge for edge in edges if edge not in back]
    layer = _layers(count, down)
    chains, whole = _chains(count, down, layer)
    rows = _rows(whole, [step for chain in chains.values() for step in pairwise(chain)])
    widths = [width if node < count else bend for node in range(len(whole))]
    across = _drawn_together(rows[0], rows[1], widths, gap)
    return Placed(layer, across[:count], {edge: [across[each] for each in chain[1:-1]] for edge, chain in chains.items()}, back)


def ways_back(count: int, edges: Sequence[Edge]) -> Iterator[Edge]:
    """Yield the edges that lead back to a node from which they are reached."""
    follow: dict[int, list[int]] = {}
    for source, target in edges:
        follow.setdefault(source, []).append(target)
    done, open_ = set[int](), list[tuple[int, Iterator[int]]]()
    for start in range(count):
        if start not in done:
            open_.append((start, iter(follow.get(start, ()))))
        while open_:
            node, left = open_[-1]
            target = next(left, -1)
            if target < 0:
                done.add(node)
                open_.pop()
            elif any(target == above for above, _ in open_):  # itself, too
                yield node, target
            elif target not in done:
                open_.append((target, iter(follow.get(target, ()))))


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """Put each node right below the lowest that leads to it."""
    layer = [0] * count
    for _ in range(count):
        before = list(layer)
        for source, target in edges:
            layer[target] = max(layer[target], layer[source] + 1)
        if layer == before:
            break
    return layer


def _chains(count: int, edges: Sequence[Edge], layer: Sequence[int]) -> tuple[dict[Edge, list[int]], list[int]]:
    """Return each edge as a chain from layer to layer, through bends that are nodes of their own, and the layer of them all."""
    whole, chains = list(layer), dict[Edge, list[int]]()
    for source, target in edges:
        passed = range(layer[source] + 1, layer[target])
        chains[source, target] = [source, *range(len(whole), len(whole) + len(passed)), target]
        whole += passed
    return chains, whole


def _rows(layer: Sequence[int], steps: Sequence[Edge]) -> tuple[list[list[int]], Mapping[int, list[int]]]:
    """Order each layer so that few steps cross. Returns the rows, and the neighbours of each node."""
    near: dict[int, list[int]] = {node: [] for node in range(len(layer))}
    for source, target in steps:
        near[source].append(target)
        near[target].append(source)
    rows = [[node for node in range(len(layer)) if layer[node] == row] for row in range(max(layer, default=0) + 1)]
    best, fewest = [list(row) for row in rows], _crossings(rows, steps)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            place = {node: index for each in rows for index, node in enumerate(each)}
            beside = -1 if sweep % 2 == 0 else 1
            wanted = {node: _mean_of(near[node], place, layer, layer[node] + beside, place[node]) for node in row}
            row.sort(key=wanted.__getitem__)
        if (crossings := _crossings(rows, steps)) < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best, near


def _mean_of(near: Sequence[int], place: Mapping[int, int], layer: Sequence[int], beside: int, own: float) -> float:
    return fmean([place[each] for each in near if layer[each] == beside] or [own])


def _crossings(rows: Sequence[Sequence[int]], steps: Sequence[Edge]) -> int:
    place = {node: (number, index) for number, row in enumerate(rows) for index, node in enumerate(row)}
    between: dict[int, list[tuple[int, int]]] = {}
    for source, target in steps:
        between.setdefault(place[source][0], []).append((place[source][1], place[target][1]))
    return sum(
        (one[0] - other[0]) * (one[1] - other[1]) < 0
        for some in between.values()
        for number, one in enumerate(some)
        for other in some[number + 1 :]
    )


def _drawn_together(rows: list[list[int]], near: Mapping[int, list[int]], widths: Sequence[float], gap: float) -> list[float]:
    """Move nodes across towards their neighbours, without any in a row coming nearer to the next than `gap`."""
    across = [0.0] * len(widths)
    for row in rows:
        for node, middle in zip(row, _apart([0.0] * len(row), [widths[node] for node in row], gap), strict=True):
            across[node] = middle
    for sweep in range(4 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [fmean([across[each] for each in near[node]] or [across[node]]) for node in row]
            for node, middle in zip(row, _apart(wanted, [widths[node] for node in row], gap), strict=True):
                across[node] = middle
    return across


def _apart(wanted: Sequence[float], widths: Sequence[float], gap: float) -> list[float]:
    """Return the middles nearest to the wanted ones, by least squares, that keep their order and the gap (isotonic regression)."""
    offsets = [0.0]
    for left, right in pairwise(widths):
        offsets.append(offsets[-1] + left / 2 + gap + right / 2)
    blocks: list[list[float]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        blocks.append([want - offset])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    flat = [fmean(block) for block in blocks for _ in block]
    return [middle + offset for middle, offset in zip(flat, offsets, strict=False)]
