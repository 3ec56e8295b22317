"""A journey's picture as SVG that needs nothing else: readable in light and dark, and by who does not see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise
from pathlib import Path

from studio.layout import LETTER, LINE, PADDING, Box, Layout, Point, Way, layout
from workflows.picture import Graph, Node

MARGIN, TITLE, TERM = 24.0, 34.0, 24.0
ROUND = 9.0
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse">'
    '<path class="tip" d="M0,0.8 L7,4 L0,7.2 Z"/></marker></defs>'
)
STYLE = (Path(__file__).parent / "picture.css").read_text(encoding="utf-8").rstrip()


def svg(graph: Graph, title: str) -> str:
    """Draw a journey's picture as SVG, under that title."""
    found = layout(graph)
    terms = [f"goal: {node.label}" if why == "goal" else f"{why} {node.label}" for why, node in found.terms]
    top = TITLE + (TERM + 8) * len(terms)
    width = max(found.width, *(len(term) * LETTER + 20 for term in (*terms, title))) + 2 * MARGIN
    height = found.height + top + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img"'
            f' style="max-width: 100%; height: auto"><title>{escape(title)}</title><desc>{escape(_told(found, terms))}</desc>',
            f"<style>{STYLE}</style>",
            TIP,
            f'<rect width="{width:g}" height="{height:g}" fill="var(--paper)"/>',
            f'<text class="title" x="{MARGIN:g}" y="{MARGIN + 12:g}">{escape(title)}</text>',
            *(
                part
                for place, (each, term) in enumerate(zip(found.terms, terms, strict=True))
                for part in _term(place, each[1], term)
            ),
            f'<g transform="translate({MARGIN - found.left:g} {MARGIN + top:g})">',
            *(_way(way) for way in found.ways),
            *(part for box in found.boxes.values() for part in _box(box)),
            *(_label(way) for way in found.ways if way.edge.label),
            "</g>",
            "</svg>",
            "",
        ]
    )


def _told(found: Layout, terms: Iterable[str]) -> str:
    """Tell the picture in words: each thing, and what comes after it."""
    after: dict[str, list[str]] = {}
    for way in found.ways:
        on = f"{way.edge.label}: " if way.edge.label else "then "
        after.setdefault(way.edge.source, []).append(on + found.boxes[way.edge.target].node.label)
    things = [
        f"{box.node.label} ({'; '.join(after[name])})" if name in after else box.node.label for name, box in found.boxes.items()
    ]
    return ". ".join([*terms, *things])


def _term(place: int, node: Node, said: str) -> Iterator[str]:
    """Draw what holds at any moment: what ends the run, or what it is for."""
    y, width = MARGIN + TITLE + place * (TERM + 8) - 8, len(said) * LETTER + 24
    yield f'<rect class="box term {node.kind}" x="{MARGIN:g}" y="{y:g}" width="{width:g}" height="{TERM:g}" rx="12"/>'
    yield f'<text x="{MARGIN + 10:g}" y="{y + 16.5:g}">{escape(said)}</text>'


def _box(box: Box) -> Iterator[str]:
    radius = box.height / 2 if box.node.kind in ("trigger", "end") else ROUND
    where = f'x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{min(radius, 20):g}"'
    yield f'<rect class="box {box.node.kind}" {where}/>'
    if box.node.kind == "send":
        bar = f'x="{box.x:g}" y="{box.y + ROUND:g}" width="4" height="{box.height - 2 * ROUND:g}" rx="2"'
        yield f'<rect {bar} fill="var(--{box.node.channel or "edge"})"/>'
    for number, line in enumerate(box.lines):
        y = box.y + PADDING + number * LINE + LINE - 4.5
        yield f'<text x="{box.middle:g}" y="{y:g}" text-anchor="middle">{escape(line)}</text>'


def _way(way: Way) -> str:
    kind = "way back" if way.back else "way"
    return f'<path class="{kind}" d="{_angular(way.points) if way.back else _smooth(way.points)}" marker-end="url(#tip)"/>'


def _smooth(points: tuple[Point, ...]) -> str:
    """Go down through the points in curves that leave and arrive upright."""
    path = [f"M{points[0][0]:g},{points[0][1]:g}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        half = (y + to_y) / 2
        path.append(f"L{to_x:g},{to_y:g}" if abs(x - to_x) < 1 else f"C{x:g},{half:g} {to_x:g},{half:g} {to_x:g},{to_y:g}")
    return " ".join(path)


def _angular(points: tuple[Point, ...]) -> str:
    return "M" + " L".join(f"{x:g},{y:g}" for x, y in points)


def _label(way: Way) -> str:
    """Write what a way is taken on: where it leaves its box, and on a way back beside it."""
    if not way.back:
        x, y, anchor = way.points[0][0], way.points[0][1] + 17, "middle"
    else:
        x, anchor = way.points[1][0] + 6 * way.back, "start" if way.back > 0 else "end"
        y = (way.points[1][1] + way.points[2][1]) / 2 + 4
    return f'<text class="on" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(way.edge.label)}</text>'
