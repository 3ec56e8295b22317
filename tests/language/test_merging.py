"""Open runs belong to the person, not to a name: what becomes of them when two turn out to be one, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from store.tables import Run
from tests.language.both import told
from tests.language.words import Entered, Left, Tapped, days, say
from tests.stage import Stage, eventually, only
from workflows.definition import Event, journey
from workflows.journey import Journey


@journey(exits_on=Left)
async def taps_once(j: Journey, entered: Entered) -> None:
    await j.send(say(f"hello {entered.via}"))
    if tapped := await j.wait_for(Tapped, within=days(3)):
        await j.send(say(f"tapped {tapped.price} for {j.traits.get('plan')}"))


@pytest.fixture(autouse=True)
def one_journey() -> Iterator[None]:
    with only([taps_once]):
        yield


async def track(house: Stage, event: Event, **who: str) -> None:
    body = {**who, "event": event.name, "properties": event.model_dump(mode="json"), "messageId": uuid4().hex}
    (await house.api.post("/v1/track", json=body)).raise_for_status()


async def identify(house: Stage, traits: dict[str, Any] | None = None, **who: str) -> None:
    (await house.api.post("/v1/identify", json={**who, "traits": traits or {}})).raise_for_status()


async def texts(house: Stage, user: str) -> list[list[str]]:
    return [run.texts for run in await told(house, user)]


async def greeted(house: Stage, user: str) -> Run:
    """Wait until the person's first run has said hello and waits."""

    async def has_said_hello() -> bool:
        return bool(await house.runs(user)) and ["hello a"] in await texts(house, user)

    await eventually(has_said_hello)
    await house.settled(user)
    return (await house.runs(user))[0]


async def a_visitor(house: Stage) -> tuple[str, str]:
    """Let somebody come by without a name, and their run say hello; return their anonymousId, and how we call them."""
    visitor = uuid4().hex
    await identify(house, {"email": f"{visitor}@example.org"}, anonymousId=visitor)
    await track(house, Entered(via="a"), anonymousId=visitor)
    await greeted(house, f"anon:{visitor}")
    return visitor, f"anon:{visitor}"


async def test_an_anonymous_visitors_run_goes_on_after_sign_up(house: Stage) -> None:
    visitor, _ = await a_visitor(house)
    user = uuid4().hex
    await identify(house, {"plan": "pro"}, userId=user, anonymousId=visitor)
    await track(house, Tapped(price=3), userId=user)
    assert (await house.over(user)).status == "completed"
    assert await texts(house, user) == [["hello a", "tapped 3 for pro"]]


async def test_what_the_user_did_elsewhere_meanwhile_reaches_the_visitors_run(house: Stage) -> None:
    visitor, _ = await a_visitor(house)
    user = uuid4().hex
    await identify(house, {"plan": "team"}, userId=user)
    await track(house, Tapped(price=5), userId=user)
    await house.settled(user)
    await identify(house, userId=user, anonymousId=visitor)
    assert (await house.over(user)).status == "completed"
    assert await texts(house, user) == [["hello a", "tapped 5 for team"]]


async def test_an_exit_of_the_users_ends_the_visitors_run(house: Stage) -> None:
    visitor, _ = await a_visitor(house)
    user = uuid4().hex
    await identify(house, userId=user)
    await track(house, Left(), userId=user)
    await house.settled(user)
    await identify(house, userId=user, anonymousId=visitor)
    run = await house.over(user)
    assert (run.status, run.reason) == ("exited", "left")
    assert await texts(house, user) == [["hello a"]]


async def test_of_two_runs_the_elder_goes_on_and_the_workflow_of_the_other_ends(house: Stage) -> None:
    visitor, _ = await a_visitor(house)
    user = uuid4().hex
    await identify(house, {"email": f"{user}@example.org"}, userId=user)
    await track(house, Entered(via="a"), userId=user)
    younger = await greeted(house, user)
    await identify(house, userId=user, anonymousId=visitor)

    assert await house.workflow(younger).result() == "exited: sojourn: " + (await reason(house, user, younger))
    await track(house, Tapped(price=1), userId=user)
    await house.over(user)
    assert {run.id: run.status for run in await house.runs(user)}[younger.id] == "merged"
    assert sorted(await texts(house, user)) == [["hello a"], ["hello a", "tapped 1 for None"]]


async def reason(house: Stage, user: str, run: Run) -> str:
    return next(each.reason for each in await house.runs(user) if each.id == run.id)


async def test_visitors_who_sign_up_while_their_events_are_being_routed_enter_once(house: Stage) -> None:
    people = [(uuid4().hex, uuid4().hex) for _ in range(30)]

    async def come_and_sign_up(user: str, visitor: str) -> None:
        await identify(house, {"email": f"{user}@example.org"}, userId=user)
        await asyncio.gather(track(house, Entered(via="a"), anonymousId=visitor), identify(house, userId=user, anonymousId=visitor))
        await track(house, Tapped(price=1), userId=user)

    await asyncio.gather(*(come_and_sign_up(*each) for each in people))
    for user, _ in people:
        assert (await house.over(user)).status == "completed"
        assert await texts(house, user) == [["hello a", "tapped 1 for None"]]
