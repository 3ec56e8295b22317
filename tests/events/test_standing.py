"""Each change is told once, as what it is: whenever it is judged, whatever becomes of people, definitions and clocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlmodel import col, select

from events.audience import audience
from events.retention import retain
from events.route import Router
from events.sweep import fill_in, mend
from settings import Settings
from store.session import Store
from store.tables import LIVE, AcceptedEvent
from tests.events.crowd import DAY, TOLD, Bought, Complained, Visited, Waved, buyers, crowd, quiet
from tests.events.test_segments import (
    EVENTS,
    HOUR,
    IMPORTED,
    START,
    call,
    identify,
    route,
    router,
    sweep_all,
    told,
    track,
    values,
)
from workflows.lifecycle import ACTIVE, NEW
from workflows.segments import SEGMENTS, Segment, performed, trait
from workflows.transitions import Became, Entered, Left

__all__ = ["router"]

payers = Segment("payers", trait("plan") == "pro")
mixed = Segment("mixed", performed(Visited) | performed(Complained, at_least=5))
for each in (payers, mixed):
    SEGMENTS.pop(each.name)


class BecameNew(Became, state=NEW, name="crowd became new"):
    pass


class BecameActive(Became, state=ACTIVE, name="crowd became active"):
    pass


class StartedPaying(Entered, of=payers, name="crowd started paying"):
    pass


class StoppedPaying(Left, of=payers, name="crowd stopped paying"):
    pass


class GotMixed(Entered, of=mixed, name="crowd got mixed"):
    pass


class GotSorted(Left, of=mixed, name="crowd got sorted"):
    pass


MORE = (*TOLD, BecameNew, BecameActive, StartedPaying, StoppedPaying, GotMixed, GotSorted)


@pytest.fixture(autouse=True)
def segments() -> Iterator[None]:
    with crowd(telling=MORE):
        yield


async def names(store: Store, user: str) -> list[str]:
    return [name.removeprefix("crowd ") for name, _ in await told(store, user)]


async def last_of(store: Store, name: str) -> AcceptedEvent:
    async with store.read() as session:
        found = select(AcceptedEvent).where(AcceptedEvent.name == name).order_by(col(AcceptedEvent.id).desc())
        return (await session.exec(found.limit(1))).one()


@contextmanager
def meaning(segment: Segment, like: Segment) -> Iterator[None]:
    """Let there be one segment, which means what another one does."""
    changed = Segment(f"{segment.name}_changed", like.expression)
    SEGMENTS.pop(changed.name)
    object.__setattr__(changed, "name", segment.name)
    with crowd(changed, telling=MORE):
        yield


# Whenever it is judged

life = some.tuples(some.sampled_from([*EVENTS, "plan", "import"]), some.integers(0, 60), some.integers(0, 500))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(lived=some.lists(life, min_size=2, max_size=60))
async def test_what_is_told_does_not_depend_on_when_the_router_comes_to_it(
    store: Store, router: Router, lived: Sequence[tuple[str, int, int]]
) -> None:
    async def live(user: str, *, at_once: bool) -> list[tuple[str, datetime]]:
        now = START
        for what, passes, late in lived:
            now += passes * HOUR
            if what == "plan":
                await identify(store, user, {"plan": "pro" if late % 2 else "free"}, now)
            else:
                event, at = EVENTS.get(what, Visited()), now - (late * HOUR if late % 3 else timedelta(0))
                manner = {"manner": IMPORTED} if what == "import" else {}
                data: dict[str, Any] = {"userId": user, "event": event.name, "properties": event.model_dump(mode="json")}
                await call(store, "track", now, **manner, **data, timestamp=at.isoformat())
            if at_once:
                await route(router)
        await route(router)
        await sweep_all(store, now)
        return sorted(await told(store, user))

    with crowd(*SEGMENTS.values(), payers, telling=MORE):
        world = uuid4().hex
        assert await live(f"{world}-slow", at_once=False) == await live(f"{world}-quick", at_once=True)


async def test_each_change_of_a_trait_is_told_though_both_come_in_one_round(store: Store, router: Router) -> None:
    with crowd(payers, telling=MORE):
        for hour, plan in enumerate(("free", "pro", "free")):
            await identify(store, "ada", {"plan": plan}, START + hour * HOUR)
        await route(router)
        assert await names(store, "ada") == ["became new", "started paying", "stopped paying"]


async def test_traits_are_as_of_the_event_though_more_wait_than_a_round_takes(store: Store, router: Router) -> None:
    with crowd(payers, telling=MORE):
        for _ in range(60):
            await identify(store, "ada", {"plan": "pro"}, START)
            await identify(store, "ada", {"plan": "free"}, START)
        await route(router)
        assert await names(store, "ada") == ["became new", *(["started paying", "stopped paying"] * 60)]


async def test_the_change_that_came_with_a_new_definition_is_told(store: Store, router: Router) -> None:
    with crowd(quiet, telling=MORE):
        await identify(store, "ada", {"plan": "free"}, START)
        await route(router)
    with crowd(quiet, payers, telling=MORE):
        await identify(store, "ada", {"plan": "pro"}, START + HOUR)
        await route(router)
        assert "started paying" in await names(store, "ada")


# Whoever it is


@pytest.mark.parametrize("what", ["page", "screen", "alias", "unknown", "invalid"])
async def test_whoever_is_met_is_in_a_state_whatever_they_are_met_by(store: Store, router: Router, what: str) -> None:
    others: dict[str, tuple[str, dict[str, Any]]] = {
        "alias": ("alias", {"previousId": "lovelace"}),
        "unknown": ("track", {"event": "Never Declared"}),
        "invalid": ("track", {"event": Bought.name, "properties": {"size": "x"}}),
    }
    kind, said = others.get(what, (what, {"name": "Home"}))
    await call(store, kind, START, userId="ada", **said)
    await sweep_all(store, START)
    assert (await values(store, "ada"))["lifecycle"] == NEW
    assert await names(store, "ada") == ["became new", "went quiet"]
    await sweep_all(store, START + 30 * DAY)
    assert (await values(store, "ada"))["lifecycle"] == "dormant"


async def test_who_was_met_by_an_unknown_event_is_told_to_be_new_by_the_first_that_counts(store: Store, router: Router) -> None:
    await call(store, "track", START, userId="ada", event="Never Declared")
    await route(router)
    await track(store, "ada", Visited(), START + HOUR)
    await route(router)
    assert "became new" in await names(store, "ada")


async def test_that_two_are_one_is_no_transition(store: Store, router: Router) -> None:
    with crowd(payers, telling=MORE):
        await call(store, "page", START, anonymousId="v", name="Home")
        await sweep_all(store, START)
        await identify(store, "ada", {"plan": "pro"}, START + HOUR)
        await route(router)
        before = await names(store, "anon:v") + await names(store, "ada")
        await call(store, "identify", START + 2 * HOUR, userId="ada", anonymousId="v")
        await route(router)
        assert await names(store, "ada") == before == ["became new", "became new", "started paying"]


async def test_who_was_looked_at_is_not_met_again_as_somebody_whom_nobody_had_looked_at(store: Store, router: Router) -> None:
    with crowd(payers, telling=MORE):
        await call(store, "page", START, anonymousId="v", name="Home")
        await identify(store, "ada", {"plan": "pro"}, START + HOUR)
        await route(router)
        await call(store, "identify", START + 2 * HOUR, userId="ada", anonymousId="v")
        await route(router)
        assert await names(store, "ada") == ["became new", "started paying"]


async def test_a_sign_in_that_makes_two_one_tells_the_change_that_it_came_with(store: Store, router: Router) -> None:
    with crowd(payers, telling=MORE):
        await identify(store, "ada", {"plan": "free"}, START)
        await call(store, "identify", START, anonymousId="v", traits={"colour": "red"})
        await route(router)
        await call(store, "identify", START + HOUR, userId="ada", anonymousId="v", traits={"plan": "pro"})
        await route(router)
        assert (await names(store, "ada"))[-1] == "started paying"


async def test_a_sign_in_that_makes_two_one_swallows_no_turn_that_was_due(store: Store, router: Router) -> None:
    await track(store, "ada", Visited(), START)
    await call(store, "identify", START, anonymousId="v")
    await route(router)
    await call(store, "identify", START + 13 * DAY, userId="ada", anonymousId="v")
    await route(router)
    assert ("crowd went dormant", START + 12 * DAY) in await told(store, "ada")


# Whose change it is


async def test_what_time_brings_starts_journeys_though_an_import_comes_before_the_sweep(store: Store, router: Router) -> None:
    await track(store, "ada", Visited(), START)
    await route(router)
    late = (START - DAY).isoformat()
    await call(store, "track", START + 13 * DAY, IMPORTED, userId="ada", event=Complained.name, timestamp=late)
    await route(router)
    dormant = await last_of(store, "crowd went dormant")
    assert (dormant.lane, dormant.starts) == (LIVE, True)


async def test_what_an_import_brings_starts_nothing_though_the_sweep_comes_before_the_router(store: Store, router: Router) -> None:
    await track(store, "ada", Visited(), START)
    await route(router)
    await sweep_all(store, START + 6 * DAY)
    acted = (START + 11 * DAY).isoformat()
    await call(store, "track", START + 12 * DAY - HOUR, IMPORTED, userId="ada", event=Visited.name, timestamp=acted)
    await sweep_all(store, START + 12 * DAY)
    await route(router)
    assert (await last_of(store, "crowd became active")).starts is False
    assert "went dormant" not in await names(store, "ada")


async def test_an_import_that_may_start_journeys_starts_none_by_transitions(store: Store, router: Router) -> None:
    for _ in range(3):
        await call(store, "track", START, IMPORTED.__class__(IMPORTED.lane, starts=True), userId="ada", event=Bought.name)
    await route(router)
    assert (await last_of(store, "crowd became buyer")).starts is False


async def test_two_processes_whose_clocks_cross_tell_nothing_false(store: Store, router: Router) -> None:
    moment = timedelta(milliseconds=1)
    with crowd(mixed, telling=MORE):
        await track(store, "ada", Waved(), START)
        await track(store, "ada", Visited(), START + 500 * moment)
        await route(router)
        await track(store, "ada", Complained(), START + 300 * moment)  # its clock was read first, and then it waited for the lock
        await route(router)
        assert [name for name in await names(store, "ada") if name.startswith("got")] == ["got mixed"]


# Definitions that come and go


async def test_a_segment_that_is_put_back_is_true_again(store: Store, router: Router) -> None:
    with crowd(buyers):
        for hour in range(3):
            await track(store, "ada", Bought(), START + hour * HOUR)
        await route(router)
        await fill_in(store)
        assert (await values(store, "ada"))["buyers"] == "in"
    with crowd(quiet):
        await fill_in(store)
        await sweep_all(store, START + 20 * DAY)
    with crowd(buyers):
        await fill_in(store)
        assert (await values(store, "ada"))["buyers"] == "out"


async def test_what_an_older_worker_judges_after_the_fill_is_mended(store: Store, router: Router) -> None:
    once = Segment("once", performed(Bought))
    SEGMENTS.pop(once.name)
    with crowd(buyers):
        await track(store, "ada", Bought(), START)
        await route(router)
        await fill_in(store)
    with meaning(buyers, once):
        await fill_in(store)
        assert (await values(store, "ada"))["buyers"] == "in"
    with crowd(buyers):
        await track(store, "ada", Bought(), START + HOUR)
        await route(router)
        assert (await values(store, "ada"))["buyers"] == "out"
        assert await mend(store) == 0  # it is the older one, and knows it
    with meaning(buyers, once):
        assert await mend(store) == 1
        assert (await values(store, "ada"))["buyers"] == "in"
        assert await mend(store) == 0


# At another moment


async def test_an_audience_of_the_past_is_judged_by_what_was_so_then(store: Store, router: Router) -> None:
    for hour in range(3):
        await track(store, "ada", Bought(), START + hour * HOUR)
    await track(store, "ada", Bought(), START + 40 * DAY)
    await track(store, "bo", Bought(), START + 40 * DAY)
    found = await audience(store, buyers, sample=5, at=START + 5 * DAY)
    assert (found.members, found.people, found.sample) == (1, 1, ["ada"])


async def test_retention_moves_nobody_out_of_a_segment_that_asks_for_fields(store: Store, router: Router) -> None:
    await track(store, "ada", Bought(size=2), START)
    await track(store, "ada", Visited(), START, context={"ip": "192.0.2.1"})
    await identify(store, "ada", {"plan": "pro"}, START)
    await route(router)
    while await retain(store, Settings(retain_events_days=30, _env_file=None), START + 40 * DAY):
        pass
    async with store.read() as session:
        left = {each.name: (each.data, each.context, each.changed) for each in (await session.exec(select(AcceptedEvent))).all()}
    assert (left[Bought.name], left["identify"]) == (({"size": 2}, {}, {}), ({}, {}, {}))
    await track(store, "ada", Bought(), START + 41 * DAY)
    await track(store, "ada", Bought(), START + 42 * DAY)
    await route(router)
    assert (await values(store, "ada"))["big_or_gone"] == "in"
