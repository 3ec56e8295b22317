"""From accepted events to the runs they wake: each person's in order, each once, whatever dies in between."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from pydantic import ValidationError
from sqlalchemy import bindparam, func, update
from sqlmodel import col, select
from temporalio.client import Client
from temporalio.service import RPCError

from events.claim import INSIDE, Claim, Work, claim, done_with, starts, to_route
from events.enrol import enrol
from events.failing import count, count_first
from events.for_ever import complain, persist
from events.lease import RENEWED_AFTER, is_ours, let_go, renew
from events.merging import met_elsewhere
from events.reach import arrival, hears, known_user, triggered_by
from events.reconcile import put_right
from events.temporal import Held, Told, is_final, start, tell, why
from settings import Settings
from store.many import among
from store.outage import fault, is_outage
from store.session import Store, announce, lock
from store.tables import BACKLOG, LIVE, AcceptedEvent, Person, Run
from workflows.definition import EVENTS
from workflows.wire import Enrolment, Signal

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.02
CLOSING_SECONDS = 1.0  # in which a run that is just closing has closed

events = AcceptedEvent.__table__  # type: ignore[attr-defined]
runs = Run.__table__  # type: ignore[attr-defined]

no_longer_fits = update(events).where(events.c.id == bindparam("event")).values(status="invalid", error=bindparam("why"))
are_running = update(runs).where(among(runs.c.id, "started"), runs.c.status == "starting").values(status="running")
could_not_start = (
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.ended_at.is_(None))
    .values(status="failed", reason=bindparam("why"), ended_at=runs.c.started_at)
)
newest = select(func.max(col(AcceptedEvent.id)))


class Gone(Exception):
    """The person was merged into another, or erased, while their events were being routed, or the claim on them ran out."""


@dataclass(frozen=True)
class Router:
    """Routes what is accepted, one of any number that share a store. `name` tells its claims from the others'."""

    store: Store
    client: Client
    settings: Settings
    name: str
    held: set[int] = field(default_factory=set)  # people whose events wait for a run to close
    turns: dict[int, int] = field(default_factory=dict)  # by lane, after whom the next round goes on

    async def run(self) -> None:
        """Route for ever. After an outage or an error of ours it tries again; nothing that was accepted is lost by that.

        What happens now and what was imported are served side by side, so that neither waits for the other's round.
        """
        async with asyncio.TaskGroup() as lanes:
            for lane in (LIVE, BACKLOG):
                lanes.create_task(self._serve(lane))

    async def _serve(self, lane: int) -> None:
        while True:
            written = self.store.written()
            done = await persist("routing", lambda: self._round(lane))
            if done is None:
                await self.store.written_since(written, IDLE_SECONDS)
            elif done == 0:  # others are at work on them
                await asyncio.sleep(IDLE_SECONDS)

    async def drain(self) -> None:
        """Route what is live by now, so that a worker that comes up late meets events before deadlines.

        What was imported has deadlines to meet where its person is in a journey, so that is routed too, and the rest of an
        import, which may take hours, is not. What another router has claimed is waited for, be it dead; what waits for a run
        to close takes a worker, and is not.
        """
        newest = await persist("routing", self._newest)
        for lane in (LIVE, INSIDE):
            while await persist("routing", partial(self._is_left, lane, newest)):
                if not await persist("routing", partial(self._round, lane)):
                    await asyncio.sleep(IDLE_SECONDS)

    async def _newest(self) -> int:
        async with self.store.read() as session:
            return (await session.exec(newest)).one() or 0

    async def _is_left(self, lane: int, newest: int) -> bool:
        left = select(AcceptedEvent.id).where(to_route, col(AcceptedEvent.id) <= newest)
        if lane == INSIDE:
            left = left.join(Run, col(Run.person_id) == AcceptedEvent.person_id).where(col(Run.ended_at).is_(None))
        else:
            left = left.where(AcceptedEvent.lane == lane)
        async with self.store.read() as session:
            return (await session.exec(left.where(col(AcceptedEvent.person_id).not_in(self.held)).limit(1))).first() is not None

    async def round(self) -> int:
        """Route what is pending of some people, each in order, side by side: live events first. Returns how many people."""
        return await self._round(LIVE) or await self._round(BACKLOG) or 0

    async def _round(self, lane: int) -> int | None:
        """Route what is pending of some people of that lane. Returns how many people, or None if nobody waits.

        Who is cancelled meanwhile lets go of whom they have claimed, so that the next router goes on at once.
        """
        by = f"{self.name}/{os.urandom(4).hex()}"  # no two rounds are one claim's
        claiming = asyncio.ensure_future(claim(self.store, by, lane, self.turns.get(lane, 0)))
        try:
            claimed = await asyncio.shield(claiming)
            if claimed is None:
                return None
            self.turns[lane] = claimed.last
            return await self._act(lane, claimed)
        except asyncio.CancelledError:
            await asyncio.shield(self._leave(claiming))
            raise

    async def _act(self, lane: int, claimed: Claim) -> int:
        if claimed.broken:
            async with self.store.write(durable=False) as session:
                for person, error in claimed.broken.items():
                    await count_first(session, person, error, claimed.by, self.settings.routing_attempts)
        works = claimed.works
        if not works:
            return claimed.done
        results = await asyncio.gather(*(self._route(work) for work in works), return_exceptions=True)
        await self._done(lane, claimed, [work for work, result in zip(works, results, strict=True) if result is None])
        for result in results:
            if result is not None:
                raise result
        return claimed.done + len(works)

    async def _leave(self, claiming: asyncio.Future[Claim | None]) -> None:
        """Let go of all that a round has claimed, or is just claiming."""
        try:
            claimed = await claiming
            if claimed is not None and claimed.works:
                async with self.store.write(durable=False) as session:
                    await let_go(session, [work.person.id or 0 for work in claimed.works], claimed.by)
        except Exception as error:  # then the lease runs out
            complain("letting go", error)

    async def _keep(self, work: Work) -> None:
        """Have the claim on a person last as long as the work. Raises Gone if it is ours no more."""
        if monotonic() - work.claimed_at < RENEWED_AFTER.total_seconds():
            return
        if not await renew(self.store, work.person.id or 0, work.by):
            raise Gone
        work.claimed_at = monotonic()

    async def _route(self, work: Work) -> None:
        for place, event in enumerate(work.events):
            try:
                await self._keep(work)
                await self._event(work, event)
            except ValidationError as error:
                log.error("event %s (%s) no longer fits its class and acts on nothing: %s", event.id, event.name, why(error))
                work.refused[event.id or 0] = why(error)
            except Held:
                work.events, work.held = work.events[:place], True
                return
            except Gone:
                work.events = work.events[:place]  # the others are routed as whose they are now
                return
            except Exception as error:
                if is_outage(error):
                    raise
                wrong = fault(error)
                log.error("event %s (%s) cannot be routed, attempt %s: %s", event.id, event.name, event.attempts + 1, wrong)
                work.events, work.broken = work.events[:place], (event, wrong)
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
        if event.kind == "exit" and not reached:
            await self._end_merged(work.person, event)
        if event.kind == "merge":
            for run in work.open:
                await self._bring(work, run)
        if starts(event):
            await self._start(work, event, await self._enrol(work, event))

    async def _end_merged(self, person: Person, event: AcceptedEvent) -> None:
        """End the workflow of a run whose row a merge has ended: no open run of the person is that one."""
        async with self.store.read() as session:
            run = await session.get(Run, event.run_id)
        if run is not None and run.status == "merged":
            await self._tell(person, run, event)

    async def _bring(self, work: Work, run: Run) -> None:
        """Tell a run what its person did while they were thought to be two: it takes what it has had already once."""
        person = work.person.id or 0
        routed = await self._routed_since(work.person, run.trigger_id or 0)
        await self._retell(work, run, [event for event in routed if met_elsewhere(run.met_as, event.met_as, person)])

    async def _enrol(self, work: Work, event: AcceptedEvent) -> list[Run]:
        """Add the rows of the runs that this event starts, and return those to start; some may be from before a router died."""
        inside = {(run.journey, run.key) for run in work.open if run.trigger_id != event.id}
        starting = [each for each in triggered_by(event) if (each.name, each.key_of(EVENTS[event.name], event.data)) not in inside]
        if not starting:
            return []
        async with self.store.write() as session:
            await lock(session, [event.person_id])
            if (await session.exec(select(Person.id).where(Person.id == event.person_id))).first() is None:
                raise Gone
            entering = [
                await enrol(session, each, work.person, event.name, event.data, event.accepted_at, event.id) for each in starting
            ]
        runs = [run for run in entering if isinstance(run, Run) and run.status == "starting"]
        work.open += [run for run in runs if run.id not in {each.id for each in work.open}]
        return runs

    async def _start(self, work: Work, event: AcceptedEvent, runs: Iterable[Run]) -> None:
        for run in runs:
            try:
                await self._begin(work, run, event)
            except (ValidationError, RPCError) as error:
                if is_final(error):
                    work.failed[run.id] = f"cannot start: {why(error)}"
                    work.open.remove(run)
                    log.error("run %s (%s) %s", run.id, run.journey, work.failed[run.id])
                if not is_final(error) or isinstance(error, ValidationError):
                    raise
            else:
                work.started.append(run)

    async def _begin(self, work: Work, run: Run, event: AcceptedEvent) -> None:
        """Start the run's workflow. Raises Held if the one before it stays open; one that is just closing is waited for."""
        enrolment = self._enrolment(work.person, run, event)
        for _ in range(int(CLOSING_SECONDS / IDLE_SECONDS)):
            if not await is_ours(self.store, work.person.id or 0, work.by):  # for an erased person must not enter a history
                raise Gone
            if await start(self.client, run, enrolment, self.settings.task_queue) or not await self._is_starting(run):
                break
            await asyncio.sleep(IDLE_SECONDS)
        else:
            log.warning("run %s waits for the run before it under %s, which Temporal has open, to close", run.id, run.workflow_id)
            raise Held
        if event.reconsider is not None:
            await self._catch_up(work, run, event)

    async def _catch_up(self, work: Work, run: Run, trigger: AcceptedEvent) -> None:
        """Tell a run that starts on an event of some time ago what has acted since: the run before it had that in its place."""
        assert trigger.id is not None
        await self._retell(work, run, await self._routed_since(work.person, trigger.id))

    async def _retell(self, work: Work, run: Run, past: Iterable[AcceptedEvent]) -> None:
        """Tell a run of events that have acted already. What does not fit its class any more, or is told no more, is left out."""
        for event in past:
            await self._keep(work)
            try:
                if hears(run, event):
                    await self._tell(work.person, run, event)
            except ValidationError as error:
                log.error(
                    "event %s (%s) is not brought to run %s, for it no longer fits: %s", event.id, event.name, run.id, why(error)
                )

    async def _routed_since(self, person: Person, event_id: int) -> Sequence[AcceptedEvent]:
        mine = select(AcceptedEvent).where(AcceptedEvent.person_id == person.id, AcceptedEvent.status == "routed")
        async with self.store.read() as session:
            return (await session.exec(mine.where(col(AcceptedEvent.id) > event_id).order_by(col(AcceptedEvent.id)))).all()

    async def _is_starting(self, run: Run) -> bool:
        async with self.store.read() as session:
            return (await session.exec(select(Run.status).where(Run.id == run.id))).first() == "starting"

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

    async def _done(self, lane: int, claimed: Claim, done: Sequence[Work]) -> None:
        """Record which events have acted and which runs have started, and let go of the people.

        Lost with a power failure, it is done again: whatever came of it later is durable only together with it.
        """
        started = [run.id for work in done for run in work.started]
        held = {work.person.id or 0 for work in done if work.held}
        resting = {work.person.id or 0 for work in done if work.broken}
        async with self.store.write(durable=False) as session:
            await done_with(session, [event for work in done for event in work.events])
            for event, error in [entry for work in done for entry in work.refused.items()]:
                await session.exec(no_longer_fits, params={"event": event, "why": error})
            for run, error in [entry for work in done for entry in work.failed.items()]:
                await session.exec(could_not_start, params={"run": run, "why": error})
            if started:
                await session.exec(are_running, params={"started": started})
            for work in done:
                if work.broken is not None:
                    stopped_at, error = work.broken
                    await count(session, stopped_at.id or 0, error, claimed.by, self.settings.routing_attempts)
            theirs = {work.person.id or 0 for work in claimed.works}
            await let_go(session, list(theirs - held - resting), claimed.by)  # the held's lease runs out
            if lane == BACKLOG:  # what has come of these people meanwhile was passed over while they were claimed
                await announce(await session.connection())
        self.held.difference_update(theirs)
        self.held.update(held)
