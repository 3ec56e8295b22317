"""Pictures as SVG and in the terminal: everything is there, nothing lies on anything else, whatever the journey."""

from __future__ import annotations

import re
from html import unescape
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from journeys.advocacy import advocacy
from journeys.onboarding import onboarding
from journeys.reengagement import reengagement
from studio.layers import placed
from studio.layout import layout
from studio.svg import svg
from studio.terminal import terminal
from workflows.graph import graph
from workflows.picture import Edge, Graph, Node

NODES = st.integers(2, 14)
WIDTH, BEND, GAP = 198.0, 8.0, 26.0


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Draw a graph in which everything can be reached from node 0."""
    count = draw(NODES)
    reached = [(draw(st.integers(0, node - 1)), node) for node in range(1, count)]
    more = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=12))
    return count, reached + more


@given(graphs())
def test_no_two_nodes_of_a_layer_are_nearer_than_the_gap_and_every_edge_leads_down_or_is_known_to_lead_back(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    count, edges = drawn
    found = placed(count, edges, WIDTH, BEND, GAP)
    for one, other in combinations(range(count), 2):
        if found.layer[one] == found.layer[other]:
            assert abs(found.across[one] - found.across[other]) >= WIDTH + GAP - 0.001
    for source, target in edges:
        if source != target and (source, target) not in found.back:
            assert found.layer[source] < found.layer[target]
            assert len(found.bends[source, target]) == found.layer[target] - found.layer[source] - 1


@given(graphs())
def test_a_picture_of_any_shape_has_all_its_nodes_and_edges(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    picture = made(*drawn)
    boxes = layout(picture).boxes.values()
    for one, other in combinations(boxes, 2):
        beside = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert beside or one.y + one.height <= other.y or other.y + other.height <= one.y
    written = unescape(re.sub(r"<[^>]+>", " ", svg(picture, "any").partition("</style>")[2]))
    told = words(picture)
    for node in picture.nodes:
        assert node.label in written
        assert told.count(f" {node.label} ") >= 1
    for edge in picture.edges:
        assert edge.label in written
        assert edge.label in told


def made(count: int, edges: list[tuple[int, int]]) -> Graph:
    nodes = tuple(Node(f"n{number}", "decision", f"does-{number}", number) for number in range(count))
    return Graph(
        nodes, tuple(Edge(f"n{source}", f"n{target}", f"way-{source}-{target}") for source, target in dict.fromkeys(edges))
    )


def words(picture: Graph) -> str:
    console = Console(width=200, record=True, file=None, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(terminal(picture, "any"))
    return " ".join(captured.get().split()) + " "


def test_a_picture_in_the_terminal_reads_as_the_journey_does() -> None:
    assert [line.lstrip("│├└─ ") for line in lines(graph(advocacy), "advocacy")] == [
        "advocacy",
        "exits at any time on Project Left",
        "goal: Referral Sent",
        "● Commit Pushed",
        "◇ len(j.seen(CommitPushed)) < REGULAR or j.now < begun + 21 days?  (1)",
        "yes",
        "⧗ wait for Commit Pushed, 14 days",
        "not in time ■ end",
        "happened → back to (1)",
        "no",
        "⧗ until 16:00 on Thu, spread over 30 minutes",
        "◇ split advocacy-ask",
        "share",
        "✉ send email share_your_story [community]",
        "refer",
        "✉ send email bring_a_friend [community]",
        "⧗ wait for Referral Sent or Story Shared, 14 days",
        "happened",
        "✉ send in_app thanks [community]",
        "not in time",
        "⧗ sleep 180 days",
        "■ end",
    ]


def test_a_picture_fits_into_eighty_columns() -> None:
    for each in (onboarding, reengagement):
        assert max(map(len, lines(graph(each), each.name))) <= 80


def lines(picture: Graph, name: str) -> list[str]:
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(terminal(picture, name))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_way_back_goes_up_beside_the_boxes_it_passes() -> None:
    found = layout(graph(reengagement))
    (loop,) = [way for way in found.ways if way.back]
    assert loop.edge.label == "happened"
    box = found.boxes[loop.edge.source]
    assert all(x <= box.x or x >= box.x + box.width for x, _ in loop.points)
    assert all(y >= to_y for (_, y), (_, to_y) in pairwise(loop.points))


def test_an_svg_has_the_colours_of_light_and_dark_and_its_words_for_who_does_not_see_it() -> None:
    drawn = svg(graph(onboarding), "onboarding")
    assert "prefers-color-scheme: dark" in drawn
    assert 'role="img"' in drawn
    told = unescape(drawn.partition("<desc>")[2].partition("</desc>")[0])
    assert "send email welcome (not sent: send in_app welcome; sent: wait for Commit Pushed, 3 days)" in told
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
