"""A reply pauses marketing from the moment it is accepted, and the team is to be told of it once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from sqlmodel import col, select, update

from activities.email import message_id
from api import orders
from api.app import create_app
from events.calls import Clock
from events.erase import erase
from events.operators import Operator
from events.replies import replied
from settings import DEVELOPMENT_ADMIN_KEY, EndpointSetting, Settings
from store.tables import AcceptedEvent, Delivery, Identity, Notice, Operation, Run
from tests.activities.house import JOURNEYS_HERE, NOON, House, Ordered, Provider
from tests.stage import only
from workflows.definition import Definition, journey
from workflows.journey import Journey
from workflows.marketing import is_marketing
from workflows.messages import Email, InApp, Push, Sms

MINUTE = timedelta(minutes=1)
CLOCK = Clock(NOON + timedelta(hours=1))
TEAM = {"team": EndpointSetting(url="https://ours.example/hook", secrets=[SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])}
RECEIPT = Email("note", transactional=True)


@journey()
async def offers(j: Journey, ordered: Ordered) -> None:
    await j.send(Email("note", transactional=True))
    await j.send(Push("note") if j.user.locale else Sms("note", transactional=True))


@journey()
async def receipts(j: Journey, ordered: Ordered) -> None:
    message = Sms("note", transactional=True)
    for each in (RECEIPT, message):
        await j.send(each)
    await j.send(await j.split("tone", {"plain": RECEIPT, "warm": InApp("note", transactional=True)}))


@journey()
async def silence(j: Journey, ordered: Ordered) -> None:
    await j.sleep(timedelta(days=1))


@journey()
async def whatever(j: Journey, ordered: Ordered) -> None:
    await j.send({"a": RECEIPT}.get(ordered.order, RECEIPT))


JOURNEYS = (offers, receipts)


@asynccontextmanager
async def alone(house: House) -> AsyncIterator[None]:
    """Give her an address that nobody else in the database has."""
    await house.change_person(email=f"{house.user_id}@example.org", phone=f"+49151{house.person_id:08}")
    house.configure(endpoints=TEAM, team_endpoint="team")
    with only((*JOURNEYS_HERE, *JOURNEYS)):
        yield


async def answer(house: House, channel: str = "email", id: str = "", **more: str) -> Delivery | None:
    address = more.pop("address", f"{house.user_id}@example.org")
    id = id or f"reply of {house.user_id}"
    return await replied(house.store, house.settings, channel, address, "No, thanks.", id, NOON + MINUTE, clock=CLOCK, **more)


async def notices(house: House) -> list[Notice]:
    async with house.store.read() as session:
        return list((await session.exec(select(Notice).where(Notice.person_id == house.person_id))).all())


async def events(house: House, kind: str) -> list[AcceptedEvent]:
    mine = select(AcceptedEvent).where(AcceptedEvent.person_id == house.person_id, AcceptedEvent.kind == kind)
    async with house.store.read() as session:
        return list((await session.exec(mine.order_by(col(AcceptedEvent.id)))).all())


@pytest.mark.parametrize(("definition", "yes"), [(offers, True), (receipts, False), (silence, False), (whatever, True)])
def test_a_journey_is_marketing_unless_all_it_sends_is_transactional(definition: Definition[Ordered], yes: bool) -> None:
    assert is_marketing(definition) is yes


async def test_a_reply_orders_marketing_runs_to_pause_before_it_tells_of_itself(house: House) -> None:
    async with alone(house):
        offering, receipt = await house.enter("offers"), await house.enter("receipts")
        await house.send(run_id=offering)
        assert await answer(house) is not None
        [order], [*_, said] = await events(house, "pause"), await events(house, "track")
    assert (order.run_id, order.data) == (offering, {"actor": "sojourn", "reason": "replied to email note"})
    assert (said.name, said.data["message"]) == ("message_replied", f"{offering}:send:1")
    assert (order.id or 0) < (said.id or 0)
    async with house.store.read() as session:
        assert [(await session.get_one(Run, run)).paused for run in (offering, receipt)] == [True, False]
        [record] = (await session.exec(select(Operation).where(Operation.run_id == offering))).all()
    assert (record.action, record.actor, record.reason) == ("pause", "sojourn", "replied to email note")


async def test_from_then_on_no_message_begins_but_what_is_transactional(house: House) -> None:
    async with alone(house):
        run = await house.enter("offers")
        await house.send(run_id=run)
        await answer(house)
        held = await house.send(run_id=run, step="send:2")
        receipt = await house.send(run_id=run, step="send:3", transactional=True)
        row = await house.row("send:2", run)
    assert (held.status, held.reason, held.retry_at) == ("deferred", "run_paused", NOON + timedelta(seconds=10))
    assert row.saw == {"paused": "sojourn: replied to email note"}
    assert receipt.status == "sent"


async def test_no_message_begins_after_a_reply_was_accepted_however_they_meet(house: House) -> None:
    house.live(email=Provider())
    async with alone(house):
        run = await house.enter("offers")
        await house.send(run_id=run)
        sends = [house.send(run_id=run, step=f"send:{number}") for number in range(2, 22)]
        await asyncio.gather(*sends[:10], answer(house), *sends[10:])
        assert (await house.send(run_id=run, step="send:22")).reason == "run_paused"
        async with house.store.read() as session:
            rows = (await session.exec(select(Delivery).where(Delivery.run_id == run))).all()
        [notice] = await notices(house)
    accepted = notice.due_at  # by the database's clock, under the lock that each of them took
    assert accepted is not None
    assert all(row.begun_at is not None and row.begun_at <= accepted for row in rows if row.status == "sent")
    assert all(row.reason == "run_paused" for row in rows if row.status != "sent")


async def test_a_run_that_has_heard_of_its_pause_and_goes_on_was_resumed(house: House) -> None:
    async with alone(house):
        run = await house.enter("offers")
        await house.send(run_id=run)
        await answer(house)
        [order] = await events(house, "pause")
        unheard = await house.send(run_id=run, step="send:2", obeyed=(order.id or 0) - 1)
        heard = await house.send(run_id=run, step="send:2", obeyed=order.id)
    assert (unheard.status, heard.status) == ("deferred", "sent")


async def test_an_attempt_from_before_goes_on_once_the_run_is_resumed(house: House) -> None:
    async with alone(house):
        run = await house.enter("offers")
        await house.send(run_id=run)
        await answer(house)
        async with house.store.write() as session:
            await session.exec(update(Run).where(col(Run.id) == run).values(paused=False))
        assert (await house.send(run_id=run, step="send:2")).status == "sent"


async def test_a_reply_that_comes_while_the_run_is_being_resumed_holds(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resumed_as_they_reply(*_: object) -> None:
        await answer(house)

    monkeypatch.setattr(orders, "order", resumed_as_they_reply)
    transport = httpx.ASGITransport(create_app(house.settings, house.store))
    admin = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}", "X-Actor": "eve", "X-Reason": "answered"}
    async with alone(house), httpx.AsyncClient(transport=transport, base_url="http://house", headers=admin) as api:
        run = await house.enter("offers")
        await house.send(run_id=run)
        assert (await api.post(f"/v1/runs/{run}/resume")).status_code == 200
        assert (await house.send(run_id=run, step="send:2")).reason == "run_paused"


async def test_the_message_that_is_answered_is_the_last_one_sent_there(house: House) -> None:
    async with alone(house):
        first, last = await house.enter("offers"), await house.enter("receipts")
        await house.send("sms", run_id=first)
        await house.send(run_id=first, step="send:2", at=NOON + MINUTE)
        await house.send(run_id=last, at=NOON + 2 * MINUTE)
        await house.send(run_id=last, step="send:2", at=NOON + 3 * MINUTE, expires=timedelta(0))
        by_mail = await answer(house, address=f"  {house.user_id.upper()}@EXAMPLE.org ")
        by_text = await answer(house, "sms", "text", address=f"0049 151 {house.person_id:08}".replace("0049", "+49"))
    assert by_mail is not None
    assert by_mail.key == f"{last}:send:1"
    assert by_text is not None
    assert by_text.key == f"{first}:send:1"


async def test_a_reply_that_names_its_message_answers_that_one_from_whatever_address(house: House) -> None:
    async with alone(house):
        run = await house.enter("offers")
        await house.send(run_id=run)
        await house.send(run_id=run, step="send:2", at=NOON + MINUTE)
        ours = message_id(f"{run}:send:1", run, house.settings.email_from)
        row = await answer(house, address="other@example.org", in_reply_to=ours)
        nobody = await answer(house, id="other", address="other@example.org", in_reply_to=ours.replace(run, "r_0"))
    assert row is not None
    assert row.key == f"{run}:send:1"
    assert nobody is None


async def test_a_reply_of_somebody_whom_we_sent_nothing_is_left_out(house: House) -> None:
    async with alone(house):
        await house.enter("offers")
        assert await answer(house) is None
        assert await answer(house, address="no address") is None
        assert (await events(house, "pause"), await notices(house)) == ([], [])


async def test_the_team_is_to_be_told_once_of_whose_reply_it_is_and_what_it_says(house: House) -> None:
    async with alone(house):
        run = await house.enter("offers")
        await house.send(run_id=run)
        for _ in range(2):
            await answer(house)
        [notice] = await notices(house)
        assert len(await events(house, "pause")) == 1
    about = {"message": f"{run}:send:1", "run": run, "journey": "offers", "template": "note", "channel": "email"}
    assert notice.data == {**about, "paused": [run], "text": "No, thanks."}
    assert (notice.kind, notice.attempts, notice.due_at is None) == ("message.replied", 0, False)
    assert "No, thanks." not in str([each.data for each in [*await events(house, "track"), *await events(house, "pause")]])


async def test_without_an_endpoint_of_the_team_nothing_waits_to_be_told_and_runs_pause_all_the_same(house: House) -> None:
    async with alone(house):
        house.configure(team_endpoint=None)
        await house.send(run_id=await house.enter("offers"))
        await answer(house)
        assert (len(await events(house, "pause")), await notices(house)) == (1, [])


async def test_what_somebody_said_goes_with_them(house: House) -> None:
    async with alone(house):
        await house.add(Identity(name=house.user_id, person_id=house.person_id))
        await house.send(run_id=await house.enter("offers"))
        await answer(house)
        await erase(house.store, house.user_id, Operator("grace", "she asked", "", NOON))
        assert await notices(house) == []


async def test_a_reply_proves_that_a_message_in_doubt_has_arrived(house: House) -> None:
    async with alone(house):
        house.live(sms=Provider(TimeoutError()))
        run = await house.enter("offers")
        house.configure(allow_recipients=[f"+49151{house.person_id:08}"])
        await house.send("sms", run_id=run)
        assert (await house.row(run_id=run)).status == "unknown"
        await answer(house, "sms", address=f"+49151{house.person_id:08}")
        assert (await house.row(run_id=run)).status == "sent"


def test_the_endpoint_of_the_team_has_to_be_one_that_is_known() -> None:
    with pytest.raises(ValidationError, match="SOJOURN_TEAM_ENDPOINT='tema' is not one of SOJOURN_ENDPOINTS: there are team"):
        Settings(_env_file=None, endpoints=TEAM, team_endpoint="tema")
