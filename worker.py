"""Connect, load the journeys, route what is accepted, and run what it wakes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio.client import Client
from temporalio.worker import Worker

from activities.all import activities
from activities.outlets import close, configured
from activities.posting import post
from activities.provider_errors import provider_errors
from activities.transport import Transport
from connecting import connect, open_store, warm
from events.erase import erase_for_ever
from events.matching import Matching
from events.reconcile import reconcile_for_ever
from events.retention import retain_for_ever
from events.route import Router
from events.stops import release_for_ever
from events.sweep import sweep_for_ever
from events.telling import tell_for_ever
from loading import BadJourneys, load
from settings import Settings
from store.session import Store
from studio.check import at_start
from workflows.temporal import JourneyWorkflow, runner

log = logging.getLogger(__name__)

T = TypeVar("T")

CACHED_RUNS = 1000


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect, and work until `stop` is set. The journeys are loaded. Raises BadProviderErrors at once."""
    provider_errors(settings.provider_errors)
    store = open_store(settings)
    try:
        client = await _unless(stop, _reach(settings))
        if client is not None:
            await work(settings, store, client, stop)
    finally:
        await store.close()


async def work(settings: Settings, store: Store, client: Client, stop: asyncio.Event) -> None:
    """Route what has been waiting, then route and run until `stop` is set, then finish what has begun."""
    # Containers may share a host's name and a process's number.
    router = Router(store, client, settings, name=f"{socket.gethostname()}:{os.getpid()}:{os.urandom(4).hex()}")
    await _unless(stop, router.drain())
    if stop.is_set():
        return
    providers = configured(settings, store)
    notify = partial(post, loopback=settings.endpoints_on_loopback)
    try:
        async with worker(settings, store, client, providers), asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(router.run()),
                tasks.create_task(reconcile_for_ever(store, client, settings.task_queue)),
                tasks.create_task(erase_for_ever(store, client)),
                tasks.create_task(retain_for_ever(store, settings)),
                tasks.create_task(sweep_for_ever(store)),
                tasks.create_task(release_for_ever(store)),
                tasks.create_task(tell_for_ever(store, settings, notify)),
            ]
            await stop.wait()
            for task in background:
                task.cancel()
    finally:
        await close(providers)


async def _unless(stop: asyncio.Event, doing: Coroutine[Any, Any, T]) -> T | None:
    """Do it, and return what it returns; or end it, and return None, once `stop` is set."""
    task, stopped = asyncio.create_task(doing), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, stopped):
            each.cancel()
        await asyncio.wait([task, stopped])


def worker(
    settings: Settings,
    store: Store,
    client: Client,
    providers: Mapping[str, Transport] | None = None,
    *,
    cached_runs: int = CACHED_RUNS,
) -> Worker:
    """Return the Temporal worker that runs every journey and sends on every channel, through `providers` in place of its own.

    It keeps that many runs in memory between two tasks; the others it replays from their histories.
    """
    warm()
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[JourneyWorkflow],
        activities=[*activities(store, settings, providers), *Matching(store).activities],
        workflow_runner=runner(sandbox=settings.sandbox),
        max_concurrent_activities=settings.max_concurrent_sends,
        graceful_shutdown_timeout=timedelta(seconds=settings.graceful_shutdown_seconds),
        max_cached_workflows=cached_runs,
        build_id="sojourn",
    )


async def _reach(settings: Settings) -> Client:
    """Connect as soon as Temporal answers: a worker may be up before its server."""
    while True:
        try:
            return await connect(settings)
        except RuntimeError as error:
            log.warning("waiting for Temporal at %s: %s", settings.temporal_address, error)
            await asyncio.sleep(1)


def look_over(settings: Settings) -> None:
    """Log what messages of the loaded journeys may fail by. Raises BadJourneys for what a worker does not start with."""
    try:
        for finding in at_start(settings.journeys, datetime.now(UTC)):
            log.warning("%s", finding)
    except BadJourneys:
        raise
    except Exception:
        log.exception("the journeys could not be looked over; they run all the same")


async def main() -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    settings = Settings()
    load(settings.journeys)
    look_over(settings)
    await run(settings, stop)


if __name__ == "__main__":
    asyncio.run(main())
