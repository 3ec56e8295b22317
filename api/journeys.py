"""The journeys there are, and how many people are in them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlmodel import col, func, select

from api.access import READ, InStore
from api.body import BoundedRoute
from api.views import JourneyView
from store.session import Store
from store.tables import Run
from workflows.definition import JOURNEYS, Definition, newest
from workflows.listening import listening

router = APIRouter(route_class=BoundedRoute, tags=["Journeys"], dependencies=READ)


class Journeys(BaseModel):
    journeys: list[JourneyView]


@router.get("/v1/journeys", summary="List the journeys")
async def journeys(store: InStore) -> Journeys:
    """List every journey: what starts it, what it listens to, what ends it, and its open runs in all versions."""
    counts = await _open_runs(store)
    return Journeys(journeys=[_view(definition, counts) for definition in newest()])


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
