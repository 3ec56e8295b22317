"""What keeps a message from going out, and which reason is the recorded one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import datetime, time, timedelta

import httpx
import pytest
from sqlalchemy import delete
from sqlmodel import col
from temporalio.exceptions import ApplicationError

from activities.transport import OutOfReach
from api.app import create_app
from events.erase import erase
from events.operators import Operator
from settings import DEVELOPMENT_ADMIN_KEY
from store.tables import Device, Identity, Run
from tests.activities.house import NOON, House, Left, OrderCancelled, Provider
from workflows.policy import QuietHours
from workflows.run import Receipt
from workflows.wire import Closing

SENT = Receipt("sent")
AT_NIGHT = {"email": QuietHours(time(11), time(13, 30))}
BY = {"X-Actor": "eve", "X-Reason": "wrong copy"}


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The API, with Temporal away."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(house.settings, house.store, None)),
        base_url="http://test",
        headers={"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"},
    ) as client:
        yield client


async def test_an_exit_event_that_has_been_accepted_stops_the_send_before_the_run_hears_of_it(house: House) -> None:
    await house.happen(Left.name, status="pending")

    assert await house.send() == Receipt("exited", Left.name)
    assert (await house.row()).status == "exited"
    assert await house.mailbox() == []


async def test_an_exit_event_from_before_the_run_began_does_not_count(house: House) -> None:
    await house.happen(Left.name)
    await house.run("close_run", Closing(house.run_id, "exited", Left.name, NOON))
    again = await house.enter("greeting")

    assert await house.send(run_id=again) == SENT


async def test_an_exit_event_counts_though_our_own_code_fails_to_route_it(house: House) -> None:
    await house.happen(Left.name, status="dead")

    assert await house.send() == Receipt("exited", Left.name)
    assert await house.mailbox() == []


async def test_an_exit_event_that_is_malformed_does_not_count(house: House) -> None:
    await house.happen(Left.name, status="invalid")

    assert await house.send() == SENT


async def test_a_keyed_run_exits_on_its_own_key_only(house: House) -> None:
    mine, other = await house.enter("order_news", "1", order="1"), await house.enter("order_news", "2", order="2")
    await house.happen(OrderCancelled.name, order="1")

    assert await house.send(run_id=mine) == Receipt("exited", OrderCancelled.name)
    assert await house.send(run_id=other) == SENT


async def test_an_exit_event_without_the_key_reaches_every_keyed_run(house: House) -> None:
    mine = await house.enter("order_news", "1", order="1")
    await house.happen(Left.name)

    assert (await house.send(run_id=mine)).status == "exited"


async def test_an_exit_event_for_another_run_does_not_count(house: House) -> None:
    other = await house.enter("order_news", "1", order="1")
    await house.happen(Left.name, run_id=other)

    assert await house.send() == SENT


async def test_an_operators_exit_stops_the_send_and_says_who_and_why(house: House) -> None:
    await house.happen("exit", kind="exit", run_id=house.run_id, actor="grace", reason="wrong person", status="pending")

    assert await house.send() == Receipt("exited", "grace: wrong person")


@pytest.mark.parametrize("transactional", [True, False])
async def test_no_attempt_of_a_message_begins_once_an_operator_has_paused_its_run(
    house: House, api: httpx.AsyncClient, transactional: bool
) -> None:
    """With Temporal away, as here, the order may still reach the run, and the gate knows of it already."""
    provider = Provider(OutOfReach("no route"))
    house.live(email=provider)
    with pytest.raises(ApplicationError, match="no route"):
        await house.send(transactional=transactional)
    assert (await api.post(f"/v1/runs/{house.run_id}/pause", headers=BY)).status_code == 503
    waiting = await house.send(transactional=transactional)
    assert (waiting.status, waiting.reason, len(provider.calls)) == ("deferred", "run_paused", 1)

    assert (await api.post(f"/v1/runs/{house.run_id}/resume", headers=BY)).status_code == 503
    assert await house.send(transactional=transactional) == SENT


async def test_a_run_whose_row_is_closed_sends_nothing(house: House) -> None:
    async with house.store.write() as session:
        run = await session.get_one(Run, house.run_id)
        run.status, run.ended_at, run.reason = "terminated", NOON, "terminated in Temporal"

    assert await house.send() == Receipt("exited", "terminated in Temporal")


async def test_nothing_goes_to_an_erased_person(house: House) -> None:
    await house.add(Identity(name=house.user_id, person_id=house.person_id))
    assert await erase(house.store, house.user_id, Operator("eve", "asked by letter", "ops", NOON))

    assert await house.send() == Receipt("exited", f"there is no run {house.run_id}: its person was erased")


@pytest.mark.parametrize("channel", ["email", "sms", "push"])
async def test_without_an_address_nothing_goes_out(house: House, channel: str) -> None:
    await house.change_person(email=None, phone="")
    async with house.store.write() as session:
        await session.exec(delete(Device).where(col(Device.person_id) == house.person_id))

    assert await house.send(channel) == Receipt("suppressed", "no_address")


async def test_the_inbox_needs_no_address(house: House) -> None:
    await house.change_person(email=None, phone=None)

    assert await house.send("in_app") == SENT


@pytest.mark.parametrize("channel", ["*", "email"])
async def test_who_opted_out_of_the_topic_gets_nothing(house: House, channel: str) -> None:
    await house.say("greeting", granted=False, channel=channel)

    assert await house.send() == Receipt("suppressed", "no_consent")


async def test_opting_out_is_of_one_topic_and_one_channel(house: House) -> None:
    await house.say("greeting", granted=False, channel="sms")
    await house.say("news", granted=False)

    assert await house.send() == SENT


async def test_the_last_word_on_consent_holds(house: House) -> None:
    await house.say("greeting", granted=False)
    await house.say("greeting", granted=True, channel="email")
    assert await house.send() == SENT

    await house.say("greeting", granted=False)
    assert await house.send(step="send:2") == Receipt("suppressed", "no_consent")


async def test_a_message_past_its_time_is_not_sent(house: House) -> None:
    assert await house.send(at=NOON + timedelta(hours=1), expires=timedelta(hours=1)) == Receipt("suppressed", "expired")


async def test_quiet_hours_ask_to_be_asked_again_when_they_are_over(house: House) -> None:
    house.lay_down(quiet_hours=AT_NIGHT)
    morning = NOON + timedelta(hours=1, minutes=30)

    assert await house.send() == Receipt("deferred", "quiet_hours", morning)
    row = await house.row()
    assert (row.status, row.retry_at) == ("deferred", morning)

    assert await house.send(at=morning) == SENT
    row = await house.row()
    assert (row.status, row.reason, row.retry_at, row.at) == ("sent", "", None, morning)


async def test_quiet_hours_are_where_the_person_is(house: House) -> None:
    house.lay_down(quiet_hours=AT_NIGHT)
    await house.change_person(zone="Asia/Tokyo")

    assert await house.send() == SENT


async def test_quiet_hours_of_an_unknown_zone_are_those_of_the_configured_one(house: House) -> None:
    house.lay_down(quiet_hours=AT_NIGHT)
    house.configure(zone="Asia/Tokyo")
    await house.change_person(zone="Mars/Olympus")

    assert await house.send() == SENT


async def test_a_message_that_does_not_outlive_the_quiet_hours_is_dropped(house: House) -> None:
    house.lay_down(quiet_hours=AT_NIGHT)

    assert await house.send(expires=timedelta(hours=1)) == Receipt("suppressed", "quiet_hours")


async def test_the_first_refusal_in_the_gates_order_is_the_recorded_one(house: House) -> None:
    house.lay_down(quiet_hours=AT_NIGHT)
    late = timedelta(minutes=30)
    assert (await house.send(step="5", expires=late)).reason == "quiet_hours"
    assert (await house.send(step="4", at=NOON + timedelta(hours=1), expires=late)).reason == "expired"
    await house.say("greeting", granted=False)
    assert (await house.send(step="3", expires=late)).reason == "no_consent"
    await house.change_person(email=None)
    assert (await house.send(step="2", expires=late)).reason == "no_address"
    await house.happen(Left.name)
    assert (await house.send(step="1", expires=late)).reason == Left.name


async def test_the_gates_time_is_the_runs_own(house: House) -> None:
    a_year = timedelta(days=365)

    receipt = await house.send(at=NOON + a_year, offset=-a_year.total_seconds())

    assert receipt == SENT
    assert (await house.row()).at == NOON


async def test_a_variant_counts_as_exposed_when_it_is_sent_or_stopped_only_by_the_hour(house: House) -> None:
    def send(step: str, at: datetime = NOON) -> Awaitable[Receipt]:
        return house.send(step=step, at=at, experiment="tone", variant="warm")

    await send("sent")
    await send("late", NOON + timedelta(days=2))
    await house.say("greeting", granted=False)
    await send("unwanted")

    exposed = {step: (await house.row(step)).exposed_at for step in ("sent", "late", "unwanted")}
    assert exposed == {"sent": NOON, "late": NOON + timedelta(days=2), "unwanted": None}
    row = await house.row("sent")
    assert (row.experiment, row.variant) == ("tone", "warm")


async def test_without_an_experiment_nobody_is_exposed(house: House) -> None:
    await house.send()

    assert (await house.row()).exposed_at is None
