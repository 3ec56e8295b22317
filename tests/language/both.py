"""One scenario, two runtimes: what happened to one person, told the same way by virtual time and by the real server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4
from zlib import crc32

from sqlmodel import col, select

from activities.marking import WAY_OUT
from demo.player import Call
from store.links import confirm_url
from store.tables import Assignment, Delivery, MailboxItem, Person
from tests.language.teller import Teller, Word
from tests.stage import Stage, only
from workflows.definition import Definition, Event
from workflows.happenings import (
    AskForFewer,
    AskForPause,
    Confirm,
    Happening,
    Identify,
    Operate,
    OptIn,
    OptOut,
    Outcome,
    Reach,
    Release,
    Stop,
    Suppress,
)
from workflows.happenings import Person as Someone
from workflows.messages import CHANNELS
from workflows.run import Order, Receipt, User
from workflows.simulate import START, live

JOURNEYS = Path(__file__).parent / "journeys"  # a folder of templates only: the journeys are in the tests
HOME = "Asia/Tokyo"  # the zone of those whose own is unknown: one that nobody falls back on by mistake
MINUTE = timedelta(minutes=1)
NUMBER_ZONES = ("Europe/Berlin",)  # of every number here
ON_CALL = {"X-Actor": "ada", "X-Reason": "why not"}
BROKEN = "broken"  # the template that cannot be rendered


@dataclass(frozen=True)
class Said:
    """A message and what became of it. `text` is what the journey gave the template to say."""

    after: timedelta
    channel: str
    template: str
    status: str
    reason: str = ""
    text: str = ""
    step: str = ""


@dataclass(frozen=True)
class Ran:
    """A run, by the time since the scenario's start."""

    journey: str
    version: int
    status: str
    reason: str
    started: timedelta
    ended: timedelta | None
    said: list[Said] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """What was really sent, in order."""
        return [each.text or each.template for each in self.said if each.status == "sent"]


Story = Sequence[tuple[timedelta, Happening]]
"""What happens to a person, by the time since the scenario's start, in order."""


class Play(Protocol):
    """Play a scenario: what happens, by time since the start, to a person in that zone.

    Without `until`, to the end of the person's last run. An operator's order that is refused changes nothing.
    """

    async def __call__(
        self,
        journeys: Sequence[Definition[Any]],
        happenings: Story,
        *,
        user: str | None = None,
        zone: str = "UTC",
        locale: str = "en",
        traits: Mapping[str, Any] | None = None,
        reachable: frozenset[str] = frozenset(CHANNELS),
        variants: Mapping[str, str] | None = None,
        at: datetime = START,
        until: timedelta | None = None,
    ) -> list[Ran]: ...


async def virtual(
    journeys: Sequence[Definition[Any]],
    happenings: Story,
    *,
    user: str | None = None,
    zone: str = "UTC",
    locale: str = "en",
    traits: Mapping[str, Any] | None = None,
    reachable: frozenset[str] = frozenset(CHANNELS),
    variants: Mapping[str, str] | None = None,
    at: datetime = START,
    until: timedelta | None = None,
) -> list[Ran]:
    """Play it in virtual time."""
    number_zones = NUMBER_ZONES if "sms" in reachable else ()
    person = Someone(User(user or uuid4().hex, zone, locale, dict(traits or {})), reachable, number_zones=number_zones)
    runs = live(
        journeys,
        [(at, Identify()), *((at + since, happening) for since, happening in happenings)],  # met as `real` introduces them
        person,
        variants=variants,
        receipts={BROKEN: Receipt("failed", "template")},
        fallback_zone=HOME,
        until=None if until is None else at + until,
    )
    return [
        Ran(
            run.definition.name,
            run.definition.version,
            run.status,
            run.reason,
            _since(at, run.started),
            None if run.ended is None else _since(at, run.ended),
            [
                Said(
                    _since(at, each.at),
                    each.message.channel,
                    each.message.template,
                    each.receipt.status,
                    each.receipt.reason,
                    str(each.message.data.get("text", "")) if each.receipt.status == "sent" else "",
                    each.step,
                )
                for each in run.decided
            ],
        )
        for run in runs
    ]


async def real(
    stage: Stage,
    journeys: Sequence[Definition[Any]],
    happenings: Story,
    *,
    user: str | None = None,
    zone: str = "UTC",
    locale: str = "en",
    traits: Mapping[str, Any] | None = None,
    reachable: frozenset[str] = frozenset(CHANNELS),
    variants: Mapping[str, str] | None = None,
    at: datetime = START,
    until: timedelta | None = None,
) -> list[Ran]:
    """Play it through the HTTP API, the router, a worker and the real server, with time skipping."""
    user = user or uuid4().hex
    introduction = Call(at, "/v1/identify", _introduction(user, zone, locale, traits or {}, reachable))
    player = Teller(stage.store, stage.temporal, stage.api, stage.settings)
    with only(journeys):
        await player.live(user, [introduction], at)
        calls = [await _made(stage, user, at + since, happening) for since, happening in happenings]
        await _assign(stage, user, variants or {})
        await player.live(user, calls, None if until is None else at + until)
    story = await told(stage, user, at)
    await end_open_runs(stage, user)
    await release_all(stage)
    return story


async def release_all(stage: Stage) -> None:
    """Leave nothing stopped: the next test has the same house."""
    for stop in (await stage.api.get("/v1/stops")).json()["stops"]:
        if stop["released_at"] is None:
            path = "/".join(filter(None, ("/v1/stops", stop["scope"], stop["name"], "release")))
            (await stage.api.post(path, json={"choice": "skip"}, headers=ON_CALL)).raise_for_status()


async def end_open_runs(stage: Stage, user: str) -> None:
    """Leave nothing running: its journey is not in the registry of the next test."""
    for run in await stage.runs(user):
        if run.ended_at is None:
            await stage.temporal.get_workflow_handle(run.workflow_id).terminate("the test is over")


def _introduction(user: str, zone: str, locale: str, traits: Mapping[str, Any], reachable: frozenset[str]) -> dict[str, Any]:
    known = dict(traits)
    if "email" in reachable:
        known["email"] = f"{user}@example.org"
    if "sms" in reachable:
        known["phone"] = phone_of(user)
    context: dict[str, Any] = {"timezone": zone, "locale": locale}
    if "push" in reachable:
        context["device"] = {"token": f"token-{user}", "type": "android"}
    return {"userId": user, "traits": known, "context": context}


def _call(user: str, at: datetime, happening: Happening) -> Call:
    match happening:
        case Event():
            body = {"userId": user, "event": happening.name, "properties": happening.model_dump(mode="json")}
            return Call(at, "/v1/track", {**body, "messageId": uuid4().hex})
        case Identify(traits, zone, locale):
            context = {name: value for name, value in (("timezone", zone), ("locale", locale)) if value is not None}
            return Call(at, "/v1/identify", {"userId": user, "traits": dict(traits), "context": context})
        case Operate(action, Order(actor, reason, step)):
            who = {"X-Actor": actor, "X-Reason": reason}
            return Call(at, f"/v1/runs/{{run_id}}/{action}", {"step": step} if step else {}, refusable=True, headers=who)
        case Stop(scope, name):
            return Call(at, f"/v1/stops/{'/'.join(filter(None, (scope, name)))}", {}, method="PUT", headers=ON_CALL)
        case Release(choice, Stop(scope, name), over):
            path = f"/v1/stops/{'/'.join(filter(None, (scope, name)))}/release"
            return Call(at, path, {"choice": choice, "over": over.total_seconds()}, headers=ON_CALL)
        case OptOut(topic, channel):
            consent = {"topic": topic, "channel": channel, "granted": False, "source": "test"}
            return Call(at, f"/v1/users/{user}/consent", consent, method="PUT")
        case OptIn(topic, channel):
            consent = {"topic": topic, "channel": channel, "granted": True, "source": "test"}
            return Call(at, f"/v1/users/{user}/consent", consent, method="PUT")
        case Suppress(channel, cause):
            door = f"/v1/suppressions/{channel}/{_address(user, channel)}"
            return Call(at, door, {"cause": cause}, method="PUT", headers={"X-Actor": "eve", "X-Reason": "asked"})
        case AskForPause(duration):
            wish = {"paused_until": (at + duration).isoformat(), "source": "test"}
            return Call(at, f"/v1/users/{user}/preferences", wish, method="PUT")
        case AskForFewer():
            return Call(at, f"/v1/users/{user}/preferences", {"fewer": True, "source": "test"}, method="PUT")
        case Outcome():
            return Word(at, "", {}, outcome=happening)
        case Confirm() | Reach():
            raise AssertionError("whose link it is only the store knows")


def phone_of(user: str) -> str:
    """Return a number of their own: suppressed, it is so for everybody who has it."""
    return f"+49151{crc32(user.encode()) % 10**8:08d}"


def _address(user: str, channel: str) -> str:
    return {"email": f"{user}@example.org", "sms": phone_of(user)}.get(channel, user)


async def _made(stage: Stage, user: str, at: datetime, happening: Happening) -> Call:
    """Return the call that is made of a happening; a yes is confirmed as its mail says, by the button on the page."""
    if not isinstance(happening, Confirm):
        return _call(user, at, happening)
    async with stage.store.read() as session:
        person = (await session.exec(select(Person).where(Person.user_id == user))).one()
    url = confirm_url(stage.settings, person.id or 0, f"{user}@example.org", happening.topic)
    return Call(at, url.removeprefix(stage.settings.public_url), {})


async def _assign(stage: Stage, user: str, variants: Mapping[str, str]) -> None:
    async with stage.store.write() as session:
        person = (await session.exec(select(Person).where(Person.user_id == user))).one()
        for experiment, variant in variants.items():
            session.add(Assignment(person_id=person.id or 0, experiment=experiment, variant=variant, at=START))


async def told(stage: Stage, user: str, at: datetime = START) -> list[Ran]:
    """Tell what the store knows of the person's runs."""
    async with stage.store.read() as session:
        rows = (await session.exec(select(Delivery).join(Person).where(Person.user_id == user).order_by(col(Delivery.at)))).all()
        items = (await session.exec(select(MailboxItem).join(Person).where(Person.user_id == user))).all()
    texts = {item.key: _words(item) for item in items}
    return [
        Ran(
            run.journey,
            run.version,
            "open" if run.ended_at is None else run.status,
            run.reason,
            _since(at, run.started_at),
            None if run.ended_at is None else _since(at, run.ended_at),
            [
                Said(_since(at, row.at), row.channel, row.template, row.status, _rule(row.reason), texts.get(row.key, ""), row.step)
                for row in rows
                if row.run_id == run.id and row.status in ("sent", "suppressed", "failed")
            ],
        )
        for run in await stage.runs(user)
    ]


def assert_same_story(virtual: Sequence[Ran], real: Sequence[Ran]) -> None:
    """The same runs, with the same messages (by template) in the same order and the same ends, all to the minute."""
    ours, theirs = _in_order(virtual), _in_order(real)
    assert [_timeless(run) for run in theirs] == [_timeless(run) for run in ours]
    moments = zip(_moments(ours), _moments(theirs), strict=True)
    assert [(there, here) for here, there in moments if abs(there - here) > MINUTE] == []


def _in_order(story: Sequence[Ran]) -> list[Ran]:
    return sorted(story, key=lambda run: (run.started, run.journey))


def _timeless(run: Ran) -> Ran:
    said = [replace(each, after=timedelta(0), text="") for each in run.said]
    return replace(run, started=timedelta(0), ended=run.ended and timedelta(0), said=said)


def _moments(story: Sequence[Ran]) -> list[timedelta]:
    return [at for run in story for at in (run.started, run.ended or run.started, *(each.after for each in run.said))]


def _words(item: MailboxItem) -> str:
    """Return what the journey gave the template to say: its last line, in each channel's `note`."""
    if item.channel == "webhook":
        return str(json.loads(item.text)["text"])
    own = item.text
    for question, _ in WAY_OUT.values():  # without the line that is added where a template has none
        own = own.partition(f"\n\n{question}")[0]
    return (own.strip().splitlines() or [""])[-1]


def _rule(reason: str) -> str:
    """Return the rule that decided, without the particulars that only the real one knows."""
    return reason.partition(":")[0]


def _since(start: datetime, moment: datetime) -> timedelta:
    """To the minute: the real server takes some milliseconds for each step."""
    return timedelta(minutes=round((moment - start) / MINUTE))
