"""Every activity that a worker runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.outlets import outlets
from activities.runs import Runs
from activities.send import Sender
from activities.templates import Library
from activities.transport import Transport
from settings import CHANNEL_NAMES, Settings
from store.session import Store
from workflows.run import Receipt
from workflows.traits import any_private
from workflows.wire import Dispatch, send_activity

log = logging.getLogger(__name__)


def activities(store: Store, settings: Settings, providers: Mapping[str, Transport] | None = None) -> list[Callable[..., Any]]:
    """Return the activities that send, and those that close runs and assign variants, on that store.

    `providers`, by channel, take the place of the configured ones, for tests; they are used only where `settings.live`.
    """
    sender = Sender(store, settings, Library(settings.journeys / "templates"), outlets(settings, store, providers))
    return [*(_send_on(channel, sender) for channel in CHANNEL_NAMES), *Runs(store).activities]


def _send_on(channel: str, sender: Sender) -> Callable[[Dispatch], Awaitable[Receipt]]:
    @activity.defn(name=send_activity(channel))
    async def send(dispatch: Dispatch) -> Receipt:
        now = activity.info().started_time + timedelta(seconds=dispatch.offset)
        try:
            return await sender.send(dispatch, now)
        except SQLAlchemyError as error:  # a driver's text may have what was to be stored
            log.warning("the store does not answer for %s", dispatch.key, exc_info=None if any_private() else error)
            raise ApplicationError(f"the store does not answer: {type(error).__name__}", type="Store") from None

    return send
