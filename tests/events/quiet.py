"""A house with nobody at work: events are routed when a test says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from events.accept import Manner, accept
from events.calls import Call, Clock, understand
from store.tables import AcceptedEvent, Run
from tests.language.both import JOURNEYS
from tests.language.words import Entered, Left, Tapped
from tests.stage import Stage, only, stage
from workflows.definition import ALWAYS, Event, journey
from workflows.journey import Journey

TAPS = 5


@journey(again=ALWAYS, exits_on=Left)
async def counts_taps(j: Journey, entered: Entered) -> None:
    for _ in range(TAPS):
        await j.wait_for(Tapped, within=timedelta(days=3))


@pytest.fixture
async def quiet_house(temporal: Client, url: str) -> AsyncIterator[Stage]:
    """The house with nobody at work, on either database, and one journey."""
    with only([counts_taps]):
        async with stage(temporal, url, JOURNEYS, working=False, routing_attempts=2) as up:
            yield up


def call(user: str, event: Event) -> Call:
    body = {"userId": user, "event": event.name, "properties": event.model_dump(mode="json"), "messageId": uuid4().hex}
    return understand(body, "track", Clock.real())


async def send(up: Stage, calls: Sequence[Call], manner: Manner) -> None:
    await accept(up.store, calls, Clock.real(), manner)


async def prices(up: Stage, run: Run) -> list[int]:
    """Return the prices of the taps that have been signalled to a run, in their order there."""
    signals = [
        event.workflow_execution_signaled_event_attributes
        for event in await up.history(run)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    return [_price(json.loads(signal.input.payloads[0].data)) for signal in signals if signal.signal_name == "tapped"]


def _price(signal: dict[str, Any]) -> int:
    return int(next(value["data"]["price"] for value in signal.values() if isinstance(value, dict)))


async def route_all(up: Stage) -> None:
    """Route what is live and what was imported, until nobody's turn comes."""
    while await up.router.round():
        pass


async def statuses(up: Stage) -> set[str]:
    async with up.store.read() as session:
        return set((await session.exec(select(AcceptedEvent.status))).all())
