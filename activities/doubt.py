"""An attempt that nobody knows the end of: what the provider says about it, and failing that the channel's policy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.ledger import conclude
from activities.telling import told
from activities.transport import Finds, Forgets, Local, Outlet, Parcel
from settings import Settings
from store.tables import Delivery
from workflows.rules import Facts
from workflows.run import Receipt

log = logging.getLogger(__name__)

LOOK_UP_SECONDS = 8  # with the call itself less than an attempt may take
CUT_OFF = "an attempt was cut off and may have arrived"
GIVEN_UP, HELD = f"unknown: {CUT_OFF}", f"held: {CUT_OFF}"


@dataclass(frozen=True)
class Inquiry:
    """The provider is to be asked whether it has taken what that attempt handed over."""

    parcel: Parcel
    provider: Finds
    attempt: int
    since: datetime


@dataclass(frozen=True)
class Finding:
    """What the provider has said of that attempt: its ids for what may be the message, and None if it cannot tell."""

    attempt: int
    ids: Sequence[str] | None

    def denies(self, attempt: int) -> bool:
        """Say whether that attempt's message has surely not been taken."""
        return self.attempt == attempt and self.ids is not None and not self.ids


async def look_up(inquiry: Inquiry) -> Finding:
    """Ask the provider. A question that fails has told nothing."""
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return Finding(inquiry.attempt, tuple(await inquiry.provider.find(inquiry.parcel, inquiry.since)))
    except Exception as error:
        why = told(error, inquiry.parcel.recipients)
        log.warning("it cannot be told whether %s was sent: %s: %s", inquiry.parcel.key, type(error).__name__, why)
        return Finding(inquiry.attempt, None)


async def without_others(session: AsyncSession, finding: Finding, channel: str, key: str) -> Finding:
    """Leave out what is known to be another message: two may say the same to one number."""
    if not finding.ids:
        return finding
    theirs = select(Delivery.provider_id).where(
        Delivery.channel == channel, col(Delivery.provider_id).in_(finding.ids), Delivery.key != key
    )
    known = set((await session.exec(theirs)).all())
    return Finding(finding.attempt, [each for each in finding.ids if each not in known])


def takes_key(outlet: Outlet) -> bool:
    """Say whether the same message may be handed over twice, and arrives once."""
    return isinstance(outlet, Local) or outlet.keyed


def has_forgotten(outlet: Outlet, row: Delivery, clock: datetime) -> bool:
    """Say whether the provider may not know our key any more, under which it may have taken the message."""
    return isinstance(outlet, Forgets) and row.doubted_at is not None and clock - row.doubted_at >= outlet.keyed_for


def doubtful(row: Delivery, known: Facts, settings: Settings) -> Receipt | None:
    """Go by the channel's policy: give the message up, hold it for an operator, or None: send it again."""
    match settings.on_ambiguous.get(row.channel, "drop"):
        case "drop":
            return conclude(row, "unknown", GIVEN_UP, known.now)
        case "hold":
            row.status, row.reason, row.leased_until, row.at, row.saw = "held", HELD, None, known.now, {}
            return held(row, known)
    return None


def held(row: Delivery, known: Facts) -> Receipt:
    """Answer the run of a held message: wait for an operator as long as the message lives. The row stays as it is after that."""
    waits = known.now < known.expires and not known.exited
    row.retry_at = known.expires if waits else None
    if known.exited:
        return Receipt("exited", known.exited)
    return Receipt("deferred", row.reason, known.expires) if waits else Receipt("failed", row.reason)
