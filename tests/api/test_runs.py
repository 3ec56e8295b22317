"""Runs over HTTP with Temporal down: they are asked for, told of events and ended all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from store.session import Store
from store.tables import AcceptedEvent, Operation, Run
from tests.api.test_collect import refused

REQUEST: dict[str, Any] = {"user_id": "ada", "data": {"basket": "b1"}}
RUNS = "/v1/journeys/basket_help/runs"
BY = {"X-Actor": "eve", "X-Reason": "wrong person"}


async def events(house: Store) -> Sequence[AcceptedEvent]:
    async with house.read() as session:
        return (await session.exec(select(AcceptedEvent).order_by(col(AcceptedEvent.id)))).all()


async def started(admin: httpx.AsyncClient, **request: Any) -> str:
    answer = await admin.post(RUNS, json={**REQUEST, **request})
    assert answer.status_code == 201
    return str(answer.json()["run_id"])


async def change(house: Store, run_id: str, **values: Any) -> None:
    async with house.write() as session:
        run = (await session.exec(select(Run).where(Run.id == run_id))).one()
        session.add(run.sqlmodel_update(values))


# Asking for a run


async def test_a_run_can_be_asked_for_with_temporal_down(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(RUNS, json=REQUEST)
    assert answer.status_code == 201
    assert answer.json() == {
        "run_id": answer.json()["run_id"],
        "workflow_id": "basket_help/ada",
        "status": "starting",
        "ui_url": "http://localhost:8233/namespaces/default/workflows/basket_help%2Fada",
    }
    seen = (await admin.get(f"/v1/runs/{answer.json()['run_id']}")).json()
    assert (seen["status"], seen["user_id"], seen["trigger"], seen["standing"]) == ("starting", "ada", "Basket Filled", None)


async def test_fifty_simultaneous_requests_start_one_run(admin: httpx.AsyncClient, house: Store) -> None:
    answers = await asyncio.gather(*(admin.post(RUNS, json=REQUEST) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49
    assert len(await events(house)) == 1


async def test_a_repeated_request_is_answered_alike(admin: httpx.AsyncClient, house: Store) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await admin.post(RUNS, json=REQUEST, headers=key)
    await change(house, first.json()["run_id"], status="completed", ended_at=datetime.now(UTC))
    second = await admin.post(RUNS, json=REQUEST, headers=key)
    assert (second.status_code, second.json()) == (201, first.json())
    assert ("Idempotency-Replayed" in first.headers, second.headers["Idempotency-Replayed"]) == (False, "true")
    assert refused(await admin.post(RUNS, json={**REQUEST, "user_id": "bob"}, headers=key)) == (422, "idempotency_key_reused")


async def test_an_unknown_journey_is_not_found(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/journeys/moonwalk/runs", json=REQUEST)
    assert refused(answer) == (404, "unknown_journey")
    assert answer.json()["error"]["message"].endswith("there are: basket_by_basket, basket_help, win_back")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**REQUEST, "data": {}}, "data.basket:"),
        ({**REQUEST, "data": {"basket": "b1", "worth": "much"}}, "data.worth:"),
        ({**REQUEST, "data": []}, "data:"),
        ({"data": {"basket": "b1"}}, "user_id:"),
        ({**REQUEST, "user_id": ""}, "user_id:"),
        ({**REQUEST, "user_id": "a" * 256}, "user_id:"),
        ({**REQUEST, "usr": 1}, "usr:"),
        ({**REQUEST, "event": "Order Placed"}, "event:"),
    ],
)
async def test_a_request_that_does_not_fit_names_the_field(admin: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await admin.post(RUNS, json=body)
    assert refused(answer) == (422, "invalid")
    assert answer.json()["error"]["message"].startswith(field)


async def test_re_entry_is_refused_with_the_reason(admin: httpx.AsyncClient, house: Store) -> None:
    run = await started(admin)
    answer = await admin.post(RUNS, json=REQUEST)
    assert refused(answer) == (409, "re_entry_refused")
    assert answer.json()["error"]["message"] == f"'ada' is in 'basket_help' already, in run {run}"
    await change(house, run, ended_at=datetime.now(UTC))
    answer = await admin.post(RUNS, json=REQUEST)
    assert answer.json()["error"]["message"] == "'ada' entered before, and this journey is entered once"


# Telling a run


async def test_an_event_for_one_run_is_accepted_for_it_alone(admin: httpx.AsyncClient, house: Store) -> None:
    run = await started(admin)
    body = {"event": "Order Placed", "data": {"basket": "b1"}, "message_id": "m1"}
    answers = [await admin.post(f"/v1/runs/{run}/events", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    told = (await events(house))[-1]
    assert (told.kind, told.name, told.data, told.run_id) == ("track", "Order Placed", {"basket": "b1"}, run)
    assert (told.status, len(await events(house))) == ("pending", 2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"event": "Moon Landed"}, "no journey knows an event called 'Moon Landed'"),
        ({"event": "Order Placed", "data": {}}, "basket: Field required"),
        ({"data": {}}, "event: Field required"),
    ],
)
async def test_an_event_that_could_not_act_is_refused(
    admin: httpx.AsyncClient, house: Store, body: dict[str, Any], message: str
) -> None:
    answer = await admin.post(f"/v1/runs/{await started(admin)}/events", json=body)
    assert (refused(answer), answer.json()["error"]["message"]) == ((422, "invalid"), message)
    assert len(await events(house)) == 1


async def test_a_run_that_is_over_takes_no_events_and_no_orders(admin: httpx.AsyncClient, house: Store) -> None:
    run = await started(admin)
    await change(house, run, status="completed", ended_at=datetime.now(UTC))
    told = await admin.post(f"/v1/runs/{run}/events", json={"event": "Order Placed", "data": {"basket": "b1"}})
    ordered = [await admin.post(f"/v1/runs/{run}/{action}", json={"step": "x"}, headers=BY) for action in ("pause", "skip", "exit")]
    assert [refused(answer) for answer in (told, *ordered)] == [(409, "run_ended")] * 4
    assert len(await events(house)) == 1


# Orders


async def test_an_exit_holds_at_once_with_temporal_down(admin: httpx.AsyncClient, house: Store) -> None:
    run = await started(admin)
    answer = await admin.post(f"/v1/runs/{run}/exit", headers=BY)
    assert (answer.status_code, answer.json()) == (200, {"run_id": run, "action": "exit", "effect": "accepted"})
    assert [(each.kind, each.run_id, each.status) for each in await events(house)][-1] == ("exit", run, "pending")
    _, done = (await admin.get(f"/v1/runs/{run}")).json()["operations"]
    assert (done["action"], done["actor"], done["reason"]) == ("exit", "eve", "wrong person")


@pytest.mark.parametrize("action", ["pause", "resume", "skip"])
async def test_other_orders_wait_for_temporal_and_are_recorded_as_they_may_act_later(
    admin: httpx.AsyncClient, house: Store, action: str
) -> None:
    answer = await admin.post(f"/v1/runs/{await started(admin)}/{action}", json={"step": "wait:Order Placed"}, headers=BY)
    assert refused(answer) == (503, "run_unreachable")
    async with house.read() as session:
        (asked,) = (await session.exec(select(Operation).where(Operation.action == action))).all()
    assert (asked.actor, asked.reason, asked.details) == ("eve", "wrong person", {"outcome": "asked"})


@pytest.mark.parametrize("action", ["pause", "resume", "skip", "exit"])
@pytest.mark.parametrize("missing", ["X-Actor", "X-Reason"])
async def test_an_order_says_who_and_why(admin: httpx.AsyncClient, action: str, missing: str) -> None:
    run = await started(admin)
    for headers in ({**BY, missing: "  "}, {name: said for name, said in BY.items() if name != missing}):
        answer = await admin.post(f"/v1/runs/{run}/{action}", json={"step": "s"}, headers=headers)
        assert refused(answer) == (422, "invalid")
        assert answer.json()["error"]["message"].startswith(f"{missing}:")


async def test_who_and_why_may_be_in_any_language(admin: httpx.AsyncClient) -> None:
    run = await started(admin)
    await admin.post(f"/v1/runs/{run}/exit", headers=[(b"X-Actor", "Jürgen".encode()), (b"X-Reason", "頼まれた".encode())])
    done = (await admin.get(f"/v1/runs/{run}")).json()["operations"][-1]
    assert (done["actor"], done["reason"]) == ("Jürgen", "頼まれた")


async def test_what_an_app_asks_for_is_recorded_by_its_key(admin: httpx.AsyncClient) -> None:
    run = await started(admin)
    body = {"event": "Order Placed", "data": {"basket": "b1"}, "message_id": "m1"}
    for headers in ({}, BY):
        await admin.post(f"/v1/runs/{run}/events", json=body, headers=headers)
    await admin.post(f"/v1/runs/{run}/events", json={**body, "message_id": "m2"}, headers=BY)
    entries = (await admin.get("/v1/audit")).json()["entries"]
    assert [(each["action"], each["actor"], each["reason"], each["user_id"], each["subject"]) for each in reversed(entries)] == [
        ("run", "SOJOURN_ADMIN_KEY", "", "ada", "basket_help"),
        ("event", "SOJOURN_ADMIN_KEY", "", "ada", "Order Placed"),
        ("event", "eve", "wrong person", "ada", "Order Placed"),
    ]


async def test_skip_names_its_step(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(f"/v1/runs/{await started(admin)}/skip", json={}, headers=BY)
    assert answer.json()["error"]["message"] == "step: Field required"


async def test_a_run_whose_journey_is_gone_is_parked_with_a_sentence(admin: httpx.AsyncClient, house: Store) -> None:
    run = await started(admin)
    await change(house, run, version=7, status="running")
    seen = (await admin.get(f"/v1/runs/{run}")).json()
    assert (seen["status"], seen["reason"]) == (
        "parked",
        "journey 'basket_help' version 7 is not in the journeys folder, so this run is parked: "
        "put its function back (an older version is called basket_help_v7), or exit the run",
    )
    assert refused(await admin.post(f"/v1/runs/{run}/pause", headers=BY)) == (409, "parked")
    assert refused(await admin.post(f"/v1/runs/{run}/exit", headers=BY)) == (503, "run_unreachable")
    assert (await events(house))[-1].kind == "exit"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "", None), ("POST", "/events", {"event": "Order Placed"}), ("POST", "/pause", None), ("POST", "/exit", None)],
)
@pytest.mark.parametrize("run_id", ["r_nobody", "%00", "%F0%9F%A6%86"])
async def test_an_unknown_run_is_not_found(admin: httpx.AsyncClient, method: str, path: str, body: Any, run_id: str) -> None:
    assert refused(await admin.request(method, f"/v1/runs/{run_id}{path}", json=body, headers=BY)) == (404, "not_found")
