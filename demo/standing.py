"""Where one person's runs stand: asked of the store, of Temporal and of the runs as seldom as it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import bindparam
from sqlmodel import and_, col, exists, select
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from demo.looking import Rest, Unrest, look
from events.claim import to_route
from store.session import Store
from store.tables import AcceptedEvent, Person, Run
from workflows.wire import Standing

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS, RARER = 0.005, 0.1, 1.5
EVENTS_OF_A_FORWARD = 2  # in a history: the clock is to be brought forward, the clock was brought forward


# Each open run's workflow, and, from the same snapshot, whether anything is to be routed: built once, for it is asked often.
OPEN_RUNS = (
    select(Run.workflow_id, exists().where(col(AcceptedEvent.person_id) == col(Person.id), to_route))
    .select_from(Person)
    .outerjoin(Run, and_(col(Run.person_id) == col(Person.id), col(Run.ended_at).is_(None)))
    .where(col(Person.user_id) == bindparam("user_id"))
)


class Stuck(RuntimeError):
    """A played life cannot go on: a call was refused, or a run does not say where it stands."""


@dataclass(frozen=True)
class Waiting:
    """An open run that waits, or is paused."""

    workflow_id: str
    rest: Rest
    standing: Standing

    @property
    def due(self) -> datetime | None:
        """When it acts of its own accord, by its own clock; None while it is paused."""
        if self.rest.attempt is not None:
            return self.rest.attempt + self._lead
        return None if self.standing.paused else self.standing.retry_at or self.standing.deadline

    @property
    def now(self) -> datetime:
        """Its own clock."""
        return self.rest.now + self._lead

    @property
    def _lead(self) -> timedelta:
        return timedelta(seconds=self.standing.offset)

    def is_where_it_was(self, rest: Rest) -> bool:
        """Say whether it has not moved since, nor is about to."""
        still = (rest.execution, rest.length) == (self.rest.execution, self.rest.length)
        return still and (self.due is None or rest.now + self._lead < self.due)


class Runs:
    """The open runs of one person. Those that cannot have moved since they were last looked at are not looked at again."""

    def __init__(self, store: Store, skipper: TimeSkipper, user_id: str) -> None:
        self.store, self.skipper, self.temporal, self.user_id = store, skipper, skipper.client, user_id
        self.known: dict[str, Waiting] = {}
        self.still: set[str] = set()

    def stir(self) -> None:
        """Take note that something has happened to the person: any of their runs may move."""
        self.still.clear()

    async def settled(self) -> None:
        """Return when all that was accepted has been routed, and every run of the person waits or is over."""
        await _answer(self._at_rest)

    async def waiting(self) -> Sequence[Waiting]:
        """Return the person's open runs as soon as they are settled and stand somewhere."""
        return await _answer(self._waiting)

    async def forward(self, waiting: Waiting, target: datetime) -> None:
        """Bring a run's clock to `target`. One that has ended meanwhile has no clock any more."""
        left = target - waiting.now
        if waiting.due is None or target >= waiting.due:
            self.still.discard(waiting.workflow_id)
        if left <= timedelta(0):
            return
        try:
            await self.skipper.fast_forward(self.temporal.get_workflow_handle(waiting.workflow_id), left)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
        rest = waiting.rest
        moved = replace(rest, length=rest.length + EVENTS_OF_A_FORWARD, ahead=rest.ahead + left)
        self.known[waiting.workflow_id] = replace(waiting, rest=moved)

    async def _waiting(self) -> Sequence[Waiting] | None:
        """Return where the open runs stand; None if they do not rest, or one stands between two steps.

        A clock may be brought to a deadline before the run has heard of it.
        """
        at_rest = await self._at_rest()
        if at_rest is None or not all(await asyncio.gather(*(self._stands(*each) for each in at_rest))):
            return None
        return [self.known[workflow_id] for workflow_id, _ in at_rest]

    async def _at_rest(self) -> list[tuple[str, Rest]] | None:
        """Return the open runs; None if there is something to be routed, or one of them has work in hand."""
        rows = await self._rows()
        if any(unrouted for _, unrouted in rows):
            return None
        ids = [workflow_id for workflow_id, _ in rows if workflow_id is not None]
        found = await asyncio.gather(*(self._look(workflow_id) for workflow_id in ids))
        if Unrest.BUSY in found:
            return None
        return [(workflow_id, rest) for workflow_id, rest in zip(ids, found, strict=True) if isinstance(rest, Rest)]

    async def _rows(self) -> Sequence[tuple[str | None, bool]]:
        async with self.store.engine.connect() as connection:
            return [(row[0], row[1]) for row in await connection.execute(OPEN_RUNS, {"user_id": self.user_id})]

    async def _look(self, workflow_id: str) -> Rest | Unrest:
        if workflow_id in self.still:
            return self.known[workflow_id].rest
        return await look(self.temporal, workflow_id)

    async def _stands(self, workflow_id: str, rest: Rest) -> bool:
        """Know where the run stands; False if it stands nowhere. Only a run that has moved is asked."""
        known = self.known.get(workflow_id)
        if workflow_id in self.still:
            return True
        standing = known.standing if known and known.is_where_it_was(rest) else await self._standing(workflow_id)
        if standing is None:
            return False
        self.known[workflow_id] = Waiting(workflow_id, rest, standing)
        self.still.add(workflow_id)
        return True

    async def _standing(self, workflow_id: str) -> Standing | None:
        handle = self.temporal.get_workflow_handle(workflow_id)
        try:
            standing: Standing | None = await handle.query("standing", result_type=Standing)
        except (RPCError, WorkflowQueryFailedError) as error:
            raise Stuck(f"run {workflow_id} of {self.user_id} does not say where it stands: {error}") from error
        return standing


async def _answer(ask: Callable[[], Awaitable[T | None]]) -> T:
    """Ask at once, soon again, and then less and less often, until there is an answer; TimeoutError if patience ends first."""
    pause = FIRST_LOOK_SECONDS
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (answer := await ask()) is None:
            await asyncio.sleep(pause)
            pause = min(pause * RARER, LAST_LOOK_SECONDS)
    return answer
