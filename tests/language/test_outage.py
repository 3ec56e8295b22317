"""Rules 4 and 7: an outage is retried, and each attempt passes the gate."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlmodel import col, select
from temporalio.client import Client

from engine.process import LOOPBACK, free_ports
from store.tables import Delivery, Person
from tests.language.both import JOURNEYS, told
from tests.language.words import Entered, Left, say
from tests.stage import Stage, eventually, only, stage
from workflows.definition import journey
from workflows.journey import Journey


@journey(exits_on=Left)
async def writes_a_letter(j: Journey, entered: Entered) -> None:
    await j.send(say("a letter"))


@dataclass
class PostOffice:
    """A mail server that is not there until it opens."""

    port: int
    taken: list[str] = field(default_factory=list)
    is_called: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)  # set, unless a test wants to be in the middle of a send

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.is_called.set()
        await asyncio.to_thread(self.goes_on.wait)
        self.taken += envelope.rcpt_tos
        return "250 OK"

    @contextmanager
    def open(self, *, slowly: bool = False) -> Iterator[None]:
        if not slowly:
            self.goes_on.set()
        controller = Controller(self, hostname=LOOPBACK, port=self.port)
        controller.start()
        try:
            yield
        finally:
            self.goes_on.set()
            controller.stop()


@pytest.fixture
def post_office() -> PostOffice:
    with free_ports(1) as (port,):
        return PostOffice(port)


@pytest.fixture
async def house_with_a_post_office(temporal: Client, tmp_path: Path, post_office: PostOffice) -> AsyncIterator[Stage]:
    url, smtp = f"sqlite+aiosqlite:///{tmp_path / 'house.db'}", f"smtp://{LOOPBACK}:{post_office.port}"
    async with stage(temporal, url, JOURNEYS, live=True, smtp_url=smtp, allow_recipients=["@example.org"]) as up:
        yield up


async def test_an_outage_is_retried_until_the_provider_is_back(house_with_a_post_office: Stage, post_office: PostOffice) -> None:
    house = house_with_a_post_office
    user = await house.somebody()
    with only([writes_a_letter]):
        await house.track(user, Entered())
        await eventually(lambda: has_been_tried(house, user))
        with post_office.open():
            await house.over(user)
    [story] = await told(house, user)
    assert [(said.status, said.reason) for said in story.said] == [("sent", "")]
    assert post_office.taken == [f"{user}@example.org"]


async def test_an_exit_that_is_accepted_in_an_outage_stops_the_next_attempt(
    house_with_a_post_office: Stage, post_office: PostOffice
) -> None:
    house = house_with_a_post_office
    user = await house.somebody()
    with only([writes_a_letter]):
        await house.track(user, Entered())
        await eventually(lambda: has_been_tried(house, user))
        await house.track(user, Left())
        with post_office.open():
            await house.over(user)
    [story] = await told(house, user)
    assert (story.status, story.reason, story.said) == ("exited", "left", [])
    assert post_office.taken == []


async def test_a_send_that_has_begun_when_the_exit_is_accepted_is_let_finish(
    house_with_a_post_office: Stage, post_office: PostOffice
) -> None:
    house = house_with_a_post_office
    user = await house.somebody()
    with only([writes_a_letter]), post_office.open(slowly=True):
        await house.track(user, Entered())
        await asyncio.to_thread(post_office.is_called.wait)
        await house.track(user, Left())
        post_office.goes_on.set()
        await house.over(user)
    [story] = await told(house, user)
    assert [said.status for said in story.said] == ["sent"]
    assert post_office.taken == [f"{user}@example.org"]


async def has_been_tried(house: Stage, user: str) -> bool:
    async with house.store.read() as session:
        mine = select(Delivery).join(Person).where(Person.user_id == user, col(Delivery.status) == "retrying")
        return (await session.exec(mine)).first() is not None
