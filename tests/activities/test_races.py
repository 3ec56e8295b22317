"""What speaks against a message is accepted at a random moment around its sending: once it is, no message begins."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from activities import send as sending
from activities.gate import look
from api.app import create_app
from events.suppress import suppress
from settings import DEVELOPMENT_ADMIN_KEY, DEVELOPMENT_ERASURE_KEY
from store.session import Store, lock
from store.tables import Delivery, Identity, Person
from tests.activities.house import House, Left, Provider
from workflows.policy import Calendar, Cap

BY = {"X-Actor": "ada", "X-Reason": "a race"}
TOGETHER = 10  # messages that are sent at once, in each round
AGES = timedelta(days=400)


@dataclass
class Watch:
    """In what order messages began, by the commit of their intent or of their mailbox row, and anything else happened."""

    begun: dict[str, int] = field(default_factory=dict)
    order: Iterator[int] = field(default_factory=lambda: count(1))

    def flushing(self, session: Session, *_: object) -> None:
        rows = [row for row in (*session.new, *session.dirty) if isinstance(row, Delivery)]
        session.info.setdefault("begins", []).extend(row.key for row in rows if row.status in ("intent", "sent"))

    def committed(self, session: Session) -> None:
        self.begun.update((key, next(self.order)) for key in session.info.pop("begins", []))


@pytest.fixture
def watch() -> Iterator[Watch]:
    watching = Watch()
    event.listen(Session, "before_flush", watching.flushing)
    event.listen(Session, "after_commit", watching.committed)
    yield watching
    event.remove(Session, "before_flush", watching.flushing)
    event.remove(Session, "after_commit", watching.committed)


@dataclass(frozen=True)
class Others:
    """Another process on the same database."""

    store: Store
    api: httpx.AsyncClient

    async def call(self, method: str, path: str, body: Any = None) -> None:
        (await self.api.request(method, path, json=body, headers=BY)).raise_for_status()


@pytest.fixture
async def others(house: House, database_url: str) -> AsyncIterator[Others]:
    store = Store(database_url, erasure_key=DEVELOPMENT_ERASURE_KEY)
    transport = httpx.ASGITransport(create_app(house.settings, store))
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://others", headers=headers) as api:
        yield Others(store, api)
    await store.close()


async def an_exit_event(house: House, others: Others) -> None:
    await others.call("POST", "/v1/track", {"userId": house.user_id, "event": Left.name})


async def an_operators_exit(house: House, others: Others) -> None:
    await others.call("POST", f"/v1/runs/{house.run_id}/exit")


async def an_unsubscription(house: House, others: Others) -> None:
    said = {"topic": "greeting", "channel": "email", "granted": False, "source": "link"}
    await others.call("PUT", f"/v1/users/{house.user_id}/consent", said)


async def an_erasure(house: House, others: Others) -> None:
    await others.call("DELETE", f"/v1/users/{house.user_id}")


async def a_kill_switch(house: House, others: Others) -> None:
    await others.call("PUT", "/v1/stops/journey/greeting")


async def a_suppression(house: House, others: Others) -> None:
    await suppress(others.store, "email", address(house), "complaint", "provider", datetime.now(UTC))


async def a_pause(house: House, others: Others) -> None:
    async with others.store.write() as session:
        await lock(session, [house.person_id])
        (await session.get_one(Person, house.person_id)).paused_until = datetime.now(UTC) + AGES


Acceptance = Callable[[House, Others], Awaitable[None]]
ACCEPTANCES: tuple[Acceptance, ...] = (
    an_exit_event,
    an_operators_exit,
    an_unsubscription,
    an_erasure,
    a_kill_switch,
    a_suppression,
    a_pause,
)
ROUNDS = [pytest.param(6, id="short"), pytest.param(100, id="soak", marks=pytest.mark.soak)]


def address(house: House) -> str:
    return f"{house.user_id}@example.org"


async def newcomer(house: House, others: Others, round: int) -> None:
    """Let somebody new enter, whom nothing speaks against."""
    house.user_id = f"{house.user_id.partition('.')[0]}.{round}"
    house.device = f"device of {house.user_id}"
    await house.settle()
    await house.add(Identity(name=house.user_id, person_id=house.person_id))
    await house.change_person(email=address(house))
    for stop in (await others.api.get("/v1/stops")).json()["stops"]:
        if stop["released_at"] is None:
            await others.call("POST", "/v1/stops/journey/greeting/release", {"choice": "skip"})


async def sends(house: House, within: float = 0) -> None:
    """Send several messages of one run, each at a random moment."""

    async def one(step: int) -> None:
        await asyncio.sleep(within * random.random())
        await house.send(step=f"send:{step}")

    await asyncio.gather(*(one(step) for step in range(TOGETHER)))


async def seconds(doing: Awaitable[object]) -> float:
    begun = monotonic()
    await doing
    return monotonic() - begun


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("outlet", ["provider", pytest.param("mailbox", marks=pytest.mark.soak)])
@pytest.mark.parametrize("accepted", ACCEPTANCES, ids=lambda each: each.__name__)
async def test_no_message_begins_once_what_speaks_against_it_is_accepted(
    house: House, others: Others, watch: Watch, accepted: Acceptance, outlet: str, rounds: int
) -> None:
    if outlet == "provider":
        house.live(email=Provider())
    await newcomer(house, others, 0)
    span = await seconds(sends(house))
    late, begun = list[str](), 0
    for round in range(1, rounds + 1):
        await newcomer(house, others, round)
        watch.begun.clear()
        at_work = asyncio.create_task(sends(house, span))
        await asyncio.sleep(span * random.uniform(round - 1, round) / rounds)
        await accepted(house, others)
        answered = next(watch.order)
        await at_work
        begun += len(watch.begun)
        late += [key for key, at in watch.begun.items() if at > answered]
        assert (await house.send(step="afterwards")).status != "sent"
    assert late == []
    assert 0 < begun < rounds * TOGETHER


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_under_a_cap_no_more_begin_than_it_has_room_for(house: House, others: Others, watch: Watch, rounds: int) -> None:
    house.lay_down(caps=(Cap(2, Calendar.DAY),))
    house.live(email=Provider())
    for round in range(rounds):
        await newcomer(house, others, round)
        watch.begun.clear()
        await sends(house)
        assert len(watch.begun) == 2


# That these tests would see it: without the locks, they do begin.


class Choreography:
    """A message's facts are read, then something is accepted, then the message goes on: if nothing keeps them apart."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, patience: float = 1) -> None:
        self.patience = patience
        self.looked, self.go_on = asyncio.Event(), asyncio.Event()
        self.look = look
        monkeypatch.setattr(sending, "look", self.look_and_wait)

    async def look_and_wait(self, *arguments: Any) -> Any:
        case = await self.look(*arguments)
        self.looked.set()
        await asyncio.wait([asyncio.ensure_future(self.go_on.wait())], timeout=self.patience)
        return case


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])
@pytest.mark.parametrize("accepted", [each for each in ACCEPTANCES if each is not an_erasure], ids=lambda each: each.__name__)
async def test_it_is_the_lock_that_keeps_them_apart(
    house: House, others: Others, watch: Watch, accepted: Acceptance, locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.store.is_sqlite:
        pytest.skip("on SQLite a transaction that writes has the file to itself")
    await newcomer(house, others, 0)
    if not locked:
        monkeypatch.setattr(sending, "lock_to_send", unlocked)
    meeting = Choreography(monkeypatch, patience=1 if locked else 20)
    at_work = asyncio.create_task(house.send())
    await meeting.looked.wait()
    await accepted(house, others)
    answered = next(watch.order)
    meeting.go_on.set()
    await at_work
    assert [at > answered for at in watch.begun.values()] == [not locked]


async def test_without_the_lock_more_begin_than_a_cap_has_room_for(
    house: House, others: Others, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.store.is_sqlite:
        pytest.skip("on SQLite a transaction that writes has the file to itself")
    house.lay_down(caps=(Cap(2, Calendar.DAY),))
    await newcomer(house, others, 0)
    monkeypatch.setattr(sending, "lock_to_send", unlocked)
    Choreography(monkeypatch, patience=0.5)
    await sends(house)
    assert len(watch.begun) > 2


async def unlocked(session: Any, person_id: int) -> None:
    """Take no lock."""
