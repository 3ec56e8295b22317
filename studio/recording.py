"""Recording runs: played through a house of its own at their own dates, or taken from a server as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import httpx
from temporalio.client import Client

from connecting import connect, open_store
from demo.player import Call, Player
from demo.show import AT_ONCE
from demo.standing import Stuck
from dev import Options, house
from engine.errors import EngineError
from settings import DEVELOPMENT_ADMIN_KEY
from studio.covering import covering, passed_over, ways
from studio.executions import OURS, Execution, asked, executions, fetched
from studio.recorded import BadHistory, Recorded
from studio.teller import Command, Teller

CONTINUED_AFTER = 2  # steps: more would leave the shorter journeys out
Passed = Callable[[str, int, int], None]  # what is being done, how much of it is done, and of how much


@dataclass(frozen=True)
class Recording:
    """What is to be recorded: whose lives, in which journeys, on which ports."""

    lives: Mapping[str, Sequence[Call]]
    journeys: Path
    port: int
    ui_port: int


async def record(wish: Recording, passed: Passed) -> list[Recorded]:
    """Play these lives to the end of their runs, and return few runs that do all that any of them did.

    Then those few people's lives again, with runs that continue as new after every second step. Raises EngineError.
    """
    plain = covering(await _played(wish, wish.lives, {}, passed), ways)
    if not plain:
        raise BadHistory("nobody entered a journey in these events; play some that start one (--events)")
    theirs = {user: calls for user, calls in wish.lives.items() if any(each.person == user for each in plain)}
    again = await _played(wish, theirs, {"SOJOURN_CONTINUE_AFTER": str(CONTINUED_AFTER)}, passed)
    return plain + covering(again, passed_over)


async def _played(
    wish: Recording, lives: Mapping[str, Sequence[Call]], settings: Mapping[str, str], passed: Passed
) -> list[Recorded]:
    queue = f"record-{uuid4().hex[:8]}"  # the server may be one that is up already, and has runs of others
    own = {**settings, "SOJOURN_TASK_QUEUE": queue}
    options = Options(None, wish.port, wish.ui_port, wish.journeys, settings=own)
    async with house(options, lambda words: passed(words, 0, 1)) as up:
        store, temporal = open_store(up.settings), await connect(up.settings)
        headers = {"Authorization": f"Bearer {DEVELOPMENT_ADMIN_KEY}"}
        try:
            async with httpx.AsyncClient(base_url=up.url, headers=headers, timeout=60, trust_env=False) as api:
                await _live(Teller(store, temporal, api, up.settings), lives, passed)
            theirs = f"{OURS} AND TaskQueue = '{queue}'"
            return await taken(temporal, [each async for each in executions(temporal, theirs)], passed)
        finally:
            await store.close()


async def _live(player: Player, lives: Mapping[str, Sequence[Call]], passed: Passed) -> None:
    turns, done = asyncio.Semaphore(AT_ONCE), 0

    async def live(user_id: str, calls: Sequence[Call]) -> None:
        nonlocal done
        async with turns:
            await player.live(user_id, [_given(call) for call in calls])
        done += 1
        passed("lives played", done, len(lives))

    try:
        async with asyncio.TaskGroup() as tasks:
            for user_id, calls in lives.items():
                tasks.create_task(live(user_id, calls))
    except* Stuck as stuck:
        raise EngineError(f"these events cannot be played: {stuck.exceptions[0]}") from None


def _given(call: Call) -> Call:
    """Return a call as it is to be made: one about {run_id} is about each run that the person is in."""
    about_runs = "{run_id}" in call.path
    return Command(call.at, call.path, call.body, call.method, headers=call.headers) if about_runs else call


async def taken(client: Client, found: Sequence[Execution], passed: Passed, silent: Collection[Execution] = ()) -> list[Recorded]:
    """Take the histories of these runs, with the steps that they say they took, where they are not known to be `silent`.

    First the history, then the steps: they go on meanwhile, and a step too many tells nothing wrong.
    """
    kept: list[Recorded] = []
    for number, each in enumerate(found, 1):
        if (one := await fetched(client, each)) is not None:
            told = None if each in silent else await asked(client, each)
            kept.append(replace(one, steps=told.steps if told else None))
        passed("histories taken", number, len(found))
    return kept
