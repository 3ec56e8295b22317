"""One message, from the wish to send it to a receipt: render, gate and ledger, provider, record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.banner import bannered
from activities.doubt import GIVEN_UP, HELD, Finding, Inquiry, doubtful, has_forgotten, held, look_up, takes_key, without_others
from activities.gate import Case, facts, holdout_of, look
from activities.ledger import LEASE, answered, begin, conclude, doubt, end, expose, new_row, refuse
from activities.occasion import occasion
from activities.render import BadTemplate, Occasion, render
from activities.segments import segments
from activities.telling import told
from activities.templates import Library
from activities.transport import Ambiguous, Content, Finds, Local, Outlet, OutOfReach, Parcel, Throttled, Transport, Undeliverable
from settings import Settings
from store.hashing import hash_of
from store.sending import lock_to_send
from store.session import Store
from store.suppressions import name_at, suppress_name
from store.tables import Assignment, Delivery
from workflows.policy import in_force
from workflows.rules import Facts, decide
from workflows.run import Receipt
from workflows.wire import Dispatch

log = logging.getLogger(__name__)

PROVIDER_SECONDS = 20
THREADS = ThreadPoolExecutor(4, "render")  # of their own: a template may wait for the store, which may need the common ones


@dataclass(frozen=True)
class Attempt:
    """A message that the gate has let through, leased to us."""

    parcel: Parcel
    transport: Transport
    number: int
    expires: datetime
    in_doubt: bool  # an earlier attempt may have arrived


@dataclass(frozen=True)
class Wish:
    """A message to be sent at a moment of the run's clock: what it says, or why that cannot be rendered."""

    dispatch: Dispatch
    person_id: int
    journey: str
    content: Content | str
    now: datetime


@dataclass(frozen=True)
class Turn:
    """What is decided by, under the person's lock. `to` is a keyed hash of where to."""

    dispatch: Dispatch
    case: Case
    known: Facts
    parcel: Parcel | str
    to: str
    finding: Finding | None


@dataclass(frozen=True)
class Sender:
    """Sends on every channel. `outlet` says where a channel's messages to some recipients go."""

    store: Store
    settings: Settings
    library: Library
    outlet: Callable[[str, Sequence[str]], Outlet]

    async def send(self, dispatch: Dispatch, now: datetime) -> Receipt:
        """Send a message if it may be sent at `now`, the run's clock. Raises ApplicationError for an attempt to be made again."""
        found = await occasion(self.store, self.settings, dispatch, now)
        if found is None:
            return _nobody(dispatch)
        person_id, what = found
        content = await self._content(dispatch, what)
        if isinstance(content, Content) and content.until is not None:
            dispatch = replace(dispatch, expires=min(dispatch.expires, content.until))
        wish = Wish(dispatch, person_id, what.journey, content, now)
        claimed = await self._claim(wish)
        while isinstance(claimed, Inquiry):
            claimed = await self._claim(wish, await look_up(claimed))
        receipt = claimed if isinstance(claimed, Receipt) else await self._hand_over(claimed)
        return replace(receipt, message=dispatch.key)

    async def _content(self, dispatch: Dispatch, what: Occasion) -> Content | str:
        """Return what the message says, or why it cannot be rendered."""
        try:
            content = await asyncio.get_running_loop().run_in_executor(
                THREADS, render, self.library, dispatch.channel, dispatch.template, what, self.settings.locale
            )
            return bannered(content, dispatch.channel, self.settings.banner, what.now.astimezone(what.zone))
        except BadTemplate as error:
            why = told(error, filter(None, (what.user["email"], what.user["phone"])))
            log.error("%s cannot be rendered and is not sent: %s", dispatch.key, why)
            return why

    async def _claim(self, wish: Wish, finding: Finding | None = None) -> Receipt | Attempt | Inquiry:
        """Decide, by the facts of this moment and what the provider has said of an attempt in doubt, and write it down."""
        dispatch, policy = wish.dispatch, in_force()
        async with self.store.write() as session:
            await lock_to_send(session, wish.person_id)
            case = await look(session, dispatch, wish.journey, policy, wish.now)
            if case is None:
                return _nobody(dispatch)
            turn = Turn(
                dispatch,
                case,
                facts(case, dispatch, wish.now, self.settings, policy),
                _parcel(case, wish),
                hash_of(await session.connection(), " ".join(sorted(case.recipients))),
                finding and await without_others(session, finding, dispatch.channel, dispatch.key),
            )
            return self._settle(turn) or self._decide(session, turn)

    def _settle(self, turn: Turn) -> Receipt | Inquiry | None:
        """Say what became of earlier attempts; None if there may be another."""
        row, parcel, finding = turn.case.row, turn.parcel, turn.finding
        if row is None:
            return None
        if receipt := answered(row):
            is_over = row.status == "unknown" and turn.known.exited
            return Receipt("exited", turn.known.exited) if is_over else receipt
        if row.status == "held":
            return held(row, turn.known)
        outlet, is_open = self.outlet(row.channel, turn.case.recipients), row.status == "intent"
        if is_open:
            _leave_to_its_holder(row, turn.case.clock)
            row.doubted, row.doubted_at = True, row.doubted_at or row.begun_at
        if not has_forgotten(outlet, row, turn.case.clock) and (takes_key(outlet) or not is_open):
            return None
        if isinstance(outlet, Finds) and isinstance(parcel, Parcel) and row.begun_at is not None and row.sent_to == turn.to:
            if finding is None or finding.attempt != row.attempts:
                return Inquiry(parcel, outlet, row.attempts, row.begun_at)
            if finding.ids is not None:
                row.provider_id = next(iter(finding.ids), None)
                return conclude(row, "sent", "", turn.known.now) if finding.ids else None
        return doubtful(row, turn.known, self.settings)

    def _decide(self, session: AsyncSession, turn: Turn) -> Receipt | Attempt:
        """Ask the gate, and write down what it says, in the caller's transaction."""
        case, known, parcel, now = turn.case, turn.known, turn.parcel, turn.known.now
        row = case.row or new_row(turn.dispatch, case.run, now)
        in_doubt = bool(row.doubted) and not (turn.finding and turn.finding.denies(row.attempts))
        verdict = decide(known)
        session.add(row)
        if case.held_out is None and known.policy.holdout and not known.transactional and verdict.reason in ("", "holdout"):
            session.add(_sampled(known, case.run.person_id))
        if verdict.status != "send" and not (verdict.status == "deferred" and isinstance(parcel, str)):
            return refuse(row, verdict, now, in_doubt=in_doubt)
        expose(row, now)
        if isinstance(parcel, str):
            return conclude(row, "unknown" if in_doubt else "failed", f"template: {parcel}", now)
        row.why = parcel.content.why
        outlet = self.outlet(row.channel, case.recipients)
        if isinstance(outlet, Local):
            outlet.write(session, parcel)
            row.attempts += 1
            receipt = conclude(row, "sent", "", parcel.at)
            row.saw = _weight(parcel)
            return receipt
        begin(row, now, case.clock, turn.to)
        row.saw = _weight(parcel)
        return Attempt(parcel, outlet, row.attempts, known.expires, in_doubt)

    async def _hand_over(self, attempt: Attempt) -> Receipt:
        """Call the provider, and record what may be told of its answer: it enters the run's history."""
        try:
            async with asyncio.timeout(PROVIDER_SECONDS):
                provider_id = await attempt.transport.deliver(attempt.parcel)
        except Exception as error:
            return await self._not_sent(attempt, error, told(error, attempt.parcel.recipients))
        return await self._end(attempt, "sent", provider_id=provider_id or None)

    async def _not_sent(self, attempt: Attempt, error: Exception, reason: str) -> Receipt:
        log.warning("%s was not sent: %s: %s", attempt.parcel.key, type(error).__name__, reason)
        match error:
            case Undeliverable():
                return await self._end(attempt, "unknown" if attempt.in_doubt else "failed", reason, refused=error)
            case OutOfReach(tries=int() as tries) if attempt.number >= tries:
                return await self._end(attempt, "unknown" if attempt.in_doubt else "failed", reason)
            case Ambiguous() | TimeoutError():
                return await self._perhaps_sent(attempt, reason)
        await self._end(attempt, "retrying", reason)
        if isinstance(error, Throttled):
            lives = attempt.expires - attempt.parcel.at  # its run is to hear when it expires, however long the provider asks for
            after = error.retry_after and min(error.retry_after, lives)
            raise _again(reason, "Throttled", after, ApplicationErrorCategory.BENIGN) from None
        raise _again(reason, "OutOfReach") from None

    async def _perhaps_sent(self, attempt: Attempt, reason: str) -> Receipt:
        """Do what its channel does with a message in doubt. Who can look it up does so when this attempt's lease is over."""
        policy = self.settings.on_ambiguous.get(attempt.parcel.channel, "drop")
        if not takes_key(attempt.transport) and isinstance(attempt.transport, Finds):
            async with self.store.write() as session:
                await doubt(session, attempt.parcel.key, attempt.number)
            raise _again(reason, "Ambiguous", LEASE) from None
        if takes_key(attempt.transport) or policy == "resend":
            await self._end(attempt, "retrying", reason, doubted=True)
            raise _again(reason, "Ambiguous") from None
        if policy == "drop":
            return await self._end(attempt, "unknown", GIVEN_UP, doubted=True)
        waiting = Receipt("deferred", HELD, attempt.expires)
        return await self._end(attempt, "held", HELD, doubted=True, waiting=waiting)

    async def _end(
        self,
        attempt: Attempt,
        status: str,
        reason: str = "",
        *,
        provider_id: str | None = None,
        doubted: bool = False,
        waiting: Receipt | None = None,
        refused: Undeliverable | None = None,
    ) -> Receipt:
        """Record how the attempt ended, and answer what holds now: its message may have been settled otherwise meanwhile."""
        until = waiting.retry_at if waiting else None
        async with self.store.write() as session:
            if refused is not None and refused.suppress:
                await _suppress(await session.connection(), attempt.parcel, refused)
            key, number = attempt.parcel.key, attempt.number
            known = await end(session, key, number, status, reason, provider_id=provider_id, doubted=doubted, retry_at=until)
        return known or waiting or Receipt("failed", reason)


def _sampled(known: Facts, person_id: int) -> Assignment:
    """Keep what the holdout has decided of somebody, for good: by their id, which may change when they turn out to be two."""
    variant = "held_out" if known.held_out else "sent_to"
    return Assignment(person_id=person_id, experiment=holdout_of(known.policy), variant=variant, at=known.now)


async def _suppress(connection: AsyncConnection, parcel: Parcel, refused: Undeliverable) -> None:
    """Let nothing go to the parcel's address any more, whoever uses it."""
    for recipient in parcel.recipients:
        await suppress_name(connection, name_at(parcel.channel, recipient), parcel.channel, refused.suppress, refused.source)


def _weight(parcel: Parcel) -> dict[str, Any]:
    """Return what a text is billed as."""
    return asdict(segments(parcel.content.text)) if parcel.channel == "sms" else {}


def _nobody(dispatch: Dispatch) -> Receipt:
    """Answer a run that has no row: its person was erased, or an older backup put back."""
    return Receipt("exited", f"there is no run {dispatch.run_id}: its person was erased")


def _parcel(case: Case, wish: Wish) -> Parcel | str:
    """Return what is to be delivered, or why it cannot be rendered."""
    if isinstance(wish.content, str):
        return wish.content
    return Parcel(
        key=wish.dispatch.key,
        run_id=wish.dispatch.run_id,
        person_id=case.run.person_id,
        journey=case.run.journey,
        template=wish.dispatch.template,
        channel=wish.dispatch.channel,
        recipients=case.recipients,
        content=wish.content,
        at=wish.now,
    )


def _leave_to_its_holder(row: Delivery, clock: datetime) -> None:
    """Raise ApplicationError, to be tried again when the lease is over, while another attempt holds it."""
    if row.leased_until is not None and row.leased_until > clock:
        left = row.leased_until - clock
        raise _again(f"another attempt is sending {row.key}", "Leased", left, ApplicationErrorCategory.BENIGN)


def _again(
    why: str,
    kind: str,
    delay: timedelta | None = None,
    category: ApplicationErrorCategory = ApplicationErrorCategory.UNSPECIFIED,
) -> ApplicationError:
    """Return what makes Temporal try again, after `delay` or as its retry policy has it."""
    return ApplicationError(why, type=kind, next_retry_delay=delay, category=category)
