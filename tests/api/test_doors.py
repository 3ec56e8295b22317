"""Whoever writes through an admin's door is in the audit log: every route is known here, and a new one has to say which it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import update
from sqlmodel import col, func, select
from starlette.routing import BaseRoute

from api.app import create_app
from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent, Delivery, Endpoint, Operation, Run

BY = {"X-Actor": "eve", "X-Reason": "asked by letter"}

# What apps and people do by themselves, and what only looks.
LOOKING = ("GET", "HEAD")
BY_THEMSELVES = {
    *(f"POST /v1/{call}" for call in ("track", "identify", "page", "screen", "group", "alias", "batch", "import")),
    "POST /v1/users/{user_id:path}/inbox/{key:path}/read",
    "POST /u/{token}",
    *(f"POST /webhooks/{relay}" for relay in ("mailgun", "postmark", "resend", "sendgrid", "ses")),
    "POST /p/{token}",
    "POST /p/confirm/{token}",
    "POST /webhooks/twilio/status",
    "POST /webhooks/twilio/inbound",
}
WRITING: Mapping[str, Any] = {  # and a body with which the others write
    "POST /v1/events/replay": {"status": "dead"},
    "POST /v1/events/{message_id:path}/replay": None,
    "POST /v1/journeys/{name}/runs": {"user_id": "bo", "data": {"basket": "b1"}},
    "POST /v1/runs/{run_id}/events": {"event": "Order Placed", "data": {"basket": "b1"}},
    "POST /v1/runs/{run_id}/pause": None,
    "POST /v1/runs/{run_id}/resume": None,
    "POST /v1/runs/{run_id}/skip": {"step": "wait:Order Placed"},
    "POST /v1/runs/{run_id}/exit": None,
    "POST /v1/messages/{key:path}/resolve": {"as": "drop"},
    "PUT /v1/stops/all": None,
    "PUT /v1/stops/{scope}/{name}": None,
    "POST /v1/stops/all/release": {"choice": "send"},
    "POST /v1/stops/{scope}/{name}/release": {"choice": "retime", "over": 60},
    "PUT /v1/users/{user_id:path}/consent": {"topic": "news", "granted": False, "source": "settings"},
    "PUT /v1/users/{user_id:path}/preferences": {"fewer": True, "source": "settings"},
    "POST /v1/users/{user_id:path}/preferences-link": None,
    "PUT /v1/suppressions/{channel}/{address:path}": {"cause": "manual"},
    "DELETE /v1/suppressions/{channel}/{address:path}": None,
    "DELETE /v1/users/{user_id:path}": None,
    "POST /v1/keys": {"name": "new", "scope": "read"},
    "POST /v1/keys/{name}/rotate": None,
    "DELETE /v1/keys/{name}": None,
    "POST /v1/endpoints/{name}/enable": None,
}


def doors(routes: Iterable[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield from (f"{method} {route.path}" for method in route.methods or () if method not in LOOKING)
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from doors(included.routes)


def test_every_door_that_writes_is_known() -> None:
    assert set(doors(create_app(Settings(_env_file=None)).routes)) == BY_THEMSELVES | WRITING.keys()


@pytest.mark.parametrize("door", sorted(WRITING))
async def test_what_is_written_through_an_admins_door_is_in_the_audit_log(
    admin: httpx.AsyncClient, house: Store, door: str
) -> None:
    await admin.post("/v1/track", json={"userId": "ada", "event": "Order Placed", "messageId": "m1", "properties": {"basket": "b"}})
    asked = await admin.post("/v1/journeys/basket_help/runs", json={"user_id": "ada", "data": {"basket": "b1"}})
    await admin.post("/v1/keys", json={"name": "shop", "scope": "read"}, headers=BY)
    async with house.write() as session:
        await session.exec(update(AcceptedEvent).where(col(AcceptedEvent.message_id) == "m1").values(status="dead"))
        run = await session.get_one(Run, asked.json()["run_id"])
        what: dict[str, Any] = {
            "journey": run.journey,
            "step": "s",
            "channel": "email",
            "template": "t",
            "topic": "t",
            "status": "held",
        }
        session.add(Delivery(key=f"{run.id}:s", run_id=run.id, person_id=run.person_id, at=run.started_at, **what))
        session.add(Endpoint(name="crm", disabled_at=datetime(2025, 1, 6, tzinfo=UTC), reason="it answered 410"))
    named = {"{user_id:path}": "ada", "{run_id}": asked.json()["run_id"], "{message_id:path}": "m1"}
    named |= {"{channel}": "email", "{address:path}": "eve@example.org" if "PUT" in door else "bo@example.org"}
    await admin.put("/v1/suppressions/email/bo@example.org", headers=BY)
    named |= {"{scope}": "journey", "{key:path}": f"{run.id}:s"}
    for stopped in ("all", "journey/basket_help"):
        await admin.put(f"/v1/stops/{stopped}", headers=BY)
    path = door.partition(" ")[2]
    for placeholder, value in named.items():
        path = path.replace(placeholder, value)
    path = path.replace("{name}", "shop" if "keys" in path else "crm" if "endpoints" in path else "basket_help")
    before = await newest(house)
    await admin.request(door.partition(" ")[0], path, json=WRITING[door], headers=BY)
    async with house.read() as session:
        done = (await session.exec(select(Operation).where(col(Operation.id) > before))).all()
    assert [(each.actor, each.reason, each.key_name) for each in done] == [("eve", "asked by letter", "SOJOURN_ADMIN_KEY")]


async def newest(house: Store) -> int:
    async with house.read() as session:
        return (await session.exec(select(func.max(Operation.id)))).one() or 0
