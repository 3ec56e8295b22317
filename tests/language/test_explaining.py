"""What an operator is told of a live run: where it stands, what is ahead of it, and what the gate would say now."""

from __future__ import annotations

from typing import Any

from tests.language.words import Entered, Left, Tapped, days, say
from tests.stage import Stage, only
from workflows.definition import journey
from workflows.journey import Journey
from workflows.messages import InApp, Push


@journey(exits_on=Left)
async def comes_to_a_fork(j: Journey, entered: Entered) -> None:
    await j.send(say("hello"))
    if await j.wait_for(Tapped, within=days(3)):
        await j.wait_for(Tapped, within=days(3))
        await j.send(Push("note"))
        return
    await j.sleep(days(1))
    await j.send(InApp("note"))


async def test_a_message_ahead_of_a_run_may_come_and_one_of_another_branch_is_passed_by(house: Stage) -> None:
    user = await house.somebody()
    with only([comes_to_a_fork]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        await house.forward(run, days(3.5))
        ahead, passed = await asked(house, user, "in_app/note"), await asked(house, user, "push/note")
        everything = await asked(house, user, "")
        await house.end_open_runs(user)
    assert "has not come to 'in_app/note': it stands at 'sleep', until" in ahead["said"]
    assert ahead["said"].endswith("it may still come.")
    assert f"Run {run.id} has passed 'push/note' by: it stands at 'sleep'" in passed["said"]
    assert [rule["rule"] for rule in ahead["journeys"][0]["runs"][0]["would"]["rules"] if rule["refuses"]] == []
    (sent,) = everything["journeys"][0]["runs"][0]["messages"]
    assert (sent["template"], sent["status"]) == ("note", "sent")


async def asked(house: Stage, user: str, message: str) -> Any:
    wanted = {"journey": "comes_to_a_fork", "message": message}
    answer = await house.api.get(f"/v1/users/{user}/explain", params=wanted)
    answer.raise_for_status()
    found: Any = answer.json()
    return found
