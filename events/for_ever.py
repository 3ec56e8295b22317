"""What a worker does again and again: an outage is waited for, an error of ours is logged, and neither ends the worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from store.outage import fault, is_outage

log = logging.getLogger(__name__)

TROUBLE_SECONDS = 1.0

T = TypeVar("T")


async def for_ever(name: str, act: Callable[[], Awaitable[object]], every: timedelta) -> None:
    """Do it again and again, each time so long after the last time was over, whatever came of it."""
    while True:
        try:
            await act()
        except Exception as error:
            complain(name, error)
        await asyncio.sleep(every.total_seconds())


async def persist(name: str, act: Callable[[], Awaitable[T]]) -> T:
    """Do it until it succeeds, and return what it returns."""
    while True:
        try:
            return await act()
        except Exception as error:
            complain(name, error)
            await asyncio.sleep(TROUBLE_SECONDS)


async def together_or_alone(people: Sequence[int], act: Callable[[Sequence[int]], Awaitable[object]]) -> dict[int, str]:
    """Do it for all these people at once, or, after an error of ours, for each alone. Returns for whom it failed, and why."""
    try:
        await act(people)
    except Exception as error:
        if is_outage(error):
            raise
        if len(people) == 1:
            return {people[0]: fault(error)}
        alone = [await together_or_alone([person], act) for person in people]
        return {person: reason for failed in alone for person, reason in failed.items()}
    return {}


def complain(name: str, error: Exception) -> None:
    """Log why something has to be done again."""
    if is_outage(error):
        log.warning("%s waits, for Temporal or the store does not answer: %s", name, type(error).__name__)
    else:
        log.error("%s goes on after an error of ours: %s", name, fault(error))
