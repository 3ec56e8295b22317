"""Why did somebody get a message, or not? Each answer by what is stored, on both databases, with Temporal away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import SQLModel, col, select, update

from events.accept import Manner, accept
from events.calls import Clock, understand
from events.explain import Question, explain
from events.explanation import Explanation, JourneyTold, NoSuch
from events.lookup import find
from events.request import request_run
from settings import Settings
from store.session import Store
from store.tables import AcceptedEvent, Consent, Delivery, Person, Run, Stop
from studio.scenario import under
from tests.events.shop import SHOP
from tests.stage import only
from workflows.definition import Event, journey
from workflows.journey import Journey
from workflows.messages import Email, Sms
from workflows.policy import Policy, Topic

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
SETTINGS = Settings(_env_file=None, temporal_ui_url="http://temporal.test")
HELP = SHOP["basket_help", 1]


class Asked(Event, name="Asked (explain)"):
    pass


@journey()
async def news(j: Journey, asked: Asked) -> None:
    await j.send(Email("paper"))
    await j.send(Sms("ping", transactional=True))


@pytest.fixture(autouse=True)
def laid_down() -> Iterator[None]:
    with under(Policy(topics=(Topic("news", opt_in=True),), quiet_hours={})):
        yield


async def meet(store: Store, user: str = "ada", zone: str = "Asia/Kolkata", **traits: Any) -> Person:
    known = {"email": f"{user}@example.org", **traits}
    body = {"userId": user, "traits": known, "context": {"timezone": zone}, "messageId": uuid4().hex}
    await accept(store, [understand(body, "identify", Clock(NOON))], Clock(NOON))
    return await person(store, user)


async def person(store: Store, name: str = "ada") -> Person:
    async with store.read() as session:
        found = await find(session, name)
    assert found is not None
    return found


async def track(store: Store, event: str, at: datetime = NOON, manner: Manner | None = None, **properties: Any) -> None:
    body = {"userId": "ada", "event": event, "properties": properties, "messageId": uuid4().hex}
    await accept(store, [understand(body, "track", Clock(at))], Clock(at), *([manner] if manner else []))


async def become(store: Store, status: str, **values: Any) -> None:
    """Let the last event of a name have come to that, as the router does."""
    async with store.write() as session:
        last = select(AcceptedEvent.id).order_by(col(AcceptedEvent.id).desc()).limit(1).scalar_subquery()
        await session.exec(update(AcceptedEvent).where(col(AcceptedEvent.id) == last).values(status=status, **values))


async def put(store: Store, *rows: SQLModel) -> None:
    async with store.write() as session:
        for row in rows:
            session.add(row)
            await session.flush()


def a_run(whose: Person, **values: Any) -> Run:
    fields: dict[str, Any] = {
        "id": "r_1",
        "journey": "basket_help",
        "version": 1,
        "workflow_id": "basket_help/ada",
        "status": "running",
        "trigger": "Basket Filled",
        "started_at": NOON,
        "requested_at": NOON,
    }
    return Run(person_id=whose.id or 0, **fields | values)


def a_message(run: Run, **values: Any) -> Delivery:
    fields: dict[str, Any] = {
        "key": f"{run.id}:send:email/basket",
        "step": "send:email/basket",
        "channel": "email",
        "template": "basket",
        "topic": "basket_help",
        "status": "sent",
        "at": NOON,
        "attempts": 1,
    }
    return Delivery(run_id=run.id, person_id=run.person_id, journey=run.journey, **fields | values)


async def ask(store: Store, journey: str = "", message: str = "", *, sees_all: bool = True) -> Explanation:
    return await explain(store, SETTINGS, None, Question(await person(store), journey, message, sees_all))


async def told(store: Store, journey: str = "basket_help", message: str = "") -> JourneyTold:
    (found,) = (await ask(store, journey, message)).journeys
    return found


# Nobody was enrolled.


async def test_who_has_done_nothing_that_starts_a_journey_is_told_what_would(store: Store) -> None:
    await meet(store)
    found = await told(store)
    assert found.said == "Not enrolled: nothing has come of theirs that starts it; it starts on 'Basket Filled'."
    assert (found.starts_on, found.may_enter, found.runs, found.triggers) == (["Basket Filled"], True, [], [])


async def test_an_event_of_a_name_that_nobody_knows_is_told_where_it_was_probably_meant(store: Store) -> None:
    await meet(store)
    await track(store, "basket_filled", basket="b1")
    await track(store, "moon_landed")
    found = await told(store)
    assert [each.event for each in found.triggers] == ["basket_filled"]
    assert found.said.endswith(
        "it is unknown and starts nothing: no journey knows an event called 'basket_filled'; did you mean 'Basket Filled'?"
    )


async def test_a_trigger_that_does_not_fit_is_told_with_its_fault(store: Store) -> None:
    await meet(store)
    await track(store, "Basket Filled", worth=3)
    found = await told(store)
    assert found.said.startswith("Not enrolled: 'Basket Filled' was accepted Mon 2 Mar 2026 17:30 IST (12:00 UTC): it is invalid")
    assert "basket: Field required" in found.said


async def test_a_trigger_that_waits_for_the_router_is_told_so(store: Store) -> None:
    await meet(store)
    await track(store, "Basket Filled", basket="b1")
    assert (await told(store)).said.endswith("it waits to be routed.")


async def test_a_dead_trigger_is_told_with_its_error(store: Store) -> None:
    await meet(store)
    await track(store, "Basket Filled", basket="b1")
    await become(store, "dead", attempts=5, error="KeyError at basket.py:3")
    assert "our own code failed at it 5 times, so it is dead until it is replayed: KeyError" in (await told(store)).said


async def test_an_imported_trigger_that_starts_nothing_is_told_so(store: Store) -> None:
    await meet(store)
    await track(store, "Basket Filled", basket="b1")
    await become(store, "routed", starts=False)
    assert (await told(store)).said.endswith("it was imported without --trigger, so it starts nothing.")


async def test_who_was_in_the_journey_already_is_told_in_which_run(store: Store) -> None:
    await put(store, a_run(await meet(store)))
    await track(store, "Basket Filled", NOON + timedelta(hours=1), basket="b2")
    await become(store, "routed")
    found = await told(store)
    assert "they were in already, in run r_1" in found.triggers[0].said
    assert not found.may_enter


async def test_who_may_not_enter_again_is_told_why(store: Store) -> None:
    await put(store, a_run(await meet(store), status="completed", ended_at=NOON + timedelta(hours=1)))
    await track(store, "Basket Filled", NOON + timedelta(days=2), basket="b2")
    await become(store, "routed")
    found = await told(store)
    assert "entered before, and this journey is entered once" in found.triggers[0].said
    assert not found.may_enter


async def test_who_may_enter_again_later_is_told_when(store: Store) -> None:
    over = {"status": "completed", "ended_at": NOON, "journey": "win_back", "workflow_id": "win_back/ada"}
    await put(store, a_run(await meet(store), **over))
    await track(store, "Account Closed", NOON + timedelta(days=2))
    await become(store, "routed")
    assert "may enter again from 2026-04-01T12:00:00+00:00" in (await told(store, "win_back")).triggers[0].said


async def test_of_runs_side_by_side_a_trigger_is_told_of_those_with_its_key(store: Store) -> None:
    fields = {"journey": "basket_by_basket", "workflow_id": "basket_by_basket/ada/b1", "key": "b1"}
    await put(store, a_run(await meet(store), **fields))
    for basket in ("b1", "b2"):
        await track(store, "Basket Filled", NOON + timedelta(hours=1), basket=basket)
        await become(store, "routed")
    other, same = (await told(store, "basket_by_basket")).triggers
    assert "in already, in run r_1" in same.said
    assert "found no journey" in other.said


async def test_a_journey_that_there_is_not_is_refused_with_what_was_meant(store: Store) -> None:
    await meet(store)
    with pytest.raises(NoSuch, match="there is no journey 'basket_halp'; did you mean 'basket_help'"):
        await ask(store, "basket_halp")


async def test_a_run_of_a_journey_that_is_gone_is_told_all_the_same(store: Store) -> None:
    await put(store, a_run(await meet(store), journey="gone", workflow_id="gone/ada", status="completed", ended_at=NOON))
    found = await told(store, "gone")
    assert (found.runs[0].status, found.may_enter, found.starts_on) == ("completed", False, [])


# Messages.


async def test_a_message_that_was_sent_is_told_with_what_happened_to_it(store: Store) -> None:
    run = a_run(await meet(store))
    happened = {"opened": "2026-03-02T13:00:00.000+00:00", "delivered": "2026-03-02T12:00:05.000+00:00"}
    await put(store, run, a_message(run, provider="resend", happened=happened))
    found = await ask(store, "basket_help", "basket")
    assert found.said == (
        "Sent Mon 2 Mar 2026 17:30 IST (12:00 UTC) by resend; delivered Mon 2 Mar 2026 17:30 IST (12:00 UTC); "
        "opened Mon 2 Mar 2026 18:30 IST (13:00 UTC)."
    )
    ((run_told,),) = [each.runs for each in found.journeys]
    assert run_told.ui_url == "http://temporal.test/namespaces/default/workflows/basket_help%2Fada"
    assert run_told.would is None


async def test_a_refusal_is_told_by_its_rule_and_the_facts_it_saw(store: Store) -> None:
    run = a_run(await meet(store))
    saw = {"topic": "basket_help", "channel": "email", "granted": False, "opt_in": False}
    await put(store, run, a_message(run, status="suppressed", reason="no_consent", saw=saw))
    found = await ask(store, "basket_help", "basket")
    (message,) = found.journeys[0].runs[0].messages
    assert found.said == "Not sent, Mon 2 Mar 2026 17:30 IST (12:00 UTC): they said no to topic 'basket_help' on email."
    assert (message.status, message.reason, message.saw) == ("suppressed", "no_consent", saw)


@pytest.mark.parametrize("name", ["basket", "email/basket", "send:email/basket", "r_1:send:email/basket"])
async def test_a_message_goes_by_template_channel_step_or_key(store: Store, name: str) -> None:
    run = a_run(await meet(store))
    await put(store, run, a_message(run), a_message(run, key="r_1:other", step="send:email/other", template="other"))
    (told_of,) = (await told(store, message=name)).runs[0].messages
    assert told_of.key == "r_1:send:email/basket"


async def test_a_message_that_no_version_sends_is_refused_with_what_there_is(store: Store) -> None:
    await meet(store)
    with pytest.raises(NoSuch, match="journey 'basket_help' has no message 'baskt'; did you mean 'basket'"):
        await ask(store, "basket_help", "baskt")


async def test_a_message_that_a_run_ended_without_is_told_so(store: Store) -> None:
    await put(store, a_run(await meet(store), status="exited", reason="Account Closed", ended_at=NOON))
    assert (await told(store, message="basket")).said == "Run r_1 ended (exited: Account Closed) without coming to 'basket'."


async def test_a_message_of_a_journey_that_nobody_entered_is_told_by_its_trigger(store: Store) -> None:
    await meet(store)
    found = await ask(store, message="basket")
    assert [each.journey for each in found.journeys] == ["basket_help"]
    assert found.said.startswith("Not enrolled: nothing has come")


async def test_a_message_that_nobody_sends_is_refused(store: Store) -> None:
    await meet(store)
    with pytest.raises(NoSuch, match="no journey sends 'moon'"):
        await ask(store, message="moon")


async def test_all_journeys_are_told_where_none_is_named(store: Store) -> None:
    await put(store, a_run(await meet(store)))
    found = await ask(store)
    assert [each.journey for each in found.journeys] == ["basket_by_basket", "basket_help", "win_back"]
    assert found.said.startswith("Run r_1 began Mon 2 Mar 2026 17:30 IST (12:00 UTC) on 'Basket Filled'")


# What would be now.


async def in_news(store: Store, **values: Any) -> Run:
    run = a_run(await meet(store), journey="news", workflow_id="news/ada", **values)
    await put(store, run)
    return run


async def test_of_a_message_that_is_not_sent_yet_every_rule_is_told_as_it_is_now(store: Store) -> None:
    with only([news]):
        await in_news(store)
        would = (await told(store, "news", "paper")).runs[0].would
    assert would is not None
    assert would.said == "It would not be sent: topic 'news' is opt-in, and they have not said yes to it on email."
    assert [each.rule for each in would.rules if each.refuses] == ["no_consent"]
    assert (would.decision, would.reason, would.seen["reachable"], would.seen["granted"]) == (
        "suppressed",
        "no_consent",
        True,
        None,
    )


async def test_what_would_be_follows_what_they_say(store: Store) -> None:
    with only([news]):
        run = await in_news(store)
        await put(store, Consent(person_id=run.person_id, topic="news", granted=True, at=NOON))
        would = (await told(store, "news", "paper")).runs[0].would
    assert would is not None
    assert (would.decision, would.said) == ("send", "It would be sent: no rule refuses.")


async def test_of_what_the_source_calls_transactional_no_consent_is_asked(store: Store) -> None:
    with only([news]):
        await in_news(store)
        would = (await told(store, "news", "ping")).runs[0].would
    assert would is not None
    assert (would.reason, would.seen["transactional"]) == ("no_address", True)


async def test_what_waits_is_asked_of_the_gate_again_and_nothing_is_written(store: Store) -> None:
    with only([news]):
        run = await in_news(store)
        await put(store, Stop(scope="journey", name="news", actor="eve", reason="a mistake", at=NOON))
        await put(store, Consent(person_id=run.person_id, topic="news", granted=True, at=NOON))
        waiting = {"step": "send:email/paper", "template": "paper", "topic": "news", "status": "deferred", "retry_at": NOON}
        await put(store, a_message(run, reason="kill_switch", saw={"stopped": "journey news"}, **waiting))
        before = await messages(store)
        found = (await told(store, "news", "paper")).runs[0]
        after = await messages(store)
    assert found.messages[0].said == "Waits until Mon 2 Mar 2026 17:30 IST (12:00 UTC): an operator has stopped journey news."
    assert found.would is not None
    assert (found.would.decision, found.would.reason) == ("deferred", "kill_switch")
    assert before == after


async def messages(store: Store) -> list[Delivery]:
    async with store.read() as session:
        return list((await session.exec(select(Delivery))).all())


async def test_a_run_that_was_asked_for_is_told_of_where_it_began(store: Store) -> None:
    await meet(store)
    await request_run(store, HELP, "ada", {"basket": "b1"}, Clock(NOON))
    found = await told(store)
    assert "is about to start on Temporal" in found.said
    assert found.triggers[0].run_id == found.runs[0].run_id
