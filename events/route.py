"""From accepted events to the runs they wake: each person's in order, each once, whatever dies in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy import bindparam, literal_column, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from temporalio.client import Client
from temporalio.service import RPCError

from events.enrol import enrol
from events.reach import arrival, hears, known_user, triggered_by
from events.reconcile import put_right
from events.segments import take_note
from events.temporal import Held, Told, is_final, start, tell, why
from settings import Settings
from store.session import Store, database_clock, lock, several
from store.tables import AcceptedEvent, Person, Run
from workflows.definition import EVENTS
from workflows.wire import Enrolment, Signal

log = logging.getLogger(__name__)

T = TypeVar("T")

LEASE = timedelta(seconds=30)
PEOPLE_AT_ONCE = 32
EVENTS_AT_ONCE = 1000
IDLE_SECONDS = 0.02
TROUBLE_SECONDS = 1.0
CLOSING_SECONDS = 1.0  # in which a run that is just closing has closed

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
people = Person.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]

# With the constant in its text and not as a parameter, so that both databases see that the partial indexes serve it.
to_route = or_(col(AcceptedEvent.status) == literal_column("'pending'"), col(AcceptedEvent.reconsider).is_not(None))
free = or_(col(Person.claimed_until).is_(None), col(Person.claimed_until) < database_clock())

# The statements of every round, made once: making one costs more than running it.
whose_turn = (
    select(AcceptedEvent.person_id).join(Person).where(to_route, free).order_by(col(AcceptedEvent.id)).limit(EVENTS_AT_ONCE)
)
still_free = select(Person, database_clock()).where(col(Person.id).in_(several("people")), free).with_for_update(skip_locked=True)
claim = (
    update(people).where(people.c.id.in_(several("people"))).values(claimed_by=bindparam("me"), claimed_until=bindparam("until"))
)
their_events = (
    select(AcceptedEvent)
    .where(col(AcceptedEvent.person_id).in_(several("people")), to_route)
    .order_by(col(AcceptedEvent.id))
    .limit(EVENTS_AT_ONCE)
)
their_runs = select(Run).where(col(Run.person_id).in_(several("people")), col(Run.ended_at).is_(None))
acted = update(events).where(events.c.id.in_(several("acted"))).values(status="routed")
considered = (  # unless another journey has asked for it meanwhile: then it is considered again for both
    update(events).where(events.c.id == bindparam("event"), events.c.reconsider == bindparam("for")).values(reconsider=None)
)
no_longer_fits = update(events).where(events.c.id == bindparam("event")).values(status="invalid", error=bindparam("why"))
are_running = update(runs).where(runs.c.id.in_(several("started")), runs.c.status == "starting").values(status="running")
could_not_start = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.ended_at.is_(None))
    .values(status="failed", reason=bindparam("why"), ended_at=runs.c.started_at)
)
newest_to_route = select(col(AcceptedEvent.id)).where(to_route).order_by(col(AcceptedEvent.id).desc()).limit(1)
let_go = (
    update(people)
    .where(people.c.id.in_(several("people")), people.c.claimed_by == bindparam("me"))
    .values(claimed_by=None, claimed_until=None)
)


@dataclass
class Work:
    """One person's share of a round: their events in order, and the runs that were open when it began."""

    person: Person
    events: list[AcceptedEvent]
    open: list[Run]
    started: list[Run] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # events that no longer fit their class, and why
    failed: dict[str, str] = field(default_factory=dict)  # runs that can never start, and why
    held: bool = False  # what is left of the events waits for a run to close


@dataclass(frozen=True)
class Router:
    """Routes what is accepted, one of any number that share a store. `name` tells its claims from the others'."""

    store: Store
    client: Client
    settings: Settings
    name: str
    held: set[int] = field(default_factory=set)  # people whose events wait for a run to close

    async def run(self) -> None:
        """Route for ever. With Temporal or the store away it tries again; nothing that was accepted is lost by that."""
        while True:
            written = self.store.written()
            if not await _persist(self.round):
                await self.store.written_since(written, IDLE_SECONDS)

    async def drain(self) -> None:
        """Route all that is accepted by now, so that a worker that comes up late meets events before deadlines.

        What another router has claimed is waited for, be it dead; what waits for a run to close takes a worker, and is not.
        """
        newest = await _persist(self._newest)
        while await _persist(lambda: self._is_left(newest)):
            if not await _persist(self.round):
                await asyncio.sleep(IDLE_SECONDS)

    async def _newest(self) -> int:
        async with self.store.read() as session:
            return (await session.exec(newest_to_route)).first() or 0

    async def _is_left(self, newest: int) -> bool:
        left = select(AcceptedEvent.id).where(to_route, col(AcceptedEvent.id) <= newest)
        async with self.store.read() as session:
            return (await session.exec(left.where(col(AcceptedEvent.person_id).not_in(self.held)).limit(1))).first() is not None

    async def round(self) -> int:
        """Route what is pending of some people, each in order, side by side. Returns how many people."""
        works = await self._claim()
        if not works:
            return 0
        results = await asyncio.gather(*(self._route(work) for work in works), return_exceptions=True)
        await self._done(works, [work for work, result in zip(works, results, strict=True) if result is None])
        for result in results:
            if result is not None:
                raise result
        return len(works)

    async def _claim(self) -> list[Work]:
        """Lease the people with the oldest pending events that no other router works on, and read what there is to do."""
        async with self.store.read() as session:
            waiting = (await session.exec(whose_turn)).all()
        oldest = list(dict.fromkeys(waiting))[:PEOPLE_AT_ONCE]
        if not oldest:
            return []
        async with self.store.write(durable=False) as session:
            claimed = (await session.exec(still_free, params={"people": oldest})).all()
            if not claimed:
                return []
            theirs = {"people": [person.id for person, _ in claimed]}
            await session.exec(claim, params={**theirs, "me": self.name, "until": claimed[0][1] + LEASE})
            pending = (await session.exec(their_events, params=theirs)).all()
            inside = (await session.exec(their_runs, params=theirs)).all()
            works = [
                Work(
                    person,
                    [event for event in pending if event.person_id == person.id],
                    [run for run in inside if run.person_id == person.id],
                )
                for person, _ in claimed
            ]
            await take_note(session, [(work.person, work.events) for work in works])
        return works

    async def _route(self, work: Work) -> None:
        for place, event in enumerate(work.events):
            try:
                await self._event(work, event)
            except ValidationError as error:
                log.error("event %s (%s) no longer fits its class and acts on nothing: %s", event.id, event.name, why(error))
                work.refused[event.id or 0] = why(error)
            except Held:
                work.events, work.held = work.events[:place], True
                return

    async def _event(self, work: Work, event: AcceptedEvent) -> None:
        """Let one event act: on the runs that listen to it, and on the journeys that it starts."""
        if event.kind == "run":
            await self._start(work, event, [run for run in work.open if run.id == event.run_id])
            return
        reached = [run for run in work.open if event.status == "pending" and hears(run, event)]
        told = await asyncio.gather(*(self._tell(work.person, run, event) for run in reached))
        for run, answer in zip(reached, told, strict=True):
            if answer is Told.CLOSED:
                work.open.remove(run)
                await put_right(self.store, self.client, run)
        if event.kind == "track" and event.run_id is None:
            await self._start(work, event, await self._enrol(work, event))

    async def _enrol(self, work: Work, event: AcceptedEvent) -> list[Run]:
        """Add the rows of the runs that this event starts, and return those to start; some may be from before a router died."""
        inside = {(run.journey, run.key) for run in work.open if run.trigger_id != event.id}
        starting = [each for each in triggered_by(event) if (each.name, each.key_of(EVENTS[event.name], event.data)) not in inside]
        if not starting:
            return []
        async with self.store.write() as session:
            await lock(session, [event.person_id])
            entering = [
                await enrol(session, each, work.person, event.name, event.data, event.accepted_at, event.id) for each in starting
            ]
        runs = [run for run in entering if isinstance(run, Run) and run.status == "starting"]
        work.open += [run for run in runs if run.id not in {each.id for each in work.open}]
        return runs

    async def _start(self, work: Work, event: AcceptedEvent, runs: Iterable[Run]) -> None:
        for run in runs:
            try:
                await self._begin(work.person, run, event)
            except (ValidationError, RPCError) as error:
                if is_final(error):
                    work.failed[run.id] = f"cannot start: {why(error)}"
                    work.open.remove(run)
                    log.error("run %s (%s) %s", run.id, run.journey, work.failed[run.id])
                if not is_final(error) or isinstance(error, ValidationError):
                    raise
            else:
                work.started.append(run)

    async def _begin(self, person: Person, run: Run, event: AcceptedEvent) -> None:
        """Start the run's workflow. Raises Held if the one before it stays open; one that is just closing is waited for."""
        enrolment = self._enrolment(person, run, event)
        for _ in range(int(CLOSING_SECONDS / IDLE_SECONDS)):
            if await start(self.client, run, enrolment, self.settings.task_queue) or not await self._is_starting(run):
                break
            await asyncio.sleep(IDLE_SECONDS)
        else:
            log.warning("run %s waits for the run before it under %s, which Temporal has open, to close", run.id, run.workflow_id)
            raise Held
        if event.reconsider is not None:
            await self._catch_up(person, run, event)

    async def _catch_up(self, person: Person, run: Run, trigger: AcceptedEvent) -> None:
        """Tell a run that starts on an event of some time ago what has acted since: the run before it had that in its place."""
        assert trigger.id is not None
        mine = select(AcceptedEvent).where(AcceptedEvent.person_id == person.id, AcceptedEvent.status == "routed")
        async with self.store.read() as session:
            since = (await session.exec(mine.where(col(AcceptedEvent.id) > trigger.id).order_by(col(AcceptedEvent.id)))).all()
        for event in since:
            if hears(run, event):
                await self._tell(person, run, event)

    async def _is_starting(self, run: Run) -> bool:
        async with self.store.read() as session:
            return (await session.exec(select(Run.status).where(Run.id == run.id))).one() == "starting"

    async def _tell(self, person: Person, run: Run, event: AcceptedEvent) -> Told:
        reaching = arrival(event, known_user(person, run))
        try:
            return await tell(self.client, run, reaching.event, Signal(run.id, reaching))
        except RPCError as error:
            if not is_final(error):
                raise
            log.error("event %s (%s) cannot reach run %s: %s", event.id, event.name, run.id, why(error))
            return Told.REFUSED

    def _enrolment(self, person: Person, run: Run, event: AcceptedEvent) -> Enrolment:
        return Enrolment(
            run_id=run.id,
            version=run.version,
            user=known_user(person, run),
            trigger=arrival(event, None),
            clock=run.started_at if event.clock_offset else None,
            fallback_zone=self.settings.zone,
            continue_after=self.settings.continue_after,
        )

    async def _done(self, works: Sequence[Work], done: Sequence[Work]) -> None:
        """Record which events have acted and which runs have started, and let go of the people.

        Lost with a power failure, it is done again: whatever came of it later is durable only together with it.
        """
        again = [event for work in done for event in work.events if event.reconsider is not None]
        started = [run.id for work in done for run in work.started]
        held = {work.person.id or 0 for work in done if work.held}
        async with self.store.write(durable=False) as session:
            await session.exec(acted, params={"acted": [event.id for work in done for event in work.events]})
            for each in again:
                await session.exec(considered, params={"event": each.id, "for": each.reconsider})
            for event, error in [entry for work in done for entry in work.refused.items()]:
                await session.exec(no_longer_fits, params={"event": event, "why": error})
            for run, error in [entry for work in done for entry in work.failed.items()]:
                await session.exec(could_not_start, params={"run": run, "why": error})
            if started:
                await session.exec(are_running, params={"started": started})
            finished = [work.person.id for work in works if work.person.id not in held]  # the others' lease runs out
            await session.exec(let_go, params={"people": finished, "me": self.name})
        self.held.difference_update(work.person.id or 0 for work in works)
        self.held.update(held)


async def _persist(act: Callable[[], Awaitable[T]]) -> T:
    """Do it, again and again while Temporal or the store does not answer."""
    while True:
        try:
            return await act()
        except (RPCError, OSError, SQLAlchemyError) as error:
            log.warning("routing waits, for Temporal or the store does not answer: %s", error)
            await asyncio.sleep(TROUBLE_SECONDS)
