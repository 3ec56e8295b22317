"""What we are measured against: the same journey by hand, on Temporal alone, doing the same sends and nothing else."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow

from bench.sends import Sends


class BareSends(Sends):
    """The bare contender's provider: an activity that takes note, and nothing else."""

    @activity.defn(name="bare_send")
    async def send(self, user: str) -> None:
        self.take(user)


@workflow.defn(name="bare_onboarding")
class BareOnboarding:
    """Send, wait up to three days for them to act, send."""

    def __init__(self) -> None:
        self.has_acted = False

    @workflow.signal
    def acted(self) -> None:
        self.has_acted = True

    @workflow.run
    async def run(self, user: str) -> None:
        await self._send(user)
        try:
            await workflow.wait_condition(lambda: self.has_acted, timeout=timedelta(days=3))
        except TimeoutError:
            return
        await self._send(user)

    async def _send(self, user: str) -> None:
        await workflow.execute_activity("bare_send", user, start_to_close_timeout=timedelta(seconds=30))
