"""Playing a person's life on the real server, at its own dates: months pass in moments, in the order they would have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from demo.standing import Runs, Stuck, Waiting
from events.sweep import next_turn, sweep
from store.session import Store
from workflows.definition import EVENTS, JOURNEYS
from workflows.listening import listening
from workflows.message_events import MessageEvent
from workflows.transitions import is_transition

CLOCK_HEADER = "X-Sojourn-Clock"
CLOSE_CALL = timedelta(seconds=2)  # clocks go on while a call is made: it must reach its runs before a deadline that follows
AFTERMATH = timedelta(seconds=1)  # a clock brought this far beyond a deadline gets there when its run has acted


@dataclass(frozen=True)
class Call:
    """One HTTP call, and when it was made. A `refusable` one may be answered 409: what it asks for is no longer so."""

    at: datetime
    path: str
    body: Mapping[str, Any]
    method: str = "POST"
    refusable: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Player:
    """Moves a person's runs to their earliest next deadline or event, each in its turn.

    `api` is a client of the HTTP API with the admin key; the store and Temporal are those that serve it.
    """

    def __init__(self, store: Store, temporal: Client, api: httpx.AsyncClient) -> None:
        self.store, self.api = store, api
        self.skipper = TimeSkipper(temporal, config=TimeSkippingConfig(enabled=False))

    async def live(
        self,
        user_id: str,
        calls: Sequence[Call],
        until: datetime | None = None,
        passed: Callable[[datetime], Awaitable[None] | None] | None = None,
    ) -> None:
        """Make these calls, in order, each at its own time, with all that is due before it; then let time pass to `until`.

        Without `until`, to the end of the person's last run. `passed` is told of each moment that is over.
        """
        runs = Runs(self.store, self.skipper, user_id)
        for call in calls:
            await self._pass(runs, call.at)
            await self._make(user_id, call)
            runs.stir()
            if passed is not None and (told := passed(call.at)) is not None:
                await told
        await self._pass(runs, until)
        if until is not None:
            await sweep(self.store, user_id, until)

    async def _pass(self, runs: Runs, end: datetime | None) -> None:
        """Let time pass for a person's runs and for the person: what becomes of them comes before a deadline at that moment."""
        if not _hears_of_transitions():
            await pass_until(runs, end)  # the router lets time pass for the person, before each event
            return
        await runs.settled()
        while (turn := await next_turn(self.store, runs.user_id)) is not None and (end is None or turn < end):
            await pass_until(runs, turn)
            await sweep(self.store, runs.user_id, turn)
            runs.stir()
            await runs.settled()
        await pass_until(runs, end)

    async def settle(self, user_id: str) -> None:
        """Return when all that was accepted has been routed, and every run of the person waits or is over."""
        await Runs(self.store, self.skipper, user_id).settled()

    async def _make(self, user_id: str, call: Call) -> None:
        headers = {**call.headers, CLOCK_HEADER: call.at.isoformat()}
        answer = await self.api.request(call.method, call.path, json=call.body, headers=headers)
        if answer.is_error and not (call.refusable and answer.status_code == 409):
            raise Stuck(f"{call.method} {call.path} was answered {answer.status_code}: {answer.text}")


def _hears_of_transitions() -> bool:
    heard = {name for each in JOURNEYS.values() for name in each.trigger_names | listening(each).events}
    return any(is_transition(kind) and not issubclass(kind, MessageEvent) for name in heard if (kind := EVENTS.get(name)))


async def pass_until(runs: Runs, end: datetime | None) -> None:
    """Let every deadline before `end` pass, in order, and bring all clocks to `end`; without `end`, let all pass."""
    while waiting := await runs.waiting():
        due = min((each.due for each in waiting if each.due), default=None)
        if due is None or (end is not None and due >= end):
            if end is not None:
                await _bring_all(runs, waiting, end if due is None else min(end, due - CLOSE_CALL))
            return
        await asyncio.gather(*(runs.forward(each, _just_after(due, end)) for each in waiting if each.due == due))


async def _bring_all(runs: Runs, waiting: Sequence[Waiting], target: datetime) -> None:
    """Bring every clock to `target`, before which none of them is due. The timers of a paused run go off on the way."""
    await asyncio.gather(*(runs.forward(each, target) for each in waiting))
    await runs.settled()


def _just_after(due: datetime, end: datetime | None) -> datetime:
    return due + AFTERMATH if end is None else min(due + AFTERMATH, end)
