"""From accepted events to the runs they wake: each person's in order, each once, whatever dies in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, literal_column, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from temporalio.client import Client
from temporalio.service import RPCError

from events.enrol import enrol
from events.reconcile import put_right
from events.temporal import Told, start, tell
from settings import Settings
from store.session import Store, database_now, lock
from store.tables import AcceptedEvent, Person, Run
from workflows.definition import EVENTS, EXIT, IDENTIFY, JOURNEYS, Definition, newest
from workflows.listening import listening
from workflows.run import Arrival, User
from workflows.wire import Enrolment, Signal

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
PEOPLE_AT_ONCE = 32
EVENTS_AT_ONCE = 1000
IDLE_SECONDS = 0.02
TROUBLE_SECONDS = 1.0

# With the constant in its text and not as a parameter, so that both databases see that the partial indexes serve it.
to_route = or_(col(AcceptedEvent.status) == literal_column("'pending'"), col(AcceptedEvent.reconsider).is_not(None))


@dataclass
class Work:
    """One person's share of a round: their events in order, and the runs that were open when it began."""

    person: Person
    events: list[AcceptedEvent]
    open: list[Run]
    started: list[Run] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # events that no longer fit their class, and why


@dataclass(frozen=True)
class Router:
    """Routes what is accepted, one of any number that share a store. `name` tells its claims from the others'."""

    store: Store
    client: Client
    settings: Settings
    name: str

    async def run(self) -> None:
        """Route for ever. With Temporal or the store away it tries again; nothing that was accepted is lost by that."""
        while True:
            written = self.store.written()
            if not await self._try_round():
                await self.store.written_since(written, IDLE_SECONDS)

    async def drain(self) -> None:
        """Route until nothing is left, so that a worker that comes up late meets events before deadlines."""
        while await self._try_round():
            pass

    async def _try_round(self) -> bool:
        """Make a round; False if nothing was left to do."""
        try:
            return await self.round() > 0
        except (RPCError, OSError, SQLAlchemyError) as error:
            log.warning("routing waits, for Temporal or the store does not answer: %s", error)
            await asyncio.sleep(TROUBLE_SECONDS)
            return True

    async def round(self) -> int:
        """Route what is pending of some people, each in order, side by side. Returns how many people."""
        people = await self._claim()
        if not people:
            return 0
        works = await self._load(people)
        results = await asyncio.gather(*(self._route(work) for work in works), return_exceptions=True)
        await self._done(people, [work for work, result in zip(works, results, strict=True) if result is None])
        for result in results:
            if result is not None:
                raise result
        return len(people)

    async def _claim(self) -> Sequence[int]:
        """Lease the people with the oldest pending events that no other router works on."""
        pending = select(AcceptedEvent.person_id).join(Person).where(to_route).order_by(col(AcceptedEvent.id))
        async with self.store.read() as session:
            waiting = (await session.exec(pending.where(_free(await database_now(session))).limit(EVENTS_AT_ONCE))).all()
        oldest = list(dict.fromkeys(waiting))[:PEOPLE_AT_ONCE]
        if not oldest:
            return []
        async with self.store.write() as session:
            now = await database_now(session)
            people = select(Person.id).where(col(Person.id).in_(oldest), _free(now)).with_for_update(skip_locked=True)
            claimed = [each for each in (await session.exec(people)).all() if each is not None]
            claim = update(Person).where(col(Person.id).in_(claimed)).values(claimed_by=self.name, claimed_until=now + LEASE)
            await session.exec(claim)
            return claimed

    async def _load(self, people: Sequence[int]) -> list[Work]:
        """Read each one's first pending events, in order, and open runs."""
        theirs = select(AcceptedEvent).where(col(AcceptedEvent.person_id).in_(people), to_route)
        inside = select(Run).where(col(Run.person_id).in_(people), col(Run.ended_at).is_(None))
        async with self.store.read() as session:
            persons = (await session.exec(select(Person).where(col(Person.id).in_(people)))).all()
            events = (await session.exec(theirs.order_by(col(AcceptedEvent.id)).limit(EVENTS_AT_ONCE))).all()
            runs = (await session.exec(inside)).all()
        return [
            Work(
                person,
                [event for event in events if event.person_id == person.id],
                [run for run in runs if run.person_id == person.id],
            )
            for person in persons
        ]

    async def _route(self, work: Work) -> None:
        for event in work.events:
            try:
                await self._event(work, event)
            except ValidationError as error:
                log.error("event %s (%s) no longer fits its class and acts on nothing: %s", event.id, event.name, error)
                work.refused[event.id or 0] = str(error)

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
        """Add the rows of the runs that this event starts; those it started before a router died are among them."""
        inside = {(run.journey, run.key) for run in work.open if run.trigger_id != event.id}
        starting = [each for each in triggered_by(event) if (each.name, each.key_of(event.data)) not in inside]
        if not starting:
            return []
        mine = select(Run).where(Run.person_id == event.person_id, Run.trigger_id == event.id)
        async with self.store.write() as session:
            await lock(session, [event.person_id])
            runs = list((await session.exec(mine)).all())
            for definition in starting:
                if definition.name not in {run.journey for run in runs}:
                    run = await enrol(session, definition, work.person, event.name, event.data, event.accepted_at)
                    if isinstance(run, Run):
                        run.trigger_id = event.id
                        runs.append(run)
        runs = [run for run in runs if run.status == "starting"]
        work.open += [run for run in runs if run.id not in {each.id for each in work.open}]
        return runs

    async def _start(self, work: Work, event: AcceptedEvent, runs: Iterable[Run]) -> None:
        for run in runs:
            enrolment = self._enrolment(work.person, run, event)
            while not await start(self.client, run, enrolment, self.settings.task_queue):
                if not await self._is_starting(run):
                    break
                await asyncio.sleep(IDLE_SECONDS)  # the person's last run of this journey is just closing
            if event.reconsider is not None:
                await self._catch_up(work.person, run, event)
            work.started.append(run)

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
        return await tell(self.client, run, reaching.event, Signal(run.id, reaching))

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

    async def _done(self, people: Sequence[int], done: Sequence[Work]) -> None:
        """Record which events have acted and which runs have started, and let go of the people."""
        routed = [event.id for work in done for event in work.events]
        again = [event.id for work in done for event in work.events if event.reconsider is not None]
        started = [run.id for work in done for run in work.started]
        events, runs = update(AcceptedEvent), update(Run)
        async with self.store.write() as session:
            await session.exec(events.where(col(AcceptedEvent.id).in_(routed)).values(status="routed"))
            if again:
                await session.exec(events.where(col(AcceptedEvent.id).in_(again)).values(reconsider=None))
            for event, error in [entry for work in done for entry in work.refused.items()]:
                await session.exec(events.where(col(AcceptedEvent.id) == event).values(status="invalid", error=error))
            if started:
                fresh = runs.where(col(Run.id).in_(started), col(Run.status) == "starting")
                await session.exec(fresh.values(status="running"))
            mine = update(Person).where(col(Person.id).in_(people), col(Person.claimed_by) == self.name)
            await session.exec(mine.values(claimed_by=None, claimed_until=None))


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(col(Person.claimed_until).is_(None), col(Person.claimed_until) < now)


def triggered_by(event: AcceptedEvent) -> list[Definition[Any]]:
    """Return the journeys, in their newest version, that this event starts; the one to be reconsidered, if it names one."""
    return [
        definition
        for definition in newest()
        if event.name in definition.trigger_names and event.reconsider in (None, definition.name)
    ]


def hears(run: Run, event: AcceptedEvent) -> bool:
    """Say whether an event reaches that open run: it listens to it, or to what the event changed about the person.

    A run whose journey is not in the code is told everything: it has it all when its journey is put back.
    """
    if event.run_id is not None:
        return event.run_id == run.id
    if run.trigger_id is not None and event.id is not None and event.id <= run.trigger_id:
        return False
    definition = JOURNEYS.get((run.journey, run.version))
    if definition is None:
        return True
    heard = listening(definition)
    kind = EVENTS.get(event.name)
    named = event.kind == "track" and event.name in heard.events
    if named and kind is not None and definition.concerns(kind, event.data, run.key):
        return True
    return not heard.traits.isdisjoint(event.changed) or not {"zone", "locale"}.isdisjoint(event.changed)


def known_user(person: Person, run: Run) -> User:
    """Return what that run may know of the person: no trait that its journey does not read."""
    definition = JOURNEYS.get((run.journey, run.version))
    read = listening(definition).traits if definition else frozenset[str]()
    traits = {name: value for name, value in person.traits.items() if name in read}
    return User(person.user_id, person.zone, person.locale, traits)


def arrival(event: AcceptedEvent, user: User | None) -> Arrival:
    """Return the event as runs get it: the declared fields of its type, and no other property.

    Raises pydantic's ValidationError if it does not fit its type (any more).
    """
    assert event.id is not None
    if event.kind == "exit":
        return Arrival(event.id, EXIT, event.accepted_at, {"actor": event.data["actor"], "reason": event.data["reason"]})
    kind = EVENTS.get(event.name) if event.kind in ("track", "run") else None
    if kind is None:
        return Arrival(event.id, IDENTIFY, event.accepted_at, {}, user)
    data = kind.model_validate(event.data).model_dump(mode="json")
    return Arrival(event.id, event.name, event.accepted_at, data, user)
