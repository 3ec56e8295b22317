"""What would the gate say now? Its facts and rules, with nothing locked and nothing written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from activities.gate import facts, look
from settings import Settings
from workflows.policy import in_force
from workflows.rules import RULES, Facts, Verdict, decide
from workflows.wire import Dispatch


@dataclass(frozen=True)
class Rehearsal:
    """What the gate would decide, by which facts, and what each of its rules says for itself: its refusal, or None."""

    verdict: Verdict
    facts: Facts
    rules: tuple[tuple[str, Verdict | None], ...]

    @property
    def seen(self) -> Mapping[str, Any]:
        """What the rules look at, as JSON, without a word of what the policy says anyway."""
        known = self.facts
        return {
            "now": _written(known.now),
            "expires": _written(known.expires),
            "zones": [zone.key for zone in known.zones],
            "country": known.country,
            "topic": known.topic,
            "transactional": known.transactional,
            "reachable": known.reachable,
            "granted": known.granted,
            "suppressed": known.suppressed,
            "paused_until": known.paused_until and _written(known.paused_until),
            "stopped": known.stopped,
            "fewer": known.fewer,
            "had": len(known.past),
            "held_out": known.held_out,
            "exited": known.exited,
        }


async def rehearse(session: AsyncSession, settings: Settings, dispatch: Dispatch, journey: str, now: datetime) -> Rehearsal | None:
    """Say what the gate would decide about a message at `now`, the run's clock; None if there is no such run.

    It may decide otherwise a moment later: no lock keeps what it has read as it is.
    """
    policy = in_force()
    case = await look(session, dispatch, journey, policy, now)
    if case is None:
        return None
    known = facts(case, dispatch, now, settings, policy)
    return Rehearsal(decide(known), known, tuple((rule.__name__, rule(known)) for rule in RULES))


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
