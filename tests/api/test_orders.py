"""An operator's orders on the real server: what the API answers, records and shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from events.operators import ASKED, Operator
from events.reconcile import settle_orders
from tests.api.test_collect import refused
from tests.databases import SqliteDatabases
from tests.events.shop import SHOP
from tests.stage import Stage, only, stage
from workflows.run import Order

pytestmark = pytest.mark.real

BY = {"X-Actor": "eve", "X-Reason": "wrong copy"}


@pytest.fixture(scope="module")
async def up(temporal: Client, sqlite: SqliteDatabases) -> AsyncIterator[Stage]:
    with only(list(SHOP.values())):
        async with stage(temporal, sqlite.migrated(), Path(__file__).parent) as up:
            yield up


@pytest.fixture
async def run(up: Stage) -> str:
    """A run that waits for its first event."""
    user = uuid4().hex
    answer = await up.api.post("/v1/journeys/basket_help/runs", json={"user_id": user, "data": {"basket": "b1"}})
    await up.started(user)
    await up.settled(user)
    return str(answer.json()["run_id"])


async def look(up: Stage, run: str) -> dict[str, Any]:
    seen: dict[str, Any] = (await up.api.get(f"/v1/runs/{run}")).json()
    return seen


async def test_a_run_is_shown_where_it_stands(up: Stage, run: str) -> None:
    seen = await look(up, run)
    assert (seen["status"], seen["standing"]["step"], seen["standing"]["paused_by"]) == ("running", "wait:Order Placed", None)
    assert seen["standing"]["deadline"] > seen["started_at"]


async def test_pause_and_resume_are_taken_shown_and_recorded(up: Stage, run: str) -> None:
    assert (await up.api.post(f"/v1/runs/{run}/pause", headers=BY)).json() == {"run_id": run, "action": "pause", "effect": "done"}
    paused = await look(up, run)
    assert (paused["paused"], paused["standing"]["paused_by"], paused["standing"]["paused_because"]) == (True, "eve", "wrong copy")
    assert (await up.api.post(f"/v1/runs/{run}/resume", headers=BY)).status_code == 200
    resumed = await look(up, run)
    assert (resumed["paused"], resumed["standing"]["paused_by"]) == (False, None)
    done = [(each["action"], each["outcome"]) for each in resumed["operations"]]
    assert done == [("run", None), ("pause", "done"), ("resume", "done")]


async def test_an_order_that_acted_after_we_stopped_waiting_is_recorded_and_shown(up: Stage, run: str) -> None:
    workflow = up.temporal.get_workflow_handle((await look(up, run))["workflow_id"])
    late = Operator("eve", "wrong copy", "ops", datetime.now(UTC))
    async with up.store.write() as session:
        session.add(late.did("pause", run_id=run, details={"outcome": ASKED}))
    await workflow.execute_update("pause", Order(late.actor, late.reason))
    await settle_orders(up.store, up.temporal)
    seen = await look(up, run)
    assert (seen["paused"], seen["operations"][-1]["outcome"]) == (True, "unknown")
    await up.api.post(f"/v1/runs/{run}/resume", headers=BY)
    await settle_orders(up.store, up.temporal)
    assert (await look(up, run))["paused"] is False


async def test_a_skip_of_a_step_the_run_does_not_stand_in_is_a_409_that_says_where_it_stands(up: Stage, run: str) -> None:
    answer = await up.api.post(f"/v1/runs/{run}/skip", json={"step": "send:email/basket"}, headers=BY)
    assert refused(answer) == (409, "moved_on")
    where = "the run does not wait at step 'send:email/basket'; it is at 'wait:Order Placed'"
    assert answer.json()["error"]["message"] == f"run {run}: {where}"
    assert [(each["action"], each["outcome"]) for each in (await look(up, run))["operations"]] == [
        ("run", None),
        ("skip", "refused"),
    ]


async def test_a_resume_of_what_is_not_paused_is_a_409(up: Stage, run: str) -> None:
    assert refused(await up.api.post(f"/v1/runs/{run}/resume", headers=BY)) == (409, "moved_on")


async def test_a_skip_moves_the_run_on(up: Stage, run: str) -> None:
    assert (await up.api.post(f"/v1/runs/{run}/skip", json={"step": "wait:Order Placed"}, headers=BY)).status_code == 200
    user = (await look(up, run))["user_id"]
    await up.over(user)
    assert [each["action"] for each in (await look(up, run))["operations"]] == ["run", "skip"]


async def test_an_exit_ends_the_run(up: Stage, run: str) -> None:
    assert (await up.api.post(f"/v1/runs/{run}/exit", headers=BY)).status_code == 200
    await up.over((await look(up, run))["user_id"])
    ended = await look(up, run)
    assert (ended["status"], ended["reason"], ended["standing"]) == ("exited", "eve: wrong copy", None)
    assert refused(await up.api.post(f"/v1/runs/{run}/exit", headers=BY)) == (409, "run_ended")


async def test_a_parked_run_is_ended_by_an_exit(up: Stage, run: str) -> None:
    workflow = up.temporal.get_workflow_handle((await look(up, run))["workflow_id"])
    with only([]):
        assert (await look(up, run))["status"] == "parked"
        assert (await up.api.post(f"/v1/runs/{run}/exit", headers=BY)).json()["effect"] == "done"
        ended = await look(up, run)
    assert (ended["status"], ended["reason"]) == ("exited", "eve: wrong copy")
    assert (await workflow.describe()).status == WorkflowExecutionStatus.TERMINATED


async def test_an_event_for_one_run_reaches_it_and_no_other(up: Stage, run: str) -> None:
    user = (await look(up, run))["user_id"]
    other = (await up.api.post("/v1/journeys/basket_by_basket/runs", json={"user_id": user, "data": {"basket": "b1"}})).json()
    body = {"event": "Order Placed", "data": {"basket": "b1"}}
    assert (await up.api.post(f"/v1/runs/{run}/events", json=body)).status_code == 202
    await up.settled(user)
    assert ((await look(up, run))["status"], (await look(up, other["run_id"]))["status"]) == ("completed", "running")
    assert len(await up.runs(user)) == 2
