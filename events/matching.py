"""What a run asks about its person's segments."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select
from temporalio import activity
from temporalio.exceptions import ApplicationError

from events.segments import judge_now
from events.standing import IN
from store.session import Store
from store.tables import Person, Run
from workflows.segments import SEGMENTS
from workflows.wire import MATCHES, Asked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Matching:
    """Answers for segments, from what is stored."""

    store: Store

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.match_segment]

    @activity.defn(name=MATCHES)
    async def match_segment(self, asked: Asked) -> bool:
        """Say whether the run's person belongs to the segment at that moment on the run's clock."""
        if asked.segment not in SEGMENTS:
            raise ApplicationError(
                f"there is no segment {asked.segment!r} in the journeys folder of this worker; put it back", type="NoSegment"
            )
        try:
            async with self.store.read() as session:
                person = (await session.exec(select(Person).join(Run).where(Run.id == asked.run_id))).first()
                if person is None:
                    raise ApplicationError(f"there is no run {asked.run_id}", type="NoRun", non_retryable=True)
                return (await judge_now(session, person, [asked.segment], asked.at))[asked.segment] == IN
        except SQLAlchemyError as error:  # told without its parameters: what is private stays out of the run's history
            log.warning("the store does not answer for %s", asked.run_id, exc_info=error)
            raise ApplicationError(f"the store does not answer: {type(error).__name__}", type="Store") from None
