"""The journeys there are, and how many people are in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel
from sqlmodel import col, func, select

from api.access import READ, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.views import JourneyView
from store.session import Store
from store.tables import Run
from studio.svg import svg
from workflows.definition import JOURNEYS, Definition, current, newest
from workflows.graph import graph
from workflows.listening import listening
from workflows.picture import Edge, Node

router = APIRouter(route_class=BoundedRoute, tags=["Journeys"], dependencies=READ)


Name = Annotated[str, Path(max_length=255, description="The journey's name.", examples=["onboarding"])]
Format = Annotated[Literal["json", "mermaid", "svg"], Query(description="As what: data, text or a picture.", examples=["mermaid"])]
PICTURES: dict[int | str, dict[str, Any]] = {200: {"content": {"image/svg+xml": {}, "text/plain": {}}}}


class Journeys(BaseModel):
    journeys: list[JourneyView]


class JourneyGraph(BaseModel):
    """What a journey does, and what comes after what. A loose edge says what may happen at any moment."""

    journey: str
    version: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@router.get("/v1/journeys", summary="List the journeys")
async def journeys(store: InStore) -> Journeys:
    """List every journey: what starts it, what it listens to, what ends it, and its open runs in all versions."""
    counts = await _open_runs(store)
    return Journeys(journeys=[_view(definition, counts) for definition in newest()])


@router.get(
    "/v1/journeys/{name}/graph",
    summary="Draw a journey",
    response_model=JourneyGraph,
    responses={**PICTURES, **problems({404: "There is no such journey."})},
)
async def journey_graph(name: Name, format: Format = "json") -> Any:
    """Draw the newest version of a journey from its source: as JSON, as Mermaid, or as an SVG that needs nothing else."""
    definition = current(name)
    if definition is None:
        raise Problem(404, "unknown_journey", f"there is no journey {name!r}; GET /v1/journeys lists them")
    picture = graph(definition)
    match format:
        case "mermaid":
            return Response(picture.mermaid(), media_type="text/plain")
        case "svg":
            return Response(svg(picture, name), media_type="image/svg+xml")
    return JourneyGraph(journey=name, version=definition.version, nodes=picture.nodes, edges=picture.edges)


async def _open_runs(store: Store) -> dict[tuple[str, int], int]:
    counted = select(Run.journey, Run.version, func.count()).where(col(Run.ended_at).is_(None))
    async with store.read() as session:
        rows = (await session.exec(counted.group_by(Run.journey, col(Run.version)))).all()
    return {(journey, version): count for journey, version, count in rows}


def _view(definition: Definition[Any], counts: dict[tuple[str, int], int]) -> JourneyView:
    mine = {key: count for key, count in counts.items() if key[0] == definition.name}
    return JourneyView(
        name=definition.name,
        version=definition.version,
        trigger=sorted(definition.trigger_names),
        listens_to=sorted(listening(definition).events),
        exits_on=sorted(definition.exit_names),
        goal=definition.goal.name if definition.goal else None,
        open_runs=sum(mine.values()),
        parked=sum(count for key, count in mine.items() if key not in JOURNEYS),
    )
