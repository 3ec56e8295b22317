"""The whole house in one process, for tests: a store, the API, the router and a worker, on a real Temporal server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle

from demo.player import Player
from store.tables import AcceptedEvent, Person, Run
from studio.house import House, house
from studio.scenario import only as alone
from worker import work
from workflows.definition import Definition, Event

PATIENCE_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.01


@dataclass(frozen=True)
class Stage(House):
    """What a test acts on."""

    @property
    def player(self) -> Player:
        return Player(self.store, self.temporal, self.api)

    async def run(self, user: str) -> Run:
        """Return the person's last run."""
        return (await self.runs(user))[-1]

    async def track(self, user: str, event: Event, *, message_id: str | None = None) -> None:
        """Send an event as an app would: now, through the HTTP API."""
        body = {**_properties(user, event), "messageId": message_id or uuid4().hex}
        answer = await self.api.post("/v1/track", json=body)
        answer.raise_for_status()

    async def batch(self, user: str, events: Sequence[Event]) -> None:
        """Send events in one batch."""
        calls = [
            {"type": "track", "userId": user, "event": each.name, "properties": each.model_dump(mode="json")} for each in events
        ]
        (await self.api.post("/v1/batch", json={"batch": calls})).raise_for_status()

    async def events(self, user: str, name: str) -> Sequence[AcceptedEvent]:
        """Return what was accepted of the person under that name, in order."""
        async with self.store.read() as session:
            mine = select(AcceptedEvent).join(Person).where(Person.user_id == user, AcceptedEvent.name == name)
            return (await session.exec(mine.order_by(col(AcceptedEvent.id)))).all()

    async def settled(self, user: str) -> None:
        """Wait until all that was accepted of the person has acted, and their runs wait or are over."""
        await self.player.settle(user)

    async def forward(self, run: Run, duration: timedelta) -> None:
        """Let that much time pass for the run."""
        await self.player.skipper.fast_forward(self.workflow(run), duration)

    async def forward_unattended(self, run: Run, duration: timedelta) -> asyncio.Task[None]:
        """Let time pass up to the run's next deadline while no worker is there to act on it. Await the result once one is."""
        fired = await self._timers_fired(run)
        passing = asyncio.create_task(self.forward(run, duration))
        await eventually(lambda: self._has_fired_more(run, fired))
        return passing

    async def _has_fired_more(self, run: Run, than: int) -> bool:
        return await self._timers_fired(run) > than

    async def _timers_fired(self, run: Run) -> int:
        return sum(event.event_type == EventType.EVENT_TYPE_TIMER_FIRED for event in await self.history(run))

    async def history(self, run: Run) -> list[HistoryEvent]:
        """Return the events of the run's workflow."""
        return [event async for event in self.workflow(run).fetch_history_events()]

    async def signals(self, run: Run) -> list[str]:
        """Return the names of the signals that have reached the run."""
        history = await self.history(run)
        return [
            event.workflow_execution_signaled_event_attributes.signal_name
            for event in history
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        ]

    async def failed_tasks(self, run: Run) -> list[str]:
        """Return why workflow tasks of the run have failed, one line each."""
        failures = [
            event.workflow_task_failed_event_attributes.failure
            for event in await self.history(run)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
        ]
        return [f"{failure.application_failure_info.type}: {failure.message}" for failure in failures]

    async def task_failure(self, run: Run) -> str:
        """Wait until a workflow task of the run has failed, and return why: what the Temporal UI shows to the operator."""
        await eventually(lambda: self._has_failed(run))
        return (await self.failed_tasks(run))[0]

    async def _has_failed(self, run: Run) -> bool:
        return bool(await self.failed_tasks(run))

    async def somebody(self) -> str:
        """Introduce a new person, with an address on each channel, and return their id."""
        user = uuid4().hex
        await self.identify(user)
        return user

    async def identify(self, user: str, zone: str = "UTC", traits: Mapping[str, Any] | None = None) -> None:
        """Introduce a person, or tell what has changed about them, with an address on each channel."""
        known = {"email": f"{user}@example.org", "phone": "+4915112345678", **(traits or {})}
        context = {"timezone": zone, "device": {"token": f"token-{user}", "type": "android"}}
        answer = await self.api.post("/v1/identify", json={"userId": user, "traits": known, "context": context})
        answer.raise_for_status()

    async def diary(self, run: Run) -> str:
        """Return what the Temporal UI shows as the run's current details."""
        query = "__temporal_workflow_metadata"
        metadata: WorkflowMetadata = await self.workflow(run).query(query, result_type=WorkflowMetadata)
        return metadata.current_details

    async def started(self, user: str, count: int = 1) -> Run:
        """Wait until that many runs of the person have started on Temporal, and return the last."""
        await eventually(lambda: self._have_started(user, count))
        return await self.run(user)

    async def _have_started(self, user: str, count: int) -> bool:
        return sum(run.status != "starting" for run in await self.runs(user)) >= count

    async def over(self, user: str) -> Run:
        """Wait until the person's last run has ended, and return it."""
        await eventually(lambda: self._is_over(user))
        return await self.run(user)

    async def _is_over(self, user: str) -> bool:
        runs = await self.runs(user)
        return bool(runs) and all(run.ended_at for run in runs)

    def workflow(self, run: Run) -> WorkflowHandle[Any, Any]:
        """Return the handle of a run's workflow."""
        return self.temporal.get_workflow_handle(run.workflow_id)


def _properties(user: str, event: Event) -> dict[str, Any]:
    return {"userId": user, "event": event.name, "properties": event.model_dump(mode="json")}


async def eventually(true: Callable[[], Awaitable[bool]], patience: float = PATIENCE_SECONDS) -> None:
    """Return once it is true; TimeoutError if it does not become so in good time."""
    async with asyncio.timeout(patience):
        while not await true():
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


@dataclass
class Played:
    """What has been on stage in this session: on which task queues, the modules of the journeys, and where some of them lie."""

    queues: list[tuple[Client, str]] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)


PLAYED = Played()


@contextmanager
def only(definitions: Sequence[Definition[Any]]) -> Iterator[None]:
    """Let these be the only journeys there are, and take note of them."""
    PLAYED.modules.update(each.function.__module__ for each in definitions)
    with alone(definitions):
        yield


@asynccontextmanager
async def stage(temporal: Client, database_url: str, journeys: Path, **options: Any) -> AsyncIterator[Stage]:
    """Bring the house up, as `studio.house` does, and take note of it."""
    async with house(temporal, database_url, journeys, **options) as up:
        PLAYED.queues.append((temporal, up.settings.task_queue))
        yield Stage(up.settings, up.store, up.temporal, up.api, up.router)


@asynccontextmanager
async def as_deployed(up: Stage) -> AsyncIterator[None]:
    """Run all that a worker process runs, in its order."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work(up.settings, up.store, up.temporal, stop))
        yield
        stop.set()
