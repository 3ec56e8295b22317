"""Run journeys in virtual time: no server, no network, no sleeping, the same decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from workflows.becoming import Becoming
from workflows.clock import share
from workflows.definition import IDENTIFY, RELEASE, Definition, Event, refusal
from workflows.experiment import variant
from workflows.happenings import SOMEONE, Happening, Identify, Operate, OptIn, Outcome, Person, Post, Release, Replied, Stop
from workflows.journey import Journey
from workflows.listening import listening
from workflows.marketing import is_marketing
from workflows.messages import CHANNELS, TO_SYSTEMS, Message
from workflows.policy import Policy, in_force
from workflows.rules import Facts, Past, decide
from workflows.run import Arrival, Exited, Memory, Order, Receipt, User
from workflows.runtime import Sending
from workflows.segments import Segment
from workflows.simulated import Decided, Simulation
from workflows.transitions import ConsentRequested

START = datetime(2025, 1, 6, 12, tzinfo=UTC)  # a Monday, at noon


class _Wait:
    """What a run hands to its driver: when to wake it."""

    __slots__ = ("deadline", "ready")

    def __init__(self, ready: Callable[[], bool], deadline: datetime | None) -> None:
        self.ready, self.deadline = ready, deadline

    def __await__(self) -> Generator[_Wait, bool, bool]:
        return (yield self)


class _Run:
    """One run in virtual time, driven from outside."""

    def __init__(self, life: _Life, definition: Definition[Any], trigger: Event, key: str, seq: int) -> None:
        self.life, self.definition, self.key = life, definition, key
        self.result = Simulation(definition, life.clock)
        self.id = f"{definition.name}/{seq}"
        self.waiting: _Wait | None = None
        self.stopped: Sending | None = None  # what waits because of a kill switch
        self.skipped = set[str]()  # the steps of what waited so, and is not to be sent
        memory = Memory(log=self.result.steps)
        self.journey = Journey(self, definition, life.person.user, trigger, life.clock, memory, life.fallback_zone)
        self.journey.ignore(seq)
        if seq < life.seq:  # it starts on an event of some time ago, and has what came since
            for arrival, event in life.events:
                if arrival.seq > seq:
                    self.hear(arrival, event)
        self.coroutine: Coroutine[_Wait, bool, None] = definition.function(self.journey, trigger)  # type: ignore[assignment]
        self.resume(None)

    def now(self) -> datetime:
        return self.life.clock

    async def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> bool:
        return ready() or await _Wait(ready, deadline)

    async def deliver(self, sending: Sending) -> Receipt:
        skipped = sending.step in self.skipped
        receipt = Receipt("suppressed", "kill_switch") if skipped else self.life.gate(self.definition, sending, self.id)
        self.stopped = sending if (receipt.status, receipt.reason) == ("deferred", "kill_switch") else None
        return receipt if receipt.status == "deferred" else await self.conclude(sending, receipt)

    async def conclude(self, sending: Sending, receipt: Receipt) -> Receipt:
        self.result.decided.append(Decided(self.life.clock, sending.step, sending.message, receipt))
        return receipt

    async def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        return self.life.assign(experiment, weights)

    async def matches(self, segment: Segment) -> bool:
        return self.life.becoming.belongs(segment, self.life.person.user.traits, self.life.clock)

    def stepped(self) -> None:
        pass

    def resume(self, outcome: bool | None) -> None:
        try:
            self.waiting = self.coroutine.send(outcome)  # type: ignore[arg-type]
        except StopIteration:
            self._end("completed", "")
        except Exited as exited:
            self._end("exited", exited.reason)

    def hear(self, arrival: Arrival, event: Event) -> None:
        """Take in an event, if the journey listens to it and it concerns this run."""
        heard = event.name in listening(self.definition).events
        if heard and self.definition.concerns(type(event), event.__dict__, self.key):
            self.journey.take(arrival, event)

    def wake_if_ready(self) -> None:
        while self.waiting is not None and self.waiting.ready():
            self.resume(True)

    def _end(self, status: Literal["completed", "exited"], reason: str) -> None:
        self.waiting = None
        self.result.status, self.result.reason, self.result.ended = status, reason, self.life.clock


class _Life:
    """One person's events and runs, in order."""

    def __init__(
        self,
        definitions: Sequence[Definition[Any]],
        person: Person,
        *,
        clock: datetime,
        variants: Mapping[str, str],
        receipts: Mapping[str, Receipt],
        policy: Policy,
        fallback_zone: str,
    ) -> None:
        self.definitions, self.person, self.policy, self.fallback_zone = definitions, person, policy, fallback_zone
        self.assigned = dict(variants)
        self.receipts = receipts
        self.clock = clock
        self.seq = 0
        self.events: list[tuple[Arrival, Event]] = []
        self.past: list[Past] = []
        self.stops: list[Stop] = []
        self.posts: dict[str, Post] = {}  # the last message sent, by template
        self.runs: list[_Run] = []
        self.open: list[_Run] = []
        self.becoming = Becoming(definitions, clock)
        if person.user.traits:  # somebody has told us of them before
            self._become()

    def gate(self, definition: Definition[Any], sending: Sending, run_id: str) -> Receipt:
        facts = self._facts(definition, sending)
        verdict = decide(facts)
        if verdict.status == "send":
            receipt = self.receipts.get(sending.message.template, SENT)
        else:
            receipt = Receipt(verdict.status, verdict.reason, verdict.retry_at)
        receipt = replace(receipt, message=f"{run_id}:{sending.step}")
        if receipt.status == "sent":
            post = Post(receipt.message, facts.channel, sending.message.template, definition.name, facts.topic)
            self.posts[post.template] = post
        if not facts.transactional and (receipt.status == "sent" or verdict.reason == "holdout"):
            self.past.append(Past(self.clock, facts.channel, facts.topic))
        return receipt

    def _facts(self, definition: Definition[Any], sending: Sending) -> Facts:
        message, person = sending.message, self.person
        topic, held = message.topic or definition.topic, self.policy.holdout
        return Facts(
            now=self.clock,
            expires=sending.expires,
            zones=person.zones(message.channel, self.fallback_zone),
            channel=message.channel,
            topic=topic,
            policy=self.policy,
            person=person.user.id,
            country=person.hours_of,
            transactional=message.transactional,
            waits=message.capped == "wait",
            suppressed=person.suppressed.get(message.channel, ""),
            reachable=message.channel in (*person.reachable, *TO_SYSTEMS),
            granted=person.granted(topic, message.channel),
            paused_until=person.paused_until,
            stopped=self.stopped(definition, message),
            fewer=person.fewer,
            past=tuple(self.past),
            held_out=held is not None and (held.includes(person.user.id) if person.held_out is None else person.held_out),
        )

    def stopped(self, definition: Definition[Any], message: Message) -> str:
        return next((str(each) for each in self.stops if each.covers(definition.name, message.channel)), "")

    def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        if self.assigned.get(experiment) not in weights:
            self.assigned[experiment] = variant(experiment, weights, self.person.user.id)
        return self.assigned[experiment]

    def happen(self, at: datetime, happening: Happening) -> None:
        """Let time pass up to `at`, then let it happen. A deadline at the same moment comes second."""
        self.pass_until(at)
        self.clock = max(self.clock, at)
        self.seq += 1
        match happening:
            case Event():
                self.becoming.happened(happening, self.clock)
                self._event(happening)
                self._become()
            case Identify():
                self._identify(happening)
                self._become()
            case Operate(action, order):
                self._operate(action, order)
            case Stop():
                self.stops.append(happening)
            case Release():
                self._release(happening)
            case Outcome():
                self._come_of(happening)
            case _:
                self.person = self.person.says(happening, self.clock, self.policy)
                if isinstance(happening, OptIn) and happening.topic in self.person.to_confirm:
                    self._event(ConsentRequested(topic=happening.topic))

    def pass_until(self, end: datetime | None) -> None:
        """Let every deadline before `end` pass, and all that time makes of the person, in order; without `end`, let all pass.

        What becomes of the person at a deadline comes before it, as any event does.
        """
        while True:
            run = min((run for run in self.open if run.waiting and run.waiting.deadline), key=_deadline, default=None)
            turn = self.becoming.turns
            due = min((each for each in (_deadline(run) if run else None, turn) if each is not None), default=None)
            if due is None or (end is not None and due >= end):
                return
            self.clock = max(self.clock, due)
            if run is None or due == turn:
                self._become()
                continue
            run.resume(False)
            run.wake_if_ready()
            self._bury()

    def _become(self) -> None:
        """Let what has become of the person happen, as events of their own."""
        for event in self.becoming.changes(self.person.user.traits, self.clock):
            self.seq += 1
            self._event(event)

    def _event(self, event: Event) -> None:
        data = event.__dict__
        enrolling = [each for each in self.definitions if event.name in each.trigger_names and not self._has_open(each, event)]
        arrival = Arrival(self.seq, event.name, self.clock, data)
        self.events.append((arrival, event))
        for run in list(self.open):
            run.hear(arrival, event)
            run.wake_if_ready()
        for definition in enrolling:
            self._enrol(definition, event, self.seq)
        self._bury()

    def _has_open(self, definition: Definition[Any], event: Event) -> bool:
        key = definition.key_of(type(event), event.__dict__)
        return any(run.definition.name == definition.name and run.key == key for run in self.open)

    def _enrol(self, definition: Definition[Any], event: Event, seq: int) -> None:
        key = definition.key_of(type(event), event.__dict__)
        ended = [run.result.ended for run in self.runs if run.definition.name == definition.name and run.key == key]
        if refusal(definition.again, max((each for each in ended if each), default=None), self.clock) is None:
            run = _Run(self, definition, event, key, seq)
            self.runs.append(run)
            self.open.append(run)

    def _identify(self, change: Identify) -> None:
        user = self.person.user
        changed = User(
            user.id,
            user.zone if change.zone is None else change.zone,
            user.locale if change.locale is None else change.locale,
            {**user.traits, **change.traits},
        )
        self.person = replace(self.person, user=changed)
        for run in self.open:
            run.journey.take(Arrival(self.seq, IDENTIFY, self.clock, {}, changed))

    def _come_of(self, outcome: Outcome) -> None:
        """Let something happen to the last message of that template, if one was sent."""
        post = self.posts.get(outcome.template)
        if post is None:
            return
        for run in self.open if isinstance(outcome, Replied) else ():
            if is_marketing(run.definition):
                run.journey.pause(Order("sojourn", f"replied to {post.template}"))
        event = post.event(outcome)
        self.becoming.happened(event, self.clock)
        self._event(event)
        self._become()

    def _operate(self, action: str, order: Order) -> None:
        for run in list(self.open):
            act = getattr(run.journey, action)
            act() if action == "resume" else act(order)
            run.wake_if_ready()
        self._bury()

    def _release(self, release: Release) -> None:
        """Tell every run whose message waited because of this switch, and of no other."""
        self.stops = [each for each in self.stops if each != release.stop]
        after = release.over * share(self.person.user.id) if release.choice == "retime" else timedelta(0)
        for run in list(self.open):
            sending = run.stopped
            if sending is None or self.stopped(run.definition, sending.message):
                continue
            if release.choice == "skip":
                run.skipped.add(sending.step)
            order = {"step": sending.step, "after": after.total_seconds()}
            run.journey.take(Arrival(self.seq, RELEASE, self.clock, order))
            run.stopped = None
            run.wake_if_ready()
        self._bury()

    def _bury(self) -> None:
        """Take away the runs that ended; what they left unseen of their own triggers is considered again."""
        ended = [run for run in self.open if run.waiting is None]
        if not ended:
            return
        self.open = [run for run in self.open if run.waiting is not None]
        for run in ended:
            for seq in run.journey.unseen_triggers:
                event = run.journey.event(seq)
                if run.definition in self.definitions and not self._has_open(run.definition, event):
                    self._enrol(run.definition, event, seq)
        self._bury()


def _deadline(run: _Run) -> datetime:
    assert run.waiting is not None
    assert run.waiting.deadline is not None
    return run.waiting.deadline


SENT = Receipt("sent")


def live(
    definitions: Sequence[Definition[Any]],
    happenings: Sequence[tuple[datetime, Happening]],
    person: Person | None = None,
    *,
    variants: Mapping[str, str] | None = None,
    receipts: Mapping[str, Receipt] | None = None,
    policy: Policy | None = None,
    fallback_zone: str = "UTC",
    until: datetime | None = None,
) -> list[Simulation]:
    """Live one person's life through these journeys: every run it starts, in order, up to `until` or to the last one's end.

    `happenings` come in order of acceptance. `receipts` tells what a provider answers, by template; `variants` which
    variant the person has, by experiment; the rest is as it would be live.
    """
    life = _Life(
        definitions,
        person or Person(),
        clock=happenings[0][0] if happenings else START,
        variants=variants or {},
        receipts=receipts or {},
        policy=policy or in_force(),
        fallback_zone=fallback_zone,
    )
    for at, happening in happenings:
        life.happen(at, happening)
    life.pass_until(until)
    return [run.result for run in life.runs]


def simulate(
    definition: Definition[Any],
    starts_with: Event,
    *,
    then: Sequence[tuple[timedelta, Happening]] = (),
    user: User = SOMEONE,
    at: datetime = START,
    variants: Mapping[str, str] | None = None,
    receipts: Mapping[str, Receipt] | None = None,
    reachable: Collection[str] = tuple(CHANNELS),
    policy: Policy | None = None,
) -> Simulation:
    """Run one journey from its trigger to its end. `then` is what happens afterwards, by time since the start."""
    happenings: list[tuple[datetime, Happening]] = [(at, starts_with)]
    happenings += [(at + since, happening) for since, happening in sorted(then, key=lambda entry: entry[0])]
    person = Person(user, frozenset(reachable))
    return live([definition], happenings, person, variants=variants, receipts=receipts, policy=policy)[0]
