"""A scenario that cannot be meant is refused in one sentence: a slip of the pen would else make a test hold for nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from workflows.definition import Event, journey
from workflows.happenings import Identify, Opened, Operate, OptOut, Reach
from workflows.journey import Journey
from workflows.messages import Email, Push
from workflows.run import Receipt
from workflows.simulate import live, simulate

DAY = timedelta(days=1)
NOON = datetime(2025, 1, 6, 12, tzinfo=UTC)


class Livened(Event):
    plan: str = ""


class Deadened(Event): ...


@journey()
async def livening(j: Journey, livened: Livened) -> None:
    await j.send(await j.split("livening-copy", {"plain": Email("lively"), "warm": Email("livelier")}))
    await j.wait_for(Deadened, within=DAY)
    await j.send(Push("quiet"))


@journey()
async def unreadably(j: Journey, livened: Livened) -> None:
    await j.send(Email("lively_" + livened.plan))


SIMULATE: Callable[..., Any] = simulate  # what is wrong here, a type checker finds as well
LIVE: Callable[..., Any] = live
SCENARIOS: list[tuple[dict[str, Any], str]] = [
    ({"then": [(-DAY, Deadened())]}, "write a timedelta that is not less than nothing"),
    ({"then": [(3, Deadened())]}, "3 is no time since the start"),
    ({"then": (DAY, Deadened())}, "write then=[(timedelta(days=1), Something())]"),
    ({"then": [(DAY, Deadened)]}, "the class Deadened is nothing that happens"),
    ({"then": [(DAY, "deadened")]}, "'deadened' is nothing that happens"),
    ({"then": [(DAY, Opened("livly"))]}, "livening sends no template 'livly', but livelier, lively, quiet"),
    ({"then": [(DAY, OptOut("livening", "mail"))]}, "'mail' is no channel; there is email, sms, push, in_app, webhook"),
    ({"then": [(DAY, Reach(frozenset({"mail"})))]}, "'mail' is no channel"),
    ({"then": [(DAY, Operate(cast(Any, "halt"), cast(Any, None)))]}, "no operator can 'halt' a run"),
    ({"then": [(DAY, Operate("skip", cast(Any, None)))]}, "is without an order"),
    ({"at": NOON.replace(tzinfo=None)}, "is no moment with a zone"),
    ({"user": "ana"}, "write user=User('ana')"),
    ({"reachable": "email"}, "write reachable=['email']"),
    ({"reachable": ["mail"]}, "'mail' is no channel"),
    ({"variants": {"livening-text": "plain"}}, "livening has no experiment 'livening-text', but livening-copy"),
    ({"variants": {"livening-copy": "cold"}}, "'livening-copy' has no variant 'cold', but plain, warm"),
    ({"receipts": {"livly": Receipt("failed", "bounced")}}, "livening sends no template 'livly'"),
    ({"receipts": {"lively": "failed"}}, "write {'lively': Receipt('failed', 'bounced')}"),
    ({"policy": "quiet"}, "write policy=Policy(...)"),
]


@pytest.mark.parametrize(("arguments", "said"), SCENARIOS, ids=[said for _, said in SCENARIOS])
def test_a_scenario_that_cannot_be_meant_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        SIMULATE(livening, Livened(), **arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("journey", "starts_with", "said"),
    [
        (livening, Deadened(), "starts no run of 'livening'; that starts on Livened(...)"),
        (livening, Livened, "the class Livened starts no run of 'livening'"),
        (livening.function, Livened(), "hand over what @journey made of its function"),
    ],
)
def test_what_starts_no_run_is_refused(journey: object, starts_with: object, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        SIMULATE(journey, starts_with)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("journeys", "happenings", "said"),
    [
        (livening, [(NOON, Livened())], "takes a list of journeys"),
        ([livening.function], [(NOON, Livened())], "takes a list of journeys"),
        ([livening], [(NOON, Livened)], "the class Livened is nothing that happens"),
        ([livening], [(NOON.replace(tzinfo=None), Livened())], "is no moment with a zone"),
    ],
)
def test_a_life_that_cannot_be_lived_is_refused(journeys: object, happenings: object, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        LIVE(journeys, happenings)
    assert said in str(refused.value)


def test_what_the_source_does_not_tell_is_not_complained_of() -> None:
    run = simulate(unreadably, Livened(plan="a"), receipts={"lively_a": Receipt("failed", "bounced")})
    assert [decided.receipt.status for decided in run.decided] == ["failed"]
    runs = live([livening, unreadably], [(NOON, Identify(locale="de")), (NOON, Livened())], receipts={"any": Receipt("sent")})
    assert len(runs) == 2


@journey()
async def rounds_without_end(j: Journey, livened: Livened) -> None:
    while True:
        await j.sleep(DAY)
        await j.send(Email("round"))


def test_a_run_that_comes_to_no_end_is_told_and_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match=r"this run of 'rounds_without_end' has taken 50,000 steps.*comes to no end"):
        simulate(rounds_without_end, Livened())
    (run,) = live([rounds_without_end], [(NOON, Livened())], until=NOON + 3 * DAY)
    assert (run.status, len(run.messages)) == ("open", 2)
