"""The journeys and their open runs, as the landing page shows them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from settings import Settings
from store.tables import Person, Run
from workflows.definition import Definition, newest

LATEST_RUNS = 5


@dataclass(frozen=True)
class OpenRun:
    """A run that has not ended, and its page in the Temporal UI."""

    person: str
    key: str
    status: str
    paused: bool
    started_at: datetime
    ui_url: str


@dataclass(frozen=True)
class Overview:
    """A journey and the latest of its open runs. `definition` is None when the code no longer has the journey."""

    name: str
    definition: Definition[Any] | None
    about: str
    ui_url: str  # of all its open runs
    open_runs: int
    latest: list[OpenRun]


async def overviews(session: AsyncSession, settings: Settings) -> list[Overview]:
    """Read every journey that the code has or that somebody is in, by name."""
    counted = select(Run.journey, func.count()).where(col(Run.ended_at).is_(None)).group_by(Run.journey)
    open_runs = dict((await session.exec(counted)).all())
    known = {definition.name: definition for definition in newest()}
    return [
        Overview(
            name,
            definition=known.get(name),
            about=_about(known.get(name)),
            ui_url=_ui_url(name, settings),
            open_runs=open_runs.get(name, 0),
            latest=await _latest(session, name, settings),
        )
        for name in sorted({*known, *open_runs})
    ]


async def _latest(session: AsyncSession, journey: str, settings: Settings) -> list[OpenRun]:
    open_ones = select(Run, Person.user_id).join(Person, col(Person.id) == Run.person_id).where(col(Run.ended_at).is_(None))
    latest = open_ones.where(Run.journey == journey).order_by(col(Run.started_at).desc(), col(Run.id)).limit(LATEST_RUNS)
    return [
        OpenRun(person, run.key, run.status, run.paused, run.started_at, settings.ui_url(run.workflow_id))
        for run, person in (await session.exec(latest)).all()
    ]


def _ui_url(journey: str, settings: Settings) -> str:
    query = urlencode({"query": f'WorkflowType="{journey}" AND ExecutionStatus="Running"'})
    return f"{settings.temporal_ui_url}/namespaces/{settings.temporal_namespace}/workflows?{query}"


def _about(definition: Definition[Any] | None) -> str:
    """Return the first line of what the journey's function, or else its file, says of itself."""
    if definition is None:
        return ""
    said = definition.function.__doc__ or sys.modules[definition.function.__module__].__doc__ or ""
    return said.strip().partition("\n")[0]
