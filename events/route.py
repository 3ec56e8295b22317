"""From accepted events to the runs they wake: each person's in order, each once, whatever dies in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from sqlalchemy import bindparam, literal_column, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from temporalio.client import Client
from temporalio.service import RPCError

from events.enrol import enrol
from events.reconcile import put_right
from events.temporal import Told, start, tell
from settings import Settings
from store.session import Store, database_clock, lock, several
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
considered = update(events).where(events.c.id.in_(several("considered"))).values(reconsider=None)
no_longer_fits = update(events).where(events.c.id == bindparam("event")).values(status="invalid", error=bindparam("why"))
are_running = update(runs).where(runs.c.id.in_(several("started")), runs.c.status == "starting").values(status="running")
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
        return [
            Work(
                person,
                [event for event in pending if event.person_id == person.id],
                [run for run in inside if run.person_id == person.id],
            )
            for person, _ in claimed
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
        """Add the rows of the runs that this event starts, and return those to start; some may be from before a router died."""
        inside = {(run.journey, run.key) for run in work.open if run.trigger_id != event.id}
        starting = [each for each in triggered_by(event) if (each.name, each.key_of(event.data)) not in inside]
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

    async def _done(self, works: Sequence[Work], done: Sequence[Work]) -> None:
        """Record which events have acted and which runs have started, and let go of the people.

        Lost with a power failure, it is done again: whatever came of it later is durable only together with it.
        """
        again = [event.id for work in done for event in work.events if event.reconsider is not None]
        started = [run.id for work in done for run in work.started]
        async with self.store.write(durable=False) as session:
            await session.exec(acted, params={"acted": [event.id for work in done for event in work.events]})
            if again:
                await session.exec(considered, params={"considered": again})
            for event, error in [entry for work in done for entry in work.refused.items()]:
                await session.exec(no_longer_fits, params={"event": event, "why": error})
            if started:
                await session.exec(are_running, params={"started": started})
            await session.exec(let_go, params={"people": [work.person.id for work in works], "me": self.name})


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
