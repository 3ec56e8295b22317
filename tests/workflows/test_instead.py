"""What goes in place of a capped message stands where it stood when its run continues as new."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta

from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email, Push
from workflows.run import Memory, Order, Receipt, User
from workflows.runtime import Sending
from workflows.segments import Segment

NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)
OPENS = NOON + timedelta(hours=1)


class Bought(Event, name="Bought (instead)"):
    pass


@journey()
async def news_by_mail(j: Journey, bought: Bought) -> None:
    await j.send(Email("news", capped=Push("news")))


class ContinuedAsNew(Exception):
    pass


class World:
    """A runtime in which mail is capped and push has to wait, and whose history is full as soon as a run waits."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.concluded: list[tuple[str, Receipt]] = []

    def now(self) -> datetime:
        return NOON

    async def wait(self, ready: Callable[[], bool], deadline: datetime | None, summary: Callable[[], str]) -> bool:
        if ready():
            return True
        raise ContinuedAsNew

    async def deliver(self, sending: Sending) -> Receipt:
        self.delivered.append(sending.step)
        is_mail = sending.message.channel == "email"
        return Receipt("suppressed", "frequency_cap") if is_mail else Receipt("deferred", "quiet_hours", OPENS)

    async def conclude(self, sending: Sending, receipt: Receipt) -> Receipt:
        """As the ledger does: what it has decided for good stands."""
        holds = Receipt("suppressed", "frequency_cap") if sending.message.channel == "email" else receipt
        self.concluded.append((sending.step, holds))
        return holds

    async def assign(self, experiment: str, weights: Mapping[str, int]) -> str:
        return next(iter(weights))

    async def matches(self, segment: Segment) -> bool:
        return False

    def stepped(self) -> None:
        pass


async def run(world: World, memory: Memory, order: Order | None = None) -> Memory:
    """Run it until it ends or its history is full, and return what it remembers."""
    j = Journey(world, news_by_mail, User("ada", zone="UTC"), Bought(), NOON, deepcopy(memory))
    if order is not None:
        j.skip(order)
    with suppress(ContinuedAsNew):
        await news_by_mail.function(j, Bought())
    return j.memory


async def test_an_operator_skips_it_and_not_the_capped_one() -> None:
    world = World()
    continued = await run(world, Memory())
    assert world.delivered == ["send:email/news", "send:email/news:instead"]
    over = await run(world, continued, Order("ada", "not now", "send:email/news"))
    assert len(world.delivered) == 2
    assert [step for step, _ in world.concluded] == ["send:email/news:instead"]
    assert over.log[-1].outcome["reason"] == "skipped by an operator"
