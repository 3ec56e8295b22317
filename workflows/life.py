"""One person's life in virtual time: their events, what becomes of them, and the runs that it all starts, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from workflows.becoming import Becoming, watched
from workflows.clock import share
from workflows.definition import IDENTIFY, RELEASE, Definition, Event, refusal
from workflows.experiment import variant
from workflows.happenings import Happening, Identify, Operate, OptIn, Outcome, Person, Post, Reach, Release, Replied, Said, Stop
from workflows.listening import listening
from workflows.marketing import is_marketing
from workflows.messages import TO_SYSTEMS, Message
from workflows.policy import Policy
from workflows.rules import SEND, Facts, Past, Verdict, decide, timeless
from workflows.run import Arrival, Order, Receipt, User
from workflows.runtime import Sending
from workflows.segments import Segment
from workflows.simulated import Simulation
from workflows.source import code_of
from workflows.transitions import ConsentRequested
from workflows.virtual import Run

Door = tuple[str, str, bool, frozenset[str], str]  # channel, topic, transactional; where the person is reachable, and their country


class Cast:
    """The journeys that lives are lived through, under which policy, and what each event means to them: known once for them all."""

    def __init__(
        self,
        definitions: Iterable[Definition[Any]],
        policy: Policy,
        fallback_zone: str = "UTC",
        opens: datetime | None = None,
    ) -> None:
        self.definitions, self.policy, self.fallback_zone = tuple(definitions), policy, fallback_zone
        self.opens = opens  # before this moment nobody enters: what happens then is past when the journeys begin
        self.open_doors: dict[Door, bool] = {}  # what always goes to whom nothing is known of, at whatever time
        self.watched = watched(self.definitions)
        self.remembers = bool(self.watched) or any("matches" in _verbs(each) for each in self.definitions)
        self.parts = {name: self._part(name) for each in self.definitions for name in _names(each)}

    def _part(self, event: str) -> Part:
        return Part(
            starts=tuple(each for each in self.definitions if event in each.trigger_names),
            reaches=frozenset(each for each in self.definitions if event in listening(each).events),
            aims=frozenset(each for each in self.definitions if each.goal is not None and each.goal.name == event),
        )


class Part(NamedTuple):
    """What an event is to a cast: which journeys it starts, which it reaches, and of which it is the goal."""

    starts: tuple[Definition[Any], ...]
    reaches: frozenset[Definition[Any]]
    aims: frozenset[Definition[Any]]


def _names(definition: Definition[Any]) -> frozenset[str]:
    """Name every event that is something to a journey."""
    return definition.trigger_names | listening(definition).events | ({definition.goal.name} if definition.goal else set())


def _verbs(definition: Definition[Any]) -> set[str]:
    code = code_of(definition)
    return {code.verb(node) for node in code.walk()}


class Life:
    """One person, and all that happens to them and in their runs."""

    def __init__(
        self,
        cast: Cast,
        person: Person,
        clock: datetime,
        variants: Mapping[str, str],
        receipts: Mapping[str, Receipt],
    ) -> None:
        self.cast, self.person, self.policy, self.fallback_zone = cast, person, cast.policy, cast.fallback_zone
        self.assigned = dict(variants)
        self.receipts = receipts
        self.clock = clock
        self.seq = 0
        self.heard: list[tuple[Arrival, Event]] = []
        self.past: list[Past] = []
        self.stops: list[Stop] = []
        self.posts: dict[str, tuple[str, str, str, str, str]] = {}  # the last message sent, by template: what a `Post` has
        self.runs: list[Run] = []
        self.open: list[Run] = []
        self.ended: list[Run] = []  # and still to be buried
        self.last: dict[tuple[str, str], Run] = {}  # by journey and key
        self.becoming = Becoming(cast.watched, clock)
        if person.user.traits:  # somebody has told us of them before
            self._become()

    @property
    def user(self) -> User:
        return self.person.user

    # What a run asks

    def gate(self, definition: Definition[Any], sending: Sending, run_id: str) -> Receipt:
        message, key = sending.message, f"{run_id}:{sending.step}"
        topic = message.topic or definition.topic
        verdict = self._verdict(definition, sending, topic)
        if verdict is not SEND:
            if verdict.reason == "holdout":
                self.past.append(Past(self.clock, message.channel, topic))
            return _refusal(verdict, key)
        told = self.receipts.get(message.template) if self.receipts else None
        receipt = Receipt("sent", "", None, key) if told is None else replace(told, message=key)
        if receipt.status == "sent":
            self.posts[message.template] = (key, message.channel, message.template, definition.name, topic)
            if not message.transactional:
                self.past.append(Past(self.clock, message.channel, topic))
        return receipt

    def _verdict(self, definition: Definition[Any], sending: Sending, topic: str) -> Verdict:
        """Ask the rules; but not again what they say of everybody, at any time before the message expires."""
        message, person = sending.message, self.person
        if self.stops or self.policy.holdout is not None or not person.is_plain or self.clock >= sending.expires:
            return decide(self._facts(definition, sending, topic))
        door = (message.channel, topic, message.transactional, person.reachable, person.hours_on(message.channel))
        if (is_open := self.cast.open_doors.get(door)) is None:
            is_open = self.cast.open_doors[door] = timeless(self._facts(definition, sending, topic))
        return SEND if is_open else decide(self._facts(definition, sending, topic))

    def _facts(self, definition: Definition[Any], sending: Sending, topic: str) -> Facts:
        message, person, policy = sending.message, self.person, self.policy
        return Facts(
            now=self.clock,
            expires=sending.expires,
            zones=person.zones(message.channel, self.fallback_zone),
            channel=message.channel,
            topic=topic,
            policy=policy,
            person=person.user.id,
            country=person.hours_on(message.channel),
            transactional=message.transactional,
            waits=message.capped == "wait",
            suppressed=person.suppressed.get(message.channel, ""),
            reachable=message.channel in person.reachable or message.channel in TO_SYSTEMS,
            granted=person.granted(topic, message.channel) if person.words else None,
            paused_until=person.paused_until,
            stopped=self.stopped(definition, message) if self.stops else "",
            fewer=person.fewer,
            past=tuple(self.past) if policy.caps or person.fewer else (),
            held_out=policy.holdout is not None and person.is_held_out(policy.holdout),
        )

    def stopped(self, definition: Definition[Any], message: Message) -> str:
        return next((str(each) for each in self.stops if each.covers(definition.name, message.channel)), "")

    def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        if self.assigned.get(experiment) not in weights:
            self.assigned[experiment] = variant(experiment, weights, self.person.user.id)
        return self.assigned[experiment]

    def belongs(self, segment: Segment) -> bool:
        return self.becoming.belongs(segment, self.person.user.traits, self.clock)

    # What happens

    def happen(self, at: datetime, happening: Happening) -> None:
        """Let time pass up to `at`, then let it happen. A deadline at the same moment comes second."""
        self.pass_until(at)
        if at > self.clock:
            self.clock = at
        self.seq += 1
        if isinstance(happening, Event):
            self._did(happening)
            return
        match happening:
            case Identify():
                self._identify(happening)
            case Reach(channels, zones, country):
                self.person = replace(self.person, reachable=channels, number_zones=zones, number_country=country)
            case Operate(action, order):
                self._operate(action, order)
            case Stop():
                self.stops.append(happening)
            case Release():
                self._release(happening)
            case Outcome():
                self._come_of(happening)
            case _:
                self._said(happening)

    def over(self) -> list[Simulation]:
        """End it: return what its runs did. Runs that have ended are let go of at once: a run and its life hold each other."""
        for run in self.runs:
            if run.waiting is None:
                del run.life, run.journey
        return [run.result for run in self.runs]

    def pass_until(self, end: datetime | None) -> None:
        """Let every deadline before `end` pass, and all that time makes of the person, in order; without `end`, let all pass.

        What becomes of the person at a deadline comes before it, as any event does.
        """
        while self.open or self.becoming.turns is not None:
            run, due = None, self.becoming.turns
            for each in self.open:
                deadline = each.deadline
                if deadline is not None and (due is None or deadline < due):
                    run, due = each, deadline
            if due is None or (end is not None and due >= end):
                return
            if due > self.clock:
                self.clock = due
            if run is None:
                self._become()
                continue
            run.resume(False)
            run.wake_if_ready()
            self._bury()

    def _did(self, event: Event) -> None:
        if self.cast.remembers:
            self.becoming.happened(event, self.clock)
        self._event(event)
        self._become()

    def _become(self) -> None:
        """Let what has become of the person happen, as events of their own."""
        if self.cast.watched:
            for event in self.becoming.changes(self.person.user.traits, self.clock):
                self.seq += 1
                self._event(event)

    def _event(self, event: Event) -> None:
        if (part := self.cast.parts.get(event.name)) is None:
            return
        enrolling = [each for each in part.starts if not self._is_in(each, event)]
        if part.aims:
            self._reach(event, part.aims)
        if part.reaches:
            arrival = Arrival(self.seq, event.name, self.clock, event.__dict__)
            self.heard.append((arrival, event))
            for run in list(self.open):
                if run.definition in part.reaches:
                    run.hear(arrival, event)
                    run.wake_if_ready()
        if self.cast.opens is None or self.clock >= self.cast.opens:
            for definition in enrolling:
                self._enrol(definition, event, self.seq)
        if self.ended:
            self._bury()

    def _reach(self, event: Event, aims: Collection[Definition[Any]]) -> None:
        """Take note of a goal: of the person's last run of each journey that is for it."""
        for run in self.last.values():
            if run.result.reached is None and run.definition in aims and run.definition.reaches(event, run.key):
                run.result.reached = self.clock

    def _is_in(self, definition: Definition[Any], event: Event) -> bool:
        last = self.last.get((definition.name, definition.key_in(event)))
        return last is not None and last.waiting is not None

    def _enrol(self, definition: Definition[Any], event: Event, seq: int) -> None:
        key = definition.key_in(event)
        last = self.last.get((definition.name, key))
        if last is not None and refusal(definition.again, last.result.ended, self.clock) is not None:
            return
        run = Run(self, definition, event, key, seq)
        if seq < self.seq:  # it starts on an event of some time ago, and has what came since
            for arrival, later in self.heard:
                if arrival.seq > seq and definition in self.cast.parts[later.name].reaches:
                    run.hear(arrival, later)
        run.begin()
        self.last[definition.name, key] = run
        self.runs.append(run)
        if run.waiting is not None:
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
        self._become()

    def _said(self, said: Said) -> None:
        self.person = self.person.says(said, self.clock, self.policy)
        if isinstance(said, OptIn) and said.topic in self.person.to_confirm:
            self._event(ConsentRequested(topic=said.topic))

    def _come_of(self, outcome: Outcome) -> None:
        """Let something happen to the last message of that template, if one was sent."""
        if outcome.template not in self.posts:
            return
        post = Post(*self.posts[outcome.template])
        for run in self.open if isinstance(outcome, Replied) else ():
            if is_marketing(run.definition):
                run.journey.pause(Order("sojourn", f"replied to {post.template}"))
        self._did(post.event(outcome))

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
                run.skip(sending)
            order = {"step": sending.step, "after": after.total_seconds()}
            run.journey.take(Arrival(self.seq, RELEASE, self.clock, order))
            run.stopped = None
            run.wake_if_ready()
        self._bury()

    def _bury(self) -> None:
        """Take away the runs that ended; what they left unseen of their own triggers is considered again."""
        while self.ended:
            ended, self.ended = self.ended, []
            self.open = [run for run in self.open if run.waiting is not None]
            for run in ended:
                for seq in run.journey.unseen_triggers:
                    event = run.journey.event(seq)
                    if run.definition in self.cast.definitions and not self._is_in(run.definition, event):
                        self._enrol(run.definition, event, seq)


def _refusal(verdict: Verdict, key: str) -> Receipt:
    assert verdict.status != "send"
    return Receipt(verdict.status, verdict.reason, verdict.retry_at, key)
