"""Kill switches at the gate, and how thousands of messages that wait are released, whatever dies in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func
from sqlmodel import col, select
from temporalio.exceptions import ApplicationError

from activities.transport import Ambiguous
from api.app import create_app
from events import stops
from events.calls import Clock
from events.operators import Operator
from events.stops import NoSuch, go_on, listed, release, throw
from settings import DEVELOPMENT_ADMIN_KEY
from store.tables import AcceptedEvent, Delivery, Operation, Person, Run, Stop
from tests.activities.house import NOON, House, Provider
from workflows.clock import share
from workflows.run import Receipt

BY = Operator("ada", "the texts are wrong", "test", NOON)
WHO = {"X-Actor": "ada", "X-Reason": "the texts are wrong"}
SENT, STOPPED = Receipt("sent"), Receipt("deferred", "kill_switch", NOON + timedelta(days=1))
MANY = 1500


@pytest.fixture(autouse=True)
async def nothing_stays_stopped(house: House) -> AsyncIterator[None]:
    """Tests share a database."""
    yield
    for stop, _ in await listed(house.store):
        if stop.released_at is None:
            await release(house.store, stop.scope, stop.name, "skip", BY, Clock.real())  # type: ignore[arg-type]
    await go_on(house.store)


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}", **WHO}
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    async with httpx.AsyncClient(transport=transport, base_url="http://house", headers=headers) as client:
        yield client


async def orders(house: House) -> list[AcceptedEvent]:
    """Return what the person's runs were told of releases."""
    theirs = select(AcceptedEvent).where(AcceptedEvent.person_id == house.person_id, AcceptedEvent.kind == "release")
    async with house.store.read() as session:
        return list((await session.exec(theirs.order_by(col(AcceptedEvent.id)))).all())


async def have_many_wait(house: House, count: int = MANY) -> None:
    """Have so many messages wait, each of a person of its own."""
    people = [Person(user_id=f"{house.user_id}/{each}", created_at=NOON) for each in range(count)]
    async with house.store.write() as session:
        session.add_all(people)
        await session.flush()
        runs = [
            Run(
                id=f"r_{person.user_id}",
                person_id=person.id or 0,
                journey="greeting",
                version=1,
                workflow_id=person.user_id,
                status="running",
                trigger="x",
                started_at=NOON,
                requested_at=NOON,
            )
            for person in people
        ]
        waiting = [
            Delivery(
                key=f"{run.id}:send:1",
                run_id=run.id,
                person_id=run.person_id,
                journey="greeting",
                step="send:1",
                channel="email",
                template="note",
                topic="greeting",
                status="deferred",
                reason="kill_switch",
                at=NOON,
                retry_at=NOON + timedelta(days=1),
            )
            for run in runs
        ]
        session.add_all(runs)
        await session.flush()
        session.add_all(waiting)


async def test_what_is_stopped_is_deferred_as_long_as_it_lives_and_goes_once_it_is_released(house: House) -> None:
    await throw(house.store, "journey", "greeting", BY)
    assert await house.send() == STOPPED
    assert (await house.row()).saw == {"stopped": "journey greeting"}
    stop = await release(house.store, "journey", "greeting", "send", BY, Clock.real())
    assert await house.send() == SENT
    assert [(each.run_id, each.data) for each in await orders(house)] == [(house.run_id, {"step": "send:1", "after": 0})]
    async with house.store.read() as session:
        assert (await session.get_one(Stop, stop.id)).finished_at is not None


async def test_a_switch_stops_its_journey_or_its_channel_and_no_other(house: House) -> None:
    await throw(house.store, "channel", "sms", BY)
    await throw(house.store, "journey", "order_news", BY)
    assert await house.send("sms", step="1") == STOPPED
    assert await house.send("email", step="2") == SENT
    assert await house.send("email", step="3", run_id=await house.enter("order_news", "1")) == STOPPED


@pytest.mark.parametrize("transactional", [True, False])
async def test_a_switch_stops_what_is_transactional_too(house: House, transactional: bool) -> None:
    await throw(house.store, "all", "", BY)
    assert await house.send(transactional=transactional) == STOPPED


async def test_what_is_skipped_is_suppressed_for_good(house: House) -> None:
    await throw(house.store, "all", "", BY)
    assert await house.send() == STOPPED
    await release(house.store, "all", "", "skip", BY, Clock.real())
    assert await house.send() == Receipt("suppressed", "kill_switch")
    row = await house.row()
    assert (row.status, row.retry_at, row.saw) == ("suppressed", None, {"stopped": "all", "choice": "skip"})
    assert await house.send(step="next") == SENT


async def test_what_may_have_arrived_before_it_was_stopped_is_in_doubt_when_it_is_skipped(house: House) -> None:
    house.live(email=Provider(Ambiguous("connection lost"), keyed=True))
    with pytest.raises(ApplicationError):
        await house.send()
    await throw(house.store, "journey", "greeting", BY)
    assert (await house.send()).reason == "kill_switch"
    await release(house.store, "journey", "greeting", "skip", BY, Clock.real())
    assert (await house.row()).status == "unknown"


async def test_what_is_retimed_is_spread_by_person(house: House) -> None:
    await throw(house.store, "all", "", BY)
    assert await house.send() == STOPPED
    await release(house.store, "all", "", "retime", BY, Clock.real(), timedelta(hours=2))
    [order] = await orders(house)
    assert order.data == {"step": "send:1", "after": pytest.approx(7200 * share(house.user_id))}
    row = await house.row()
    assert (row.status, row.reason) == ("deferred", "released")
    assert row.retry_at is not None
    assert abs((row.retry_at - datetime.now(UTC)).total_seconds() - order.data["after"]) < 60


async def test_what_another_switch_stops_too_waits_for_that_one(house: House) -> None:
    await throw(house.store, "all", "", BY)
    await throw(house.store, "channel", "email", BY)
    assert await house.send() == STOPPED
    await release(house.store, "all", "", "skip", BY, Clock.real())
    assert await orders(house) == []
    assert (await house.row()).reason == "kill_switch"
    await release(house.store, "channel", "email", "send", BY, Clock.real())
    assert len(await orders(house)) == 1
    assert await house.send() == SENT


async def test_thousands_that_wait_are_released_once_each_by_workers_that_come_and_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await throw(house.store, "all", "", BY)
    await have_many_wait(house)
    [(stop, count), *_] = await listed(house.store)
    assert count == MANY
    await release(house.store, "all", "", "send", BY, Clock.real())
    [(_, left), *_] = [each for each in await listed(house.store) if each[0].id == stop.id]
    assert left == MANY - stops.MESSAGES_AT_ONCE, "the door itself has begun"

    whole, batches = stops._go_on, 0

    async def dies_after_two(*arguments: Any) -> None:
        nonlocal batches
        batches += 1
        if batches > 2:
            raise ConnectionError("the worker has died")
        await whole(*arguments)

    monkeypatch.setattr(stops, "_go_on", dies_after_two)
    with pytest.raises(ConnectionError):
        await go_on(house.store)
    monkeypatch.setattr(stops, "_go_on", whole)
    await asyncio.gather(go_on(house.store), go_on(house.store))

    async with house.store.read() as session:
        told = func.count(), func.count(col(AcceptedEvent.run_id).distinct())
        mine = select(*told).where(AcceptedEvent.kind == "release", col(AcceptedEvent.run_id).startswith(f"r_{house.user_id}/"))
        assert (await session.exec(mine)).one() == (MANY, MANY)
        assert (await session.get_one(Stop, stop.id)).finished_at is not None


async def test_a_message_of_a_run_that_is_over_waits_no_more(house: House) -> None:
    await throw(house.store, "all", "", BY)
    assert await house.send() == STOPPED
    async with house.store.write() as session:
        (await session.get_one(Run, house.run_id)).ended_at = NOON
    assert (await listed(house.store))[0][1] == 0


# Through the doors.


async def test_switches_are_thrown_listed_and_released_over_http(house: House, api: httpx.AsyncClient) -> None:
    answer = await api.put("/v1/stops/channel/email")
    assert (answer.status_code, answer.json()["waiting"], answer.json()["actor"]) == (200, 0, "ada")
    await house.send()
    again = await api.put("/v1/stops/channel/email", headers={**WHO, "X-Reason": "once more"})
    assert (again.json()["at"], again.json()["reason"]) == (answer.json()["at"], "the texts are wrong")
    [stop, *_] = (await api.get("/v1/stops")).json()["stops"]
    assert (stop["scope"], stop["name"], stop["waiting"], stop["released_at"]) == ("channel", "email", 1, None)
    released = (await api.post("/v1/stops/channel/email/release", json={"choice": "retime", "over": 60})).json()
    assert (released["choice"], released["over"], released["released_by"], released["waiting"]) == ("retime", 60, "ada", 0)
    assert (await api.post("/v1/stops/channel/email/release", json={"choice": "send"})).status_code == 404
    async with house.store.read() as session:
        said = select(Operation).where(Operation.subject == "channel email").order_by(col(Operation.id).desc())
        done = (await session.exec(said.limit(3))).all()
    assert [each.action for each in done] == ["release", "stop", "stop"]


@pytest.mark.parametrize(
    ("path", "meant"), [("journey/greting", "did you mean 'greeting'?"), ("channel/mail", "did you mean 'email'?")]
)
async def test_a_name_that_nobody_knows_is_refused_with_the_one_that_was_meant(
    api: httpx.AsyncClient, path: str, meant: str
) -> None:
    answer = await api.put(f"/v1/stops/{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].endswith(meant)


async def test_nobody_stops_anything_without_a_name_and_a_reason(api: httpx.AsyncClient) -> None:
    assert (await api.put("/v1/stops/all", headers={"X-Reason": ""})).status_code == 422
    assert (await api.put("/v1/stops/moon/all")).status_code == 422
    assert (await api.put("/v1/stops/all/x")).status_code == 404


async def test_what_is_not_in_the_code_is_not_stopped(house: House) -> None:
    with pytest.raises(NoSuch, match="there is no journey 'nothing like it'"):
        await throw(house.store, "journey", "nothing like it", BY)
