"""A small shop's events and journeys, for the tests of what is accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from workflows.definition import ALWAYS, JOURNEYS, Event, after, journey
from workflows.journey import Journey
from workflows.messages import Email


class BasketFilled(Event, name="Basket Filled"):
    basket: str
    worth: int = 0


class OrderPlaced(Event, name="Order Placed"):
    basket: str


class AccountClosed(Event, name="Account Closed"):
    pass


@journey(exits_on=AccountClosed, goal=OrderPlaced)
async def basket_help(j: Journey, filled: BasketFilled) -> None:
    """Entered once."""
    if not await j.wait_for(OrderPlaced, within=timedelta(days=1)):
        await j.send(Email("basket", {"plan": j.traits.get("plan")}))


@journey(key="basket", again=ALWAYS)
async def basket_by_basket(j: Journey, event: BasketFilled | OrderPlaced) -> None:
    """One run a basket, side by side."""
    await j.sleep(timedelta(days=1))


@journey(again=after(timedelta(days=30)))
async def win_back(j: Journey, closed: AccountClosed) -> None:
    await j.sleep(timedelta(days=1))


SHOP = {key: JOURNEYS.pop(key) for key in [("basket_help", 1), ("basket_by_basket", 1), ("win_back", 1)]}


@pytest.fixture
def shop() -> Iterator[None]:
    """Let the shop's journeys be the only ones there are."""
    before = dict(JOURNEYS)
    JOURNEYS.clear()
    JOURNEYS.update(SHOP)
    yield
    JOURNEYS.clear()
    JOURNEYS.update(before)
