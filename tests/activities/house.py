"""A store with a person in a run, templates, and the activities as Temporal would call them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import Field
from sqlmodel import SQLModel, col, select
from temporalio.testing import ActivityEnvironment

from activities.all import activities
from activities.transport import Parcel, Transport
from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent, Consent, Delivery, Device, InboxCard, MailboxItem, Person, Run
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.policy import LAID_DOWN, Policy
from workflows.run import Receipt
from workflows.wire import Dispatch

EMAIL, PHONE = "ada@example.org", "+4915112345678"
NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
DEFINITION = "__temporal_activity_definition"
MJML = "<mjml><mj-body><mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section></mj-body></mjml>"


class Ordered(Event, name="Order Placed (activities)"):
    order: str = ""
    paid_with: str = Field("card", alias="paidWith")


class Left(Event, name="Left (activities)"):
    pass


class OrderCancelled(Event, name="Order Cancelled (activities)"):
    order: str = ""


@journey(exits_on=Left)
async def greeting(j: Journey, ordered: Ordered) -> None: ...


@journey(exits_on=(Left, OrderCancelled), key="order")
async def order_news(j: Journey, ordered: Ordered) -> None: ...


JOURNEYS_HERE = (greeting, order_news)


def write_templates(folder: Path) -> None:
    for name, text in {
        "email/note.mjml": "subject: A note\n---\n" + MJML.format("{{ text }}"),
        "sms/note.txt": "{{ text }}",
        "push/note.txt": "title: A note\n---\n{{ text }}",
        "in_app/note.txt": "title: A note\naction: Look -> https://app.example/{{ text }}\n---\n{{ text }}",
        "webhook/note.json": '{"who": {{ user.id }}, "said": {{ text }}, "at": {{ now }}, "all": {"text": {{ 1 }}}}',
        "email/broken.mjml": "subject: A note\n---\n" + MJML.format("{{ nobody_gave_this }}"),
    }.items():
        write_template(folder, name, text)


def write_template(folder: Path, name: str, text: str) -> None:
    file = folder / "templates" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class Provider:
    """A provider that remembers what it took. Each answer is an exception to raise after taking or not; then it takes all."""

    def __init__(self, *answers: Exception, keyed: bool = False) -> None:
        self.keyed = keyed
        self.answers = list(answers)
        self.calls: list[Parcel] = []
        self.called, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def deliver(self, parcel: Parcel) -> str:
        self.calls.append(parcel)
        self.called.set()
        await self.go_on.wait()
        if self.answers:
            raise self.answers.pop(0)
        return f"provider-{len(self.calls)}"


class House:
    """One person, who entered `greeting` at noon. Tests share a database, and each has a person of its own."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        url = store.engine.url.render_as_string(hide_password=False)
        self.settings = Settings(_env_file=None, database_url=url, journeys=folder)
        self.providers: dict[str, Transport] | None = {}
        self.user_id = f"ada-{uuid4().hex[:8]}"
        self.device = f"device of {self.user_id}"
        self.person_id = 0
        self.run_id = ""

    async def settle(self) -> None:
        person = Person(user_id=self.user_id, email=EMAIL, phone=PHONE, zone="UTC", locale="en", created_at=NOON)
        await self.add(person)
        self.person_id = person.id or 0
        await self.add(Device(token=self.device, person_id=self.person_id, seen_at=NOON))
        self.run_id = await self.enter("greeting")

    async def enter(self, name: str, key: str = "", **data: Any) -> str:
        """Start a run of hers, on an event with that data."""
        trigger = await self.happen(Ordered.name, **data)
        run = Run(
            id=f"r_{uuid4().hex}",
            person_id=self.person_id,
            journey=name,
            version=1,
            key=key,
            workflow_id=f"{name}/{self.user_id}",
            status="running",
            trigger_id=trigger,
            trigger=Ordered.name,
            started_at=NOON,
            requested_at=NOON,
        )
        await self.add(run)
        return run.id

    async def happen(self, name: str, **event: Any) -> int:
        """Accept an event of hers."""
        row = self.event(name, **event)
        await self.add(row)
        assert row.id is not None
        return row.id

    def event(
        self, name: str, *, kind: str = "track", run_id: str | None = None, status: str = "routed", **data: Any
    ) -> AcceptedEvent:
        return AcceptedEvent(
            person_id=self.person_id,
            message_id=uuid4().hex,
            kind=kind,
            name=name,
            data=data,
            occurred_at=NOON,
            accepted_at=NOON,
            run_id=run_id,
            status=status,
        )

    async def say(self, topic: str, *, granted: bool, channel: str = "*") -> None:
        await self.add(Consent(person_id=self.person_id, topic=topic, channel=channel, granted=granted, at=NOON))

    async def add(self, row: SQLModel) -> None:
        async with self.store.write() as session:
            session.add(row)

    async def change_person(self, **values: Any) -> None:
        async with self.store.write() as session:
            person = await session.get_one(Person, self.person_id)
            person.sqlmodel_update(values)

    def live(self, **providers: Transport) -> None:
        """Let these providers take what is sent to anybody."""
        self.providers = dict(providers)
        self.configure(live=True, allow_recipients=["@example.org", PHONE, self.device])

    def lay_down(self, **policy: Any) -> None:
        """Lay down another policy, for this test."""
        LAID_DOWN[:] = [Policy(**{"quiet_hours": {}} | policy)]

    def configure(self, **values: Any) -> None:
        self.settings = self.settings.model_copy(update=values)

    async def send(
        self,
        channel: str = "email",
        template: str = "note",
        *,
        at: datetime = NOON,
        step: str = "send:1",
        expires: timedelta = timedelta(days=1),
        run_id: str = "",
        **dispatch: Any,
    ) -> Receipt:
        """Send as the worker does, at that moment of the run's clock."""
        dispatch = {"topic": "greeting", "data": {"text": "hello"}} | dispatch
        wanted = Dispatch(run_id or self.run_id, step, channel, template, expires=NOON + expires, **dispatch)
        receipt: Receipt = await self.run(f"send_{channel}", wanted, at=at)
        return receipt

    async def run(self, name: str, argument: object, *, at: datetime = NOON) -> Any:
        known = {getattr(each, DEFINITION).name: each for each in activities(self.store, self.settings, self.providers)}
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, started_time=at, activity_type=name)
        return await environment.run(known[name], argument)

    async def row(self, step: str = "send:1", run_id: str = "") -> Delivery:
        async with self.store.read() as session:
            return await session.get_one(Delivery, f"{run_id or self.run_id}:{step}")

    async def end_lease(self, step: str = "send:1") -> None:
        """Let the time of an attempt that died be over."""
        async with self.store.write() as session:
            row = await session.get_one(Delivery, f"{self.run_id}:{step}")
            row.leased_until = datetime(2000, 1, 1, tzinfo=UTC)

    async def mailbox(self) -> list[MailboxItem]:
        mine = select(MailboxItem).where(MailboxItem.person_id == self.person_id)
        async with self.store.read() as session:
            return list((await session.exec(mine.order_by(col(MailboxItem.id)))).all())

    async def inbox(self) -> list[InboxCard]:
        async with self.store.read() as session:
            return list((await session.exec(select(InboxCard).where(InboxCard.person_id == self.person_id))).all())

    async def devices(self) -> list[str]:
        mine = select(Device.token).where(Device.person_id == self.person_id).order_by(Device.token)
        async with self.store.read() as session:
            return list((await session.exec(mine)).all())
