"""A process that dies on purpose: `python -m tests.promises.dying POINT TIME COMMAND…` is `sojourn COMMAND…`, or `router`.

It kills itself -9 when it comes to that point for that time; each point is just before or just after something that is
written, or told to Temporal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib import import_module
from typing import Any
from unittest.mock import patch

import cli
from connecting import connect, open_store
from events.claim import Claim, claim, done_with
from events.route import Router
from loading import load
from settings import Settings
from store.session import Store

BEFORE, AFTER = "before", "after"

# Where a process may die: what it is about to do, or has just done, as module and name.
POINTS: dict[str, tuple[str, str, str]] = {
    "router: people are claimed": ("events.route", "claim", AFTER),
    "router: before a run is enrolled": ("events.route", "enrol", BEFORE),
    "router: a run is enrolled, and not committed": ("events.route", "enrol", AFTER),
    "router: a run is enrolled": ("events.route", "Router._enrol", AFTER),
    "router: before a run is started": ("events.route", "start", BEFORE),
    "router: a run is started": ("events.route", "start", AFTER),
    "router: before a run is told": ("events.route", "tell", BEFORE),
    "router: a run is told": ("events.route", "tell", AFTER),
    "router: before it is written that events have acted": ("events.route", "Router._done", BEFORE),
    "router: events have acted, and it is not committed": ("events.route", "done_with", AFTER),
    "router: it is written that events have acted": ("events.route", "Router._done", AFTER),
    "api: people are locked": ("events.accept", "meet", AFTER),
    "api: events are stored, and not committed": ("events.accept", "keep", AFTER),
    "api: events are committed, and not answered": ("events.gather", "accept", AFTER),
    "import: before a batch is stored": ("events.imports", "accept", BEFORE),
    "import: a batch is stored, and not committed": ("events.imports", "_Step.keep", AFTER),
    "import: a batch is committed": ("events.imports", "accept", AFTER),
}


def die_at(point: str, time: int) -> None:
    """Let this process die when it comes to that point for that time."""
    module, name, when = POINTS[point]
    *holder, last = name.split(".")
    place: Any = import_module(module)
    for each in holder:
        place = getattr(place, each)
    setattr(place, last, _deadly(getattr(place, last), time, when))


def _deadly(work: Callable[..., Awaitable[Any]], time: int, when: str) -> Callable[..., Awaitable[Any]]:
    times = 0

    async def deadly(*arguments: Any, **options: Any) -> Any:
        nonlocal times
        done = None if when == BEFORE else await work(*arguments, **options)
        times += _counts(work, done)
        if times == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return await work(*arguments, **options) if when == BEFORE else done

    return deadly


def _counts(work: Callable[..., Awaitable[Any]], done: Any) -> bool:
    """Say whether that was the point: a look at who is next that found nobody is not."""
    return work is not claim or bool(done and done.works)


def route_hastily() -> None:
    """Make the mistake that the tests are there to find: write that events have acted before they do."""

    async def hasty(store: Store, by: str, lane: int, after: int) -> Claim | None:
        claimed = await claim(store, by, lane, after)
        if claimed is not None and claimed.works:
            async with store.write() as session:
                await done_with(session, [event for work in claimed.works for event in work.events])
        return claimed

    patch("events.route.claim", hasty).start()


async def route() -> None:
    """Route, without a worker beside it."""
    settings = Settings()
    load(settings.journeys)
    await Router(open_store(settings), await connect(settings), settings, f"router-{os.getpid()}").run()


def main(point: str, time: str, command: list[str]) -> None:
    patch("events.claim.LEASE", timedelta(seconds=1)).start()  # so that the next router need not wait for the dead one's to run out
    if "hastily" in command:
        route_hastily()
    if point in POINTS:
        die_at(point, int(time))
    if command[0] == "router":
        asyncio.run(route())
    else:
        sys.argv = ["sojourn", *command]
        cli.main()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
