"""A store with two people and a mailbox to fill, and the pages that show it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlmodel import SQLModel

from api.mailbox import router
from settings import DEVELOPMENT_ERASURE_KEY, Settings
from store.session import Store
from store.tables import MailboxItem, Person, Run

NOON = datetime(2024, 3, 29, 12, tzinfo=UTC)


@asynccontextmanager
async def mailroom(folder: Path) -> AsyncIterator[Store]:
    """Ada in Kolkata, with a run, and Bob, of whom nothing is known."""
    store = Store(f"sqlite+aiosqlite:///{folder / 'sojourn.db'}", erasure_key=DEVELOPMENT_ERASURE_KEY)
    async with store.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await put(
        store, Person(id=1, user_id="ada", zone="Asia/Kolkata", created_at=NOON), Person(id=2, user_id="bob", created_at=NOON)
    )
    await put(store, run("r_1", 1, "onboarding/ada"))
    try:
        yield store
    finally:
        await store.close()


def app(store: Store, **settings: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    app.state.store = store
    app.state.settings = Settings(_env_file=None, zone="Europe/Berlin", temporal_ui_url="http://temporal.test", **settings)
    return app


def run(id: str, person_id: int, workflow_id: str, **values: Any) -> Run:
    journey = workflow_id.partition("/")[0]
    fields: dict[str, Any] = {"version": 1, "trigger": "joined", "status": "running", "started_at": NOON, "requested_at": NOON}
    return Run(id=id, person_id=person_id, journey=journey, workflow_id=workflow_id, **fields | values)


def item(**values: Any) -> MailboxItem:
    fields: dict[str, Any] = {
        "key": "r_1:send:email/welcome",
        "person_id": 1,
        "journey": "onboarding",
        "template": "welcome",
        "channel": "email",
        "recipient": "ada@example.org",
        "at": NOON,
    }
    return MailboxItem(**fields | values)


async def put(store: Store, *rows: SQLModel) -> None:
    async with store.write() as session:
        session.add_all(rows)
