"""Rule 14: pause, resume, skip and exit."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from tests.language.both import Play, Story, told
from tests.language.words import NOW, Entered, Left, Replied, Tapped, by, days, hours, moment, say
from tests.stage import Stage, only
from workflows.definition import journey
from workflows.happenings import Operate
from workflows.journey import Journey
from workflows.messages import Sms
from workflows.run import Order

NIGHT = moment("2025-01-06T23:00")
PAUSE, RESUME = Operate("pause", by()), Operate("resume", by())


def skip(step: str) -> Operate:
    return Operate("skip", by(step=step))


@journey(exits_on=Left)
async def waits_and_says(j: Journey, entered: Entered) -> None:
    tapped = await j.wait_for(Tapped, within=days(2))
    await j.send(say(f"{tapped and tapped.button} {j.now:%a %H:%M}"))
    await j.sleep(days(1))
    await j.send(say(f"{j.now:%a %H:%M}"))


async def test_an_overdue_wait_resolves_on_resume(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (days(1), PAUSE), (days(4), RESUME)])
    assert run.texts == ["None Fri 12:00", "Sat 12:00"]
    assert run.ended == days(5)


async def test_clocks_run_on_while_paused(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(10), PAUSE), (days(1), RESUME)])
    assert run.texts == ["None Wed 12:00", "Thu 12:00"]


async def test_an_event_that_comes_during_a_pause_acts_on_resume(play: Play) -> None:
    happenings: Story = [(hours(10), PAUSE), (hours(20), Tapped(button="paused")), (days(1), RESUME)]
    [run] = await play([waits_and_says], [(NOW, Entered()), *happenings])
    assert run.texts[0] == "paused Tue 12:00"


async def test_an_event_that_comes_during_a_pause_wins_over_the_deadline_that_passed_in_it(play: Play) -> None:
    happenings: Story = [(days(1), PAUSE), (days(1.5), Tapped(button="paused")), (days(3), RESUME)]
    [run] = await play([waits_and_says], [(NOW, Entered()), *happenings])
    assert run.texts[0] == "paused Thu 12:00"


async def test_an_exit_acts_while_paused(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(10), PAUSE), (hours(20), Left())])
    assert (run.status, run.reason, run.ended, run.texts) == ("exited", "left", hours(20), [])


async def test_an_operators_exit_acts_while_paused(play: Play) -> None:
    exiting = (hours(20), Operate("exit", by("enough")))
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(10), PAUSE), exiting])
    assert (run.status, run.reason, run.ended) == ("exited", "ada: enough", hours(20))


async def test_a_paused_run_stands_still(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(10), PAUSE)], until=days(30))
    assert (run.status, run.said) == ("open", [])


async def test_resuming_a_run_that_is_not_paused_changes_nothing(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(10), RESUME)])
    assert run.texts == ["None Wed 12:00", "Thu 12:00"]


@journey(exits_on=Left)
async def texts_at_night_and_ends(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Sms("note", {"text": "text"}))
    await j.send(say(f"{receipt.status}: {receipt.reason} {j.now:%a %H:%M}"))


async def test_a_deferred_message_of_a_paused_run_waits_for_its_resumption(play: Play) -> None:
    happenings: Story = [(hours(1), PAUSE), (hours(10), RESUME)]
    [run] = await play([texts_at_night_and_ends], [(NOW, Entered()), *happenings], at=NIGHT)
    assert run.texts == ["text", "sent:  Tue 09:00"]


async def test_a_deferred_message_that_expires_in_a_pause_is_not_sent(play: Play) -> None:
    happenings: Story = [(hours(1), PAUSE), (days(3), RESUME)]
    [run] = await play([texts_at_night_and_ends], [(NOW, Entered()), *happenings], at=NIGHT)
    assert run.said[0].reason == "expired"


async def test_skip_acts_as_the_timeout_of_a_wait(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(10), skip("wait:tapped"))])
    assert run.texts == ["None Mon 22:00", "Tue 22:00"]


async def test_skip_ends_a_sleep(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(1), Tapped(button="a")), (hours(2), skip("sleep"))])
    assert run.texts == ["a Mon 13:00", "Mon 14:00"]


async def test_skip_drops_a_deferred_message(play: Play) -> None:
    [run] = await play([texts_at_night_and_ends], [(NOW, Entered()), (hours(1), skip("send:sms/note"))], at=NIGHT)
    assert run.texts == ["suppressed: skipped by an operator Tue 00:00"]


async def test_a_skip_of_a_step_that_the_run_has_left_changes_nothing(play: Play) -> None:
    happenings: Story = [(hours(1), Tapped(button="a")), (hours(2), skip("wait:tapped"))]
    [run] = await play([waits_and_says], [(NOW, Entered()), *happenings])
    assert run.texts == ["a Mon 13:00", "Tue 13:00"]


async def test_a_skip_of_a_step_that_the_run_has_not_come_to_changes_nothing(play: Play) -> None:
    [run] = await play([waits_and_says], [(NOW, Entered()), (hours(1), skip("sleep"))])
    assert run.texts == ["None Wed 12:00", "Thu 12:00"]


async def test_a_skip_while_paused_acts_on_resume(play: Play) -> None:
    happenings: Story = [(hours(1), PAUSE), (hours(2), skip("wait:tapped")), (hours(3), RESUME)]
    [run] = await play([waits_and_says], [(NOW, Entered()), *happenings])
    assert run.texts[0] == "None Mon 15:00"


# Over HTTP.


@journey(exits_on=Left)
async def waits_for_an_operator(j: Journey, entered: Entered) -> None:
    await j.wait_for(Tapped, within=days(2))
    await j.wait_for(Replied, within=days(2))


BY = {"X-Actor": "ada", "X-Reason": "why not"}


async def test_an_order_that_comes_too_late_is_answered_409_with_where_the_run_is(house: Stage) -> None:
    user = await house.somebody()
    with only([waits_for_an_operator]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        skipping = {"step": "wait:tapped"}
        first = await house.api.post(f"/v1/runs/{run.id}/skip", json=skipping, headers=BY)
        await house.settled(user)
        stale = await house.api.post(f"/v1/runs/{run.id}/skip", json=skipping, headers=BY)
        unpaused = await house.api.post(f"/v1/runs/{run.id}/resume", headers=BY)
        await house.api.post(f"/v1/runs/{run.id}/exit", headers=BY)
        await house.over(user)
        over = await house.api.post(f"/v1/runs/{run.id}/pause", headers=BY)
    assert first.is_success
    assert (stale.status_code, unpaused.status_code, over.status_code) == (409, 409, 409)
    assert "it is at 'wait:replied'" in stale.json()["error"]["message"]
    assert "not paused" in unpaused.json()["error"]["message"]


@pytest.mark.parametrize("action", ["pause", "resume", "skip", "exit"])
@pytest.mark.parametrize("missing", ["X-Actor", "X-Reason"])
async def test_an_order_needs_an_actor_and_a_reason(house: Stage, action: str, missing: str) -> None:
    user = await house.somebody()
    headers = {name: said for name, said in BY.items() if name != missing}
    with only([waits_for_an_operator]):
        await house.track(user, Entered())
        run = await house.started(user)
        answer = await house.api.post(f"/v1/runs/{run.id}/{action}", json={"step": "wait:tapped"}, headers=headers)
        await house.end_open_runs(user)
    assert answer.status_code == 422
    assert missing in answer.json()["error"]["message"]


async def test_the_diary_tells_who_paused_the_run_and_why(house: Stage) -> None:
    user = await house.somebody()
    with only([waits_for_an_operator]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        await house.api.post(f"/v1/runs/{run.id}/pause", headers=BY)
        paused = await house.diary(run)
        await house.api.post(f"/v1/runs/{run.id}/resume", headers=BY)
        resumed = await house.diary(run)
        await house.end_open_runs(user)
    assert "**Paused** by ada: why not" in paused
    assert "Paused" not in resumed


async def test_an_exit_is_recorded_with_its_actor_and_reason(house: Stage) -> None:
    user = await house.somebody()
    with only([waits_for_an_operator]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.api.post(f"/v1/runs/{run.id}/exit", headers=BY)
        await house.over(user)
    [story] = await told(house, user)
    assert (story.status, story.reason) == ("exited", "ada: why not")


async def test_a_garbage_update_is_refused_and_breaks_nothing(house: Stage) -> None:
    user = await house.somebody()
    with only([waits_for_an_operator]):
        await house.track(user, Entered())
        run = await house.started(user)
        for garbage in ([], ["ada"], [{"actor": 7}], [{"reason": "no actor"}], [Order("", "nobody's")], [Order("ada", "")]):
            for order in ("pause", "resume", "skip", "exit"):
                with pytest.raises((WorkflowUpdateFailedError, RPCError)):
                    await house.workflow(run).execute_update(order, args=garbage)
        await house.track(user, Left())
        await house.over(user)
    assert (await house.run(user)).reason == "left"
    assert await house.failed_tasks(run) == []
