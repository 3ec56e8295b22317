"""Why did somebody get a message, or not? Read from the ledger, the event log, the journeys' source, and what their runs say."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client

from activities.rehearsal import Rehearsal, rehearse
from events import sentences
from events.explanation import Explanation, JourneyTold, MessageTold, NoSuch, RuleTold, RunTold, TriggerTold, Would, visible
from events.parked import parking
from events.temporal import standing
from events.triggers import entry, never, resembles, trigger
from settings import Settings
from store.closing import UNFINISHED
from store.session import Store
from store.tables import AcceptedEvent, Delivery, Person, Run
from workflows.clock import zone
from workflows.definition import JOURNEYS, Definition, current, newest
from workflows.sends import ahead, sends
from workflows.wire import Dispatch, Standing
from workflows.wording import Said

RUNS, TRIGGERS, STRANGERS = 20, 10, 200  # of a journey, how many runs and triggers are told, and how many unknown events are read
MESSAGE_STEP = "send:{}/{}"


@dataclass(frozen=True)
class Question:
    """What is asked about: a person, and maybe a journey, and a message by its template, step or key.

    `sees_all` says whether whoever asks may see private traits.
    """

    person: Person
    journey: str = ""
    message: str = ""
    sees_all: bool = True


@dataclass(frozen=True)
class Known:
    """What the store has of a person, as far as it is asked about."""

    runs: Sequence[Run]
    messages: Mapping[str, Sequence[Delivery]]  # by run
    triggers: Sequence[AcceptedEvent]
    strangers: Sequence[AcceptedEvent]  # events that nobody knows


@dataclass(frozen=True)
class Explainer:
    """Answers one question. `client` is None where Temporal is not to be asked."""

    store: Store
    settings: Settings
    client: Client | None
    asked: Question
    now: datetime

    async def answer(self) -> Explanation:
        """Answer it. Raises NoSuch for a journey or a message that there is not."""
        names = self._journeys()
        known = await self._read(names)
        names = [name for name in names if self.asked.journey or self._concerns(name, known)]
        if self.asked.message and not names:
            raise NoSuch(f"no journey sends {self.asked.message!r}, and {self.asked.person.user_id!r} has had none such")
        journeys = await asyncio.gather(*(self._journey(name, known) for name in names))
        return Explanation(self.asked.person.user_id, self.where.key, self.now, _in_short(journeys), list(journeys))

    @property
    def where(self) -> ZoneInfo:
        """Where moments are told: where the person is, or the configured zone if that is not known."""
        return zone(self.asked.person.zone) or zone(self.settings.zone) or ZoneInfo("UTC")

    # What is read

    def _journeys(self) -> list[str]:
        there_are = sorted({name for name, _ in JOURNEYS})
        if not self.asked.journey:
            return there_are
        return [self.asked.journey]

    async def _read(self, names: Collection[str]) -> Known:
        person = self.asked.person.id
        triggers = {name for each in names if (known := current(each)) is not None for name in known.trigger_names}
        mine = select(AcceptedEvent).where(AcceptedEvent.person_id == person, col(AcceptedEvent.kind).in_(("track", "run")))
        latest = mine.order_by(col(AcceptedEvent.id).desc())
        theirs = select(Run).where(Run.person_id == person).order_by(col(Run.started_at).desc(), col(Run.id).desc())
        async with self.store.read() as session:
            if self.asked.journey:
                theirs = theirs.where(Run.journey == self.asked.journey)
            runs = (await session.exec(theirs)).all()
            by_name = [
                event
                for name in sorted(triggers)
                for event in (await session.exec(latest.where(AcceptedEvent.name == name).limit(TRIGGERS))).all()
            ]
            strangers = (await session.exec(latest.where(AcceptedEvent.status == "unknown").limit(STRANGERS))).all()
            messages = await _messages(session, person)
        return Known(runs, messages, by_name, strangers)

    def _concerns(self, name: str, known: Known) -> bool:
        """Say whether a journey has the message that is asked for, if one is."""
        wanted = self.asked.message
        if not wanted:
            return True
        rows = [row for run in known.runs if run.journey == name for row in known.messages.get(run.id, ())]
        definition = current(name)
        said = sends(definition).messages if definition is not None else ()
        return any(_is_meant(row, wanted) for row in rows) or any(_may_be(each, wanted) for each in said)

    # What is told

    async def _journey(self, name: str, known: Known) -> JourneyTold:
        definition = current(name)
        runs = [run for run in known.runs if run.journey == name]
        if definition is None and not runs:
            there_are = sorted({each.name for each in newest()})
            raise NoSuch(f"there is no journey {name!r}; {sentences.meant(name, there_are)}")
        self._see_that_it_may_be_sent(name, definition, runs, known)
        told = await asyncio.gather(*(self._run(run, known.messages.get(run.id, ())) for run in runs[:RUNS]))
        triggers = self._triggers(definition, runs, known) if definition is not None else []
        no = entry(definition, runs, self.now) if definition is not None else "the code has no such journey"
        return JourneyTold(
            journey=name,
            starts_on=sorted(definition.trigger_names) if definition is not None else [],
            said=_of_journey(definition, told, triggers, bool(self.asked.message)),
            may_enter=no is None,
            runs=list(told),
            triggers=triggers,
        )

    def _see_that_it_may_be_sent(self, name: str, definition: Definition[Any] | None, runs: Sequence[Run], known: Known) -> None:
        """Refuse a message that a journey never sends, unless the ledger has one of it: an older version may have sent it."""
        wanted = self.asked.message
        if not wanted or any(_is_meant(row, wanted) for run in runs for row in known.messages.get(run.id, ())):
            return
        versions = {each.version: each for each in JOURNEYS.values() if each.name == name}
        said = [sends(each) for each in versions.values()]
        if not all(each.whole for each in said) or any(_may_be(each, wanted) for some in said for each in some.messages):
            return
        templates = sorted({each.template for some in said for each in some.messages})
        raise NoSuch(f"journey {name!r} has no message {wanted!r}; {sentences.meant(wanted, templates)}")

    def _triggers(self, definition: Definition[Any], runs: Sequence[Run], known: Known) -> list[TriggerTold]:
        strangers = [each for each in known.strangers if resembles(each.name, definition.trigger_names)]
        mine = [each for each in known.triggers if each.name in definition.trigger_names and _may_start(each, runs)]
        latest = sorted({each.id: each for each in (*mine, *strangers)}.values(), key=lambda each: each.id or 0, reverse=True)
        return [trigger(definition, each, runs, self.where) for each in latest[:TRIGGERS]]

    async def _run(self, run: Run, rows: Sequence[Delivery]) -> RunTold:
        parked, wanted = parking(run), self.asked.message
        stand = await standing(self.client, run) if parked is None and run.status != "starting" else None
        mine = [row for row in rows if not wanted or _is_meant(row, wanted)]
        told = RunTold(
            run_id=run.id,
            version=run.version,
            key=run.key,
            status="parked" if parked else run.status,
            reason=run.reason,
            paused=run.paused,
            trigger=run.trigger,
            started_at=run.started_at,
            ended_at=run.ended_at,
            step=stand.step if stand else None,
            deadline=stand.deadline if stand else None,
            ui_url=self.settings.ui_url(run.workflow_id),
            said=sentences.run(run, stand, parked, self.where),
            messages=[self._message(row) for row in mine],
        )
        if not wanted:
            return told
        if not mine:
            told = replace(told, absent=sentences.absent(wanted, run, stand, _may_come(run, stand, wanted), self.where))
        return replace(told, would=await self._would(run, stand, mine)) if run.ended_at is None else told

    def _message(self, row: Delivery) -> MessageTold:
        shown = row.model_dump(include=set(MessageTold.__dataclass_fields__) - {"said", "saw"})
        return MessageTold(**shown, said=sentences.message(row, self.where), saw=self._visible(row.saw))

    def _visible(self, saw: Mapping[str, Any]) -> dict[str, Any]:
        return visible(saw, sees_all=self.asked.sees_all)

    # What would be now

    async def _would(self, run: Run, stand: Standing | None, rows: Sequence[Delivery]) -> Would | None:
        """Ask the gate about a message of an open run that is not decided for good, with nothing locked or written."""
        waiting = next((row for row in rows if row.status in UNFINISHED), None)
        if rows and waiting is None:
            return None
        offset = timedelta(seconds=stand.offset) if stand else await self._offset(run)
        dispatch = self._dispatch(run, stand, waiting, self.now + offset)
        if dispatch is None:
            return None
        async with self.store.read() as session:
            found = await rehearse(session, self.settings, dispatch, run.journey, self.now + offset)
        return self._told(found, dispatch) if found is not None else None

    def _told(self, found: Rehearsal, dispatch: Dispatch) -> Would:
        rules = [
            RuleTold(
                name,
                refusal is not None,
                sentences.rule(refusal.reason, refusal.saw, dispatch.channel, dispatch.topic, self.where) if refusal else "",
                self._visible(refusal.saw) if refusal else {},
            )
            for name, refusal in found.rules
        ]
        said = sentences.verdict(found.verdict, dispatch.channel, dispatch.topic, self.where)
        return Would(found.verdict.status, found.verdict.reason, found.verdict.retry_at, said, rules, self._visible(found.seen))

    def _dispatch(self, run: Run, stand: Standing | None, row: Delivery | None, now: datetime) -> Dispatch | None:
        """Return the message as its run would hand it over; None if its source does not tell."""
        definition = JOURNEYS.get((run.journey, run.version))
        if definition is None:
            return None
        wanted = self.asked.message if row is None else row.template
        found = [each for each in sends(definition).messages if _may_be(each, wanted) and _is_of(row, each)]
        said = found[0] if found else None
        if said is None and row is not None:
            said = Said(row.channel, row.template)
        if said is None:
            return None
        is_there = stand is not None and row is not None and stand.step == row.step.removesuffix(":instead")
        deadline = stand.deadline if stand is not None and is_there else None
        return Dispatch(
            run.id,
            row.step if row is not None else MESSAGE_STEP.format(said.channel, said.template),
            said.channel,
            said.template,
            row.topic if row is not None else said.topic or definition.topic,
            deadline or now + said.expires,
            transactional=row.transactional if row is not None else said.transactional,
            waits=said.waits,
        )

    async def _offset(self, run: Run) -> timedelta:
        """Return how far the run's clock is ahead, where it does not say itself: as far as its trigger's was."""
        async with self.store.read() as session:
            found = await session.exec(select(AcceptedEvent.clock_offset).where(AcceptedEvent.id == run.trigger_id))
            return timedelta(seconds=found.first() or 0.0)


def _is_of(row: Delivery | None, said: Said) -> bool:
    """Say whether a message of the source may be the ledger's, if there is one."""
    return row is None or row.channel == said.channel


async def _messages(session: AsyncSession, person: int | None) -> dict[str, list[Delivery]]:
    """Return what a person's runs meant to send, by run, in order."""
    found: dict[str, list[Delivery]] = {}
    theirs = select(Delivery).where(Delivery.person_id == person).order_by(col(Delivery.at), Delivery.key)
    for row in (await session.exec(theirs)).all():
        found.setdefault(row.run_id, []).append(row)
    return found


def _may_start(event: AcceptedEvent, runs: Iterable[Run]) -> bool:
    """A run that was asked for is told of where it began; another journey's is nothing to this one."""
    return event.kind == "track" or any(run.trigger_id == event.id for run in runs)


def _is_meant(row: Delivery, wanted: str) -> bool:
    """Say whether a message is the one that is asked for: by its key, its step, its template, or channel and template."""
    return wanted in (row.key, row.step, row.template, f"{row.channel}/{row.template}")


def _may_be(said: Said, wanted: str) -> bool:
    return wanted in (said.template, f"{said.channel}/{said.template}", MESSAGE_STEP.format(said.channel, said.template))


def _may_come(run: Run, stand: Standing | None, wanted: str) -> bool | None:
    """Say whether a run may still come to a message, as far as its source tells."""
    definition = JOURNEYS.get((run.journey, run.version))
    if definition is None or stand is None or not stand.step:
        return None
    coming = ahead(definition, stand.step)
    return None if coming is None else any(_may_be(Said(*each), wanted) for each in coming)


def _of_journey(
    definition: Definition[Any] | None, runs: Sequence[RunTold], triggers: Sequence[TriggerTold], by_message: bool
) -> str:
    """Say the short of it: the message that is asked for, or the latest run, or why there is none."""
    if runs:
        latest, before = runs[0], next((run for run in runs[1:] if run.messages), None)
        said = latest.messages[-1].said if by_message and latest.messages else latest.absent or latest.said
        if by_message and not latest.messages and before is not None:
            return f"{said} In run {before.run_id}: {before.messages[-1].said}"
        return said
    if triggers:
        return f"Not enrolled: {triggers[0].said}"
    return never(definition) if definition is not None else "Not enrolled."


def _in_short(journeys: Sequence[JourneyTold]) -> str:
    told = sorted(journeys, key=lambda each: each.runs[0].started_at.timestamp() if each.runs else 0, reverse=True)
    return told[0].said if told else "There are no journeys."


async def explain(store: Store, settings: Settings, client: Client | None, asked: Question) -> Explanation:
    """Say why somebody got what they got and not what they did not. Raises NoSuch."""
    return await Explainer(store, settings, client, asked, datetime.now(UTC)).answer()
