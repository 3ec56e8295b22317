"""One message, from the wish to send it to a receipt: render, gate and ledger, provider, record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.gate import Case, facts, holdout_of, look
from activities.ledger import answered, begin, conclude, end, expose, new_row, refuse
from activities.occasion import occasion
from activities.render import BadTemplate, Occasion, render
from activities.telling import told
from activities.templates import Library
from activities.transport import Ambiguous, Content, Local, Outlet, Parcel, Throttled, Transport, Undeliverable
from settings import Settings
from store.sending import lock_to_send
from store.session import Store
from store.tables import Assignment, Delivery
from workflows.policy import in_force
from workflows.rules import Facts, decide
from workflows.run import Receipt
from workflows.wire import Dispatch

log = logging.getLogger(__name__)

PROVIDER_SECONDS = 20
THREADS = ThreadPoolExecutor(4, "render")  # of their own: a template may wait for the store, which may need the common ones
CUT_OFF = "an attempt was cut off and may have arrived"


@dataclass(frozen=True)
class Attempt:
    """A message that the gate has let through, leased to us."""

    parcel: Parcel
    transport: Transport
    number: int


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
        policy = in_force()
        async with self.store.write() as session:
            await lock_to_send(session, person_id)
            case = await look(session, dispatch, what.journey, policy, now)
            if case is None:
                return _nobody(dispatch)
            claimed = self._claim(session, case, facts(case, dispatch, now, self.settings, policy), dispatch, content)
        receipt = claimed if isinstance(claimed, Receipt) else await self._hand_over(claimed)
        return replace(receipt, message=dispatch.key)

    async def _content(self, dispatch: Dispatch, what: Occasion) -> Content | str:
        """Return what the message says, or why it cannot be rendered."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                THREADS, render, self.library, dispatch.channel, dispatch.template, what, self.settings.locale
            )
        except BadTemplate as error:
            why = told(error, filter(None, (what.user["email"], what.user["phone"])))
            log.error("%s cannot be rendered and is not sent: %s", dispatch.key, why)
            return why

    def _claim(
        self, session: AsyncSession, case: Case, known: Facts, dispatch: Dispatch, content: Content | str
    ) -> Receipt | Attempt:
        """Decide, and write down what was decided, in the caller's transaction."""
        now = known.now
        row = case.row or new_row(dispatch, case.run, now)
        if case.row is not None and (receipt := answered(row)):
            return receipt
        outlet = self.outlet(dispatch.channel, case.recipients)
        in_doubt = case.row is not None and row.status == "intent"
        row.doubted |= in_doubt
        if in_doubt:
            _leave_to_its_holder(row, case.clock)
            if not self._may_repeat(outlet, dispatch.channel):
                return self._doubtful(row, now)
        verdict = decide(known)
        session.add(row)
        if case.held_out is None and known.policy.holdout and not known.transactional and verdict.reason in ("", "holdout"):
            session.add(_sampled(known, case.run.person_id))
        if verdict.status != "send" and not (verdict.status == "deferred" and isinstance(content, str)):
            return refuse(row, verdict, now, in_doubt=in_doubt)
        expose(row, now)
        if isinstance(content, str):
            return conclude(row, "failed", f"template: {content}", now)
        return _begin(session, row, outlet, _parcel(case, dispatch, content, now), case.clock)

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
                return await self._end(attempt, "failed", reason)
            case Ambiguous() | TimeoutError() if not self._may_repeat(attempt.transport, attempt.parcel.channel):
                return await self._end(attempt, "unknown", self._in_doubt_reason(attempt.parcel.channel))
        await self._end(attempt, "retrying", reason)
        if isinstance(error, Throttled):
            raise _again(reason, "Throttled", error.retry_after, ApplicationErrorCategory.BENIGN) from None
        raise _again(reason, "Ambiguous" if isinstance(error, Ambiguous | TimeoutError) else "OutOfReach") from None

    async def _end(self, attempt: Attempt, status: str, reason: str = "", provider_id: str | None = None) -> Receipt:
        async with self.store.write() as session:
            await end(session, attempt.parcel.key, attempt.number, status, reason, provider_id)
        return Receipt("sent" if status == "sent" else "failed", reason)

    def _may_repeat(self, outlet: Outlet, channel: str) -> bool:
        keyed = isinstance(outlet, Local) or outlet.keyed
        return keyed or self.settings.on_ambiguous.get(channel) == "resend"

    def _doubtful(self, row: Delivery, now: datetime) -> Receipt:
        return conclude(row, "unknown", self._in_doubt_reason(row.channel), now)

    def _in_doubt_reason(self, channel: str) -> str:
        held = self.settings.on_ambiguous.get(channel) == "hold"
        return f"held: {CUT_OFF}" if held else f"unknown: {CUT_OFF}"


def _sampled(known: Facts, person_id: int) -> Assignment:
    """Keep what the holdout has decided of somebody, for good: by their id, which may change when they turn out to be two."""
    variant = "held_out" if known.held_out else "sent_to"
    return Assignment(person_id=person_id, experiment=holdout_of(known.policy), variant=variant, at=known.now)


def _nobody(dispatch: Dispatch) -> Receipt:
    """Answer a run that has no row: its person was erased, or an older backup put back."""
    return Receipt("exited", f"there is no run {dispatch.run_id}: its person was erased")


def _begin(session: AsyncSession, row: Delivery, outlet: Outlet, parcel: Parcel, clock: datetime) -> Receipt | Attempt:
    if isinstance(outlet, Local):
        outlet.write(session, parcel)
        row.attempts += 1
        return conclude(row, "sent", "", parcel.at)
    begin(row, parcel.at, clock)
    return Attempt(parcel, outlet, row.attempts)


def _parcel(case: Case, dispatch: Dispatch, content: Content, now: datetime) -> Parcel:
    return Parcel(
        key=dispatch.key,
        run_id=dispatch.run_id,
        person_id=case.run.person_id,
        journey=case.run.journey,
        template=dispatch.template,
        channel=dispatch.channel,
        recipients=case.recipients,
        content=content,
        at=now,
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
