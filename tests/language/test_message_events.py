"""What happens to a message is an event: journeys wait for it by the receipt, in virtual time and on the real server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from events.outcomes import Outcome, What, came
from events.replies import replied
from tests.language.both import Play, Story, told
from tests.language.words import NOW, Entered, Left, Tapped, by, days, hours, say
from tests.stage import Stage, only
from workflows.definition import ALWAYS, Event, journey
from workflows.happenings import Bounced, Clicked, Delivered, Opened, Operate, OptOut, Replied
from workflows.journey import Journey
from workflows.message_events import MessageBounced, MessageClicked, MessageDelivered, MessageOpened, MessageReplied
from workflows.messages import Email, Sms
from workflows.simulate import simulate

RESUME = Operate("resume", by())


@journey(again=ALWAYS)
async def waits_for_opens(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Email("note", {"text": "first"}))
    opened = await j.wait_for(MessageOpened, of=receipt, within=days(2))
    await j.send(say(f"{opened.template if opened else 'unread'} {j.now:%a %H:%M}"))


async def test_a_journey_goes_on_when_its_message_is_opened(play: Play) -> None:
    [run] = await play([waits_for_opens], [(NOW, Entered()), (hours(3), Opened("note"))])
    assert run.texts == ["first", "note Mon 15:00"]


async def test_a_message_that_nobody_opens_is_waited_for_up_to_the_deadline(play: Play) -> None:
    [run] = await play([waits_for_opens], [(NOW, Entered()), (hours(3), Delivered("note"))])
    assert run.texts == ["first", "unread Wed 12:00"]


async def test_what_happens_to_a_message_is_seen_under_the_key_of_its_step(play: Play) -> None:
    runs = simulate(waits_for_opens, Entered(), then=[(hours(3), Opened("note"))])
    assert [step.key for step in runs.steps][:2] == ["send:email/note", "wait:message_opened"]


@journey()
async def sends_twice(j: Journey, entered: Entered) -> None:
    first = await j.send(Email("note", {"text": "first"}))
    await j.sleep(days(1))
    await j.send(Email("note", {"text": "second"}))
    clicked = await j.wait_for(MessageClicked, MessageOpened, of=first, within=days(3))
    await j.send(say(f"{type(clicked).__name__} {j.now:%a %H:%M}"))


async def test_of_a_receipt_only_what_happened_to_that_message_counts(play: Play) -> None:
    [run] = await play([sends_twice], [(NOW, Entered()), (days(2), Clicked("note", "https://app.example/a"))])
    assert run.texts == ["first", "second", "NoneType Fri 12:00"]


async def test_what_happened_before_the_wait_began_counts(play: Play) -> None:
    [run] = await play([sends_twice], [(NOW, Entered()), (hours(2), Opened("note"))])
    assert run.texts == ["first", "second", "MessageOpened Tue 12:00"]


@journey()
async def waits_for_what_was_not_sent(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Email("note", {"text": "first"}))
    opened = await j.wait_for(MessageOpened, of=receipt, within=days(2))
    await j.send(Email("note", {"text": f"{receipt.status} {opened} {j.now:%a %H:%M}"}, topic="other"))


async def test_the_wait_for_what_happens_to_a_message_that_was_not_sent_is_over_at_once(play: Play) -> None:
    [run] = await play([waits_for_what_was_not_sent], [(NOW, OptOut("waits_for_what_was_not_sent")), (NOW, Entered())])
    assert run.texts == ["suppressed None Mon 12:00"]


@journey()
async def asks_for_any(j: Journey, entered: Entered) -> None:
    await j.send(Email("note", {"text": "first"}))
    clicked = await j.wait_for(MessageClicked, within=days(2), where=lambda clicked: not clicked.machine)
    seen = [type(each).__name__ for each in j.seen(MessageDelivered, MessageOpened, MessageClicked, MessageBounced)]
    await j.send(say(f"{clicked and clicked.url} {' '.join(seen)}"))


async def test_a_click_tells_where_to_but_for_the_query_and_machines_are_told_apart(play: Play) -> None:
    story: Story = [
        (hours(1), Delivered("note")),
        (hours(2), Opened("note", machine=True)),
        (hours(3), Clicked("note", "https://app.example/a?b=c", machine=True)),
        (hours(4), Clicked("note", "https://ada@app.example/plans?token=secret#top")),
    ]
    [run] = await play([asks_for_any], [(NOW, Entered()), *story])
    assert run.texts == [
        "first",
        "https://app.example/plans MessageDelivered MessageOpened MessageClicked MessageClicked",
    ]


@journey(again=ALWAYS)
async def answers_a_click(j: Journey, clicked: MessageClicked) -> None:
    await j.send(say(f"you clicked {clicked.url}"))


async def test_what_happens_to_a_message_starts_a_journey(play: Play) -> None:
    story: Story = [(NOW, Entered()), (hours(1), Clicked("note", "https://app.example/a"))]
    runs = await play([waits_for_opens, answers_a_click], story)
    assert [run.texts for run in runs if run.journey == "answers_a_click"] == [["you clicked https://app.example/a"]]


@journey(exits_on=MessageBounced)
async def leaves_on_a_bounce(j: Journey, entered: Entered) -> None:
    await j.send(Email("note", {"text": "first"}))
    await j.sleep(days(2))
    await j.send(say("second"))


async def test_a_bounce_ends_a_journey_that_exits_on_it(play: Play) -> None:
    [run] = await play([leaves_on_a_bounce], [(NOW, Entered()), (hours(1), Bounced("note", hard=False, code="MailboxFull"))])
    assert (run.status, run.reason, run.texts) == ("exited", "message_bounced", ["first"])


async def test_what_happens_to_a_message_that_was_not_sent_is_nothing(play: Play) -> None:
    [run] = await play([leaves_on_a_bounce], [(NOW, Entered()), (hours(1), Bounced("reminder"))])
    assert run.texts == ["first", "second"]


class Subscribed(Event):
    channel: str


@journey(key="channel")
async def by_channel(j: Journey, subscribed: Subscribed) -> None:
    receipt = await j.send(Email("note", {"text": subscribed.channel}))
    opened = await j.wait_for(MessageOpened, of=receipt, within=days(2))
    await j.send(say(f"{subscribed.channel} {'read' if opened else 'unread'}"))


async def test_a_key_called_like_a_field_of_theirs_keeps_them_from_no_run(play: Play) -> None:
    [run] = await play([by_channel], [(NOW, Subscribed(channel="weather")), (hours(3), Opened("note"))])
    assert run.texts == ["weather", "weather read"]


@journey()
async def asks_what_happens_to_no_message(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Email("note"))
    await j.wait_for(Tapped, of=receipt, within=days(2))


def test_only_what_happens_to_messages_is_waited_for_by_a_receipt() -> None:
    with pytest.raises(TypeError, match="waits for Tapped with of=, and that happens to no message"):
        simulate(asks_what_happens_to_no_message, Entered())


# Replies


@journey(exits_on=Left)
async def markets(j: Journey, entered: Entered) -> None:
    receipt = await j.send(Email("note", {"text": "offer"}))
    replied = await j.wait_for(MessageReplied, of=receipt, within=days(1))
    await j.send(say(f"{'answered' if replied else 'silent'} {j.now:%a %H:%M}"))


@journey()
async def serves(j: Journey, entered: Entered) -> None:
    await j.sleep(days(1))
    await j.send(Sms("note", {"text": "your receipt"}, transactional=True))


async def test_a_reply_pauses_marketing_until_somebody_resumes_it(play: Play) -> None:
    [run] = await play([markets], [(NOW, Entered()), (hours(3), Replied("note")), (days(3), RESUME)])
    assert run.texts == ["offer", "answered Thu 12:00"]


async def test_a_reply_leaves_alone_what_is_transactional(play: Play) -> None:
    story: Story = [(NOW, Entered()), (hours(3), Replied("note"))]
    runs = await play([markets, serves], story, until=days(5))
    assert {run.journey: (run.status, run.texts) for run in runs} == {
        "markets": ("open", ["offer"]),
        "serves": ("completed", ["your receipt"]),
    }


async def test_an_exit_ends_a_run_that_a_reply_has_paused(play: Play) -> None:
    [run] = await play([markets], [(NOW, Entered()), (hours(3), Replied("note")), (hours(5), Left())])
    assert (run.status, run.texts) == ("exited", ["offer"])


# Histories


async def test_a_history_knows_the_message_by_its_key_and_nothing_private_of_it(house: Stage) -> None:
    user = await house.somebody()
    with only([markets]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        key = f"{run.id}:send:email/note"
        secret = {"email": f"{user}@example.org", "text": "a word of hers", "code": f"550 <{user}@example.org>"}
        for what in get_args(What):
            await came(house.store, Outcome(what, f"{what}-{user}", datetime.now(UTC), key=key, details=secret))
        await house.settled(user)
        assert "message_replied" in await house.signals(run)
        history = str(await house.history(run))
        await house.end_open_runs(user)
    assert key in history
    assert not [word for word in (f"{user}@example.org", "a word of hers") if word in history]


async def test_a_reply_shows_at_the_run_and_an_operator_resumes_it(house: Stage) -> None:
    user = await house.somebody()
    with only([markets]):
        await house.track(user, Entered())
        run = await house.started(user)
        await house.settled(user)
        await replied(house.store, house.settings, "email", f"{user}@example.org", "no, thanks", user, datetime.now(UTC))
        await house.settled(user)
        paused = (await house.api.get(f"/v1/runs/{run.id}")).json()
        diary = await house.diary(run)
        resuming = await house.api.post(f"/v1/runs/{run.id}/resume", headers={"X-Actor": "ada", "X-Reason": "answered her"})
        await house.over(user)
        [story] = await told(house, user)
    assert (paused["paused"], [each["actor"] for each in paused["operations"]]) == (True, ["sojourn"])
    assert "**Paused** by sojourn: replied to email note" in diary
    assert resuming.is_success
    assert [text.partition(" ")[0] for text in story.texts] == ["offer", "answered"]
